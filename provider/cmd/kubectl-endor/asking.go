// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/answers"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endorctl"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/upstream"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// asking is how a command asks Endor Labs: flags that all commands share.
type asking struct {
	endor       config.Endor
	answers     string
	record      string
	concurrency int
}

// settingsHelp belongs into the long help of commands that ask.
const settingsHelp = `Endor Labs is asked with the settings of endorctl: ENDOR_API, ENDOR_NAMESPACE, and
ENDOR_API_CREDENTIALS_KEY with ENDOR_API_CREDENTIALS_SECRET or ENDOR_TOKEN, from
the environment, or else from ~/.endorctl/config.yaml (ENDOR_CONFIG_PATH). Flags
win. With --answers nobody is asked, and none of it is needed.`

// bind declares the flags.
func (a *asking) bind(cmd *cobra.Command) {
	fs := cmd.Flags()
	a.endor.Bind(fs)
	fs.StringVar(&a.answers, "answers", "", "`file` with answers that --record wrote; Endor Labs is not asked, and neither network nor credentials are needed")
	fs.StringVar(&a.record, "record", "", "`file` to write every verdict to that Endor Labs gives in this run; it is replaced")
	fs.IntVar(&a.concurrency, "concurrency", localprovider.DefaultConcurrency, "questions at Endor Labs at the same time")
	cmd.MarkFlagsMutuallyExclusive("answers", "record")
}

// session is a provider within this program, and what is around it.
type session struct {
	provider *localprovider.Provider
	settings config.Endor

	client   *endor.Client     // nil in a replay
	player   *answers.Player   // nil without --answers
	recorder *answers.Recorder // nil without --record

	asking *asking
	stderr io.Writer
}

// open finds the settings and starts a provider. Close must be called. Nobody is
// asked yet.
func (a *asking) open(ctx context.Context, cmd *cobra.Command) (*session, error) {
	s := &session{asking: a, stderr: cmd.ErrOrStderr()}
	verifier, err := s.verifier(cmd.Flags())
	if a.concurrency < 1 {
		err = errors.Join(err, errors.New("--concurrency: it must be at least 1"))
	}
	resolver, resolverErr := upstream.NewResolver(a.endor)
	if err := errors.Join(err, a.endor.Validate(), resolverErr); err != nil {
		return nil, err
	}
	s.settings = a.endor
	s.provider, err = localprovider.Start(ctx, localprovider.Config{Verifier: verifier, Resolver: resolver, Concurrency: a.concurrency})
	return s, err
}

// verifier is who decides: a file, or Endor Labs.
func (s *session) verifier(flags *pflag.FlagSet) (verify.Verifier, error) {
	a := s.asking
	if a.answers != "" {
		var err error
		if s.player, err = answers.Load(a.answers); err != nil {
			return nil, fmt.Errorf("--answers: %w", err)
		}
		a.restore(flags, s.player.Settings())
		return s.player, nil
	}
	if err := complete(&a.endor, flags); err != nil {
		return nil, err
	}
	var err error
	s.client, err = upstream.NewClient(a.endor, endor.Config{UserAgent: userAgent()})
	if err != nil {
		return nil, fmt.Errorf("%w\n(or use --answers FILE, with answers that were recorded)", err)
	}
	verifier := verify.Verifier(verify.NewEndor(s.client, nil))
	if a.record != "" {
		s.recorder = answers.NewRecorder(verifier)
		verifier = s.recorder
	}
	return verifier, nil
}

// complete fills in from endorctl's settings what flags leave open.
func complete(cfg *config.Endor, flags *pflag.FlagSet) error {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // then there is no file in it either
	}
	return endorctl.Complete(cfg, flags, os.Getenv, home)
}

// restore takes the settings of a recording, which its questions were resolved
// with, except for those that are flags.
func (a *asking) restore(flags *pflag.FlagSet, s answers.Settings) {
	set := func(flag string, to *string, value string) {
		if !flags.Changed(flag) && value != "" {
			*to = value
		}
	}
	set("endor-namespace", &a.endor.EndorNamespace, s.EndorNamespace)
	set("certificate-oidc-issuer", &a.endor.CertificateOIDCIssuer, s.CertificateOIDCIssuer)
	set("image-names", &a.endor.ImageNames, s.ImageNames)
	if !flags.Changed("image-name-rewrite") {
		a.endor.ImageNameRewrite = s.ImageNameRewrite
	}
}

// replay says where answers come from, if not from Endor Labs.
func (s *session) replay() *findings.Replay {
	if s.player == nil {
		return nil
	}
	return &findings.Replay{File: s.asking.answers, RecordedAt: s.player.RecordedAt()}
}

// save writes the recording. A run that was interrupted leaves the file as it
// was: half a recording would replace a whole one.
func (s *session) save(ctx context.Context) error {
	switch {
	case s.recorder == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("--record: %s is left as it was, since the run was interrupted", s.asking.record)
	}
	err := s.recorder.Write(s.asking.record, answers.Settings{
		EndorNamespace: s.settings.EndorNamespace, CertificateOIDCIssuer: s.settings.CertificateOIDCIssuer,
		ImageNames: s.settings.ImageNames, ImageNameRewrite: s.settings.ImageNameRewrite,
	}, time.Now())
	if err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	fmt.Fprintf(s.stderr, "Recorded %s in %s.\n", printable.Count(s.recorder.Len(), "answer"), s.asking.record)
	return nil
}

// close ends what the session began.
func (s *session) close() error {
	err := s.provider.Close()
	if s.client != nil {
		s.client.Close()
	}
	return err
}
