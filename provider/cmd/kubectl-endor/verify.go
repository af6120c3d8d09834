// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	asking
	output
	files  []string
	signer question.Claims
}

func verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify IMAGE... | -f FILE...",
		Short: "Say whether Endor Labs vouches for images",
		Long: `Ask Endor Labs about images, as the provider in a cluster would: those that are
named, and with -f those of every workload in manifests, such as what helm
template and kustomize build print. Each distinct image is asked about once.

Without a flag that says who has to have signed, anyone in the Endor namespace
may have, with the issuer of --certificate-oidc-issuer. In a value, * is any run
of letters but / and :.

` + settingsHelp + `

The status is 0 if every image is verified, 1 if one is not, and 2 if it could
not be found out of one, because of a file, a flag, or because Endor Labs could
not be asked.`,
		Example: `  kubectl endor verify ghcr.io/acme/api@sha256:1a2b...
  kubectl endor verify -f deploy/ --source-repository acme/api -o junit > verify.xml
  helm template chart/ | kubectl endor verify -f - --source-repository 'acme/*'
  kubectl endor verify -f deploy/ --record answers.yaml    # and later, without a network:
  kubectl endor verify -f deploy/ --answers answers.yaml`,
		RunE: func(cmd *cobra.Command, images []string) error {
			return o.run(cmd.Context(), cmd, images)
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "`file` or folder with manifests, or - for standard input; may be repeated")
	bindSigner(fs, &o.signer)
	o.asking.bind(cmd)
	o.output.bind(cmd, findings.Formats()...)
	return cmd
}

// bindSigner declares what a signer's certificate has to say, as endorctl names
// it. The issuer is a setting of whoever asks.
func bindSigner(fs *pflag.FlagSet, c *question.Claims) {
	fs.StringVar(&c.CertificateIdentity, "certificate-identity", "", "`identity` of the signer, such as repo:acme/api:ref:refs/heads/main")
	fs.StringVar(&c.SourceRepository, "source-repository", "", "`repository` that the image was built from, such as acme/api")
	fs.StringVar(&c.SourceRepositoryOwner, "source-repository-owner", "", "`owner` of that repository")
	fs.StringVar(&c.SourceRepositoryRef, "source-repository-ref", "", "`ref` that the image was built from, such as refs/tags/v1.2.3")
	fs.StringVar(&c.SourceRepositoryDigest, "source-repository-digest", "", "`commit` that the image was built from")
	fs.StringVar(&c.BuildConfigName, "build-config-name", "", "`name` of the workflow that built it")
	fs.StringVar(&c.BuildConfigDigest, "build-config-digest", "", "`commit` of that workflow")
	fs.StringVar(&c.RunnerEnvironment, "runner-environment", "", "`environment` that it was built in, such as self-hosted")
}

func (o *verifyOptions) run(ctx context.Context, cmd *cobra.Command, images []string) (err error) {
	if len(images)+len(o.files) == 0 {
		return errors.New("name an image, or a file with -f")
	}
	if err := errors.Join(o.check(), o.checkSigner()); err != nil {
		return err
	}
	s, err := o.open(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.settings.EndorNamespace == "" {
		return errors.New("--endor-namespace: it is required, or ENDOR_NAMESPACE: the Endor namespace whose signatures count")
	}
	found, failed := collect(ctx, images, o.files, cmd.InOrStdin())
	if len(found.images) == 0 && failed == nil {
		return fmt.Errorf("no image in what -f names%s", found.skippedText("; it names "))
	}
	d := newDocument(findings.VerifySchema, s, failed)
	if len(found.skipped) > 0 {
		d.Notices = append(d.Notices, "Objects of these kinds run no images that are known here, and were not looked at"+found.skippedText(": ")+".")
	}
	d.Findings = o.ask(ctx, cmd, s, found)
	saved := s.save(ctx)
	incomplete(d, saved)
	return o.finish(ctx, cmd, d, errors.Join(failed, saved))
}

func (o *verifyOptions) checkSigner() error {
	if o.signer == (question.Claims{}) {
		return nil
	}
	return o.signer.Validate()
}

// ask asks about each image once, all with one signer.
func (o *verifyOptions) ask(ctx context.Context, cmd *cobra.Command, s *session, found *found) []findings.Finding {
	keys := make([]string, len(found.images))
	for i, image := range found.images {
		keys[i] = o.key(image)
	}
	p := newProgress(cmd.ErrOrStderr(), len(keys), "images")
	answers := s.provider.Ask(ctx, keys, p.step)
	p.end()
	list := make([]findings.Finding, len(answers))
	for i, a := range answers {
		list[i] = findingOf(found.images[i], a)
		list[i].Places = found.places[found.images[i]]
	}
	return list
}

// key is what the shipped policy would send. An image that is no reference has
// one too: that the provider refuses it is the verdict.
func (o *verifyOptions) key(image string) string {
	values := url.Values{"image": {image}}
	for name, value := range o.signer.All() {
		values.Set(name, value)
	}
	return values.Encode()
}

func findingOf(image string, a verify.Answer) findings.Finding {
	f := findings.Finding{
		Image: image, Digest: a.Question.Image.Digest(),
		Code: string(a.Code()), Class: a.Code().Class(), Signer: a.Verdict.Signer,
	}
	if !a.Verdict.Verified() {
		f.Reason = a.Sentence()
	}
	if !a.Verdict.SignedAt.IsZero() {
		at := a.Verdict.SignedAt.UTC()
		f.SignedAt = &at
	}
	return f
}
