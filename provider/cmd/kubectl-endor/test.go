// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// testOptions are the flags of test.
type testOptions struct {
	asking
	output
	files     []string
	namespace string
	expect    bool

	provider       engine.Provider
	caFile         string
	clientCertFile string
	clientKeyFile  string
}

func testCommand() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test -f FILE...",
		Short: "Say whether objects would be admitted",
		Long: `Evaluate objects against ConstraintTemplates and constraints as Gatekeeper's
webhook would, with what Endor Labs says of the images. Where -f names constraints
of K8sEndorSignedImages without their template, that of this version is used.
Suites of gator (suite.yaml) found in a folder are run too, and the files that
they name are theirs. Constraints that match nothing, and objects that no
constraint matches, are said: neither says anything of the other.

` + settingsHelp + `
With --provider-url a provider that runs elsewhere answers instead.

With --expect-annotations an object says in the annotation
` + report.ExpectAnnotation + ` what is expected of it: admitted, or the codes of its refused
images, separated by commas. Do not use it where the objects are what is to be
checked: whoever writes them would decide.

The status is 0 if every object is admitted or as expected, 1 if one is not, and
2 if it could not be found out, because of a file, a flag, or because neither
provider nor Endor Labs could say.`,
		Example: `  kubectl endor test -f constraint.yaml -f deploy/
  helm template chart/ | kubectl endor test -f policies/ -f - -o junit > test.xml
  kubectl endor test -f constraint.yaml -f deploy/ --record answers.yaml    # and in CI, without credentials:
  kubectl endor test -f constraint.yaml -f deploy/ --answers answers.yaml
  kubectl endor test -f constraint.yaml -f deploy/ --provider-url https://127.0.0.1:8443/validate \
    --provider-ca-file ca.crt --client-cert-file client.crt --client-key-file client.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd)
		},
	}
	o.bind(cmd)
	return cmd
}

func (o *testOptions) bind(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "`file` or folder with templates, constraints, suites and objects, or - for standard input; may be repeated")
	fs.StringVarP(&o.namespace, "namespace", "n", corev1.NamespaceDefault, "`namespace` of objects that name none")
	fs.BoolVar(&o.expect, "expect-annotations", false, "let objects say what is expected of them")
	fs.StringVar(&o.provider.URL, "provider-url", "", "`URL` of a provider that runs elsewhere, as in the Provider object; default: this program answers itself")
	fs.StringVar(&o.provider.Name, "provider-name", localprovider.Name, "`name` of the provider in constraints")
	fs.IntVar(&o.provider.Timeout, "provider-timeout", 2, "`seconds` that a provider elsewhere is given, as in the Provider object")
	fs.StringVar(&o.caFile, "provider-ca-file", "", "`file` with the CA of that provider's certificate (PEM)")
	fs.StringVar(&o.clientCertFile, "client-cert-file", "", "`file` with the client certificate that it asks for (PEM)")
	fs.StringVar(&o.clientKeyFile, "client-key-file", "", "`file` with its private key (PEM)")
	o.asking.bind(cmd)
	o.output.bind(cmd, findings.Formats()...)
	cmd.MarkFlagsRequiredTogether("client-cert-file", "client-key-file")
	cmd.MarkFlagsRequiredTogether("provider-url", "provider-ca-file")
	for _, name := range []string{"answers", "record", "concurrency"} {
		cmd.MarkFlagsMutuallyExclusive("provider-url", name)
	}
	if err := cmd.MarkFlagRequired("filename"); err != nil {
		panic(err) // a name that is not a flag's
	}
}

func (o *testOptions) run(ctx context.Context, cmd *cobra.Command) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if o.provider.Timeout < 1 {
		return errors.New("--provider-timeout: it must be at least 1; with 0 Gatekeeper would not wait at all")
	}
	objects, failed := manifest.Read(o.files, interruptible{ctx: ctx, next: cmd.InOrStdin()})
	input, sortErr := sortOut(objects, o.files)
	failed = errors.Join(failed, sortErr)
	if err := input.check(); err != nil {
		return errors.Join(failed, err)
	}
	var s *session
	if o.provider.URL == "" {
		if s, err = o.open(ctx, cmd); err != nil {
			return errors.Join(failed, err)
		}
		defer func() { err = errors.Join(err, s.close()) }()
	}
	e, err := o.newEngine(ctx, s)
	if err != nil {
		return errors.Join(failed, err)
	}
	t := &trial{options: o, engine: e, session: s, input: input, failed: failed}
	if len(input.objects) > 0 {
		t.prepare(ctx)
	}
	d := newDocument(findings.TestSchema, s, nil)
	d.Notices = append(d.Notices, input.notices()...)
	t.judge(ctx, cmd.ErrOrStderr(), d)
	t.runSuites(ctx, d)
	if s != nil {
		t.fail(s.save(ctx))
	}
	incomplete(d, t.failed)
	return o.finish(ctx, cmd, d, t.failed)
}

// newEngine makes an engine that asks the provider of the session, or one that
// runs elsewhere.
func (o *testOptions) newEngine(ctx context.Context, s *session) (*engine.Engine, error) {
	if s != nil {
		return s.provider.Engine(ctx, o.provider.Name)
	}
	ca, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("--provider-ca-file: %w", err)
	}
	o.provider.CABundle = ca
	return engine.New(ctx, engine.Config{
		Providers: []engine.Provider{o.provider}, ClientCertFile: o.clientCertFile, ClientKeyFile: o.clientKeyFile,
	})
}
