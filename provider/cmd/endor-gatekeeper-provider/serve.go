// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
)

func serveCommand(getenv func(string) string) *cobra.Command {
	var cfg config.Serve
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer Gatekeeper's questions",
		Long: `Answer Gatekeeper's questions about container images with what Endor Labs
knows of their signatures, until SIGTERM or SIGINT.

Every flag is also a variable: --cache-ttl is ENDOR_PROVIDER_CACHE_TTL. ENDOR_API
and ENDOR_NAMESPACE are read too. Credentials are an API key and its secret, as
files or as ENDOR_API_CREDENTIALS_KEY and ENDOR_API_CREDENTIALS_SECRET, or a
token in ENDOR_TOKEN.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := errors.Join(cfg.Environment(cmd.Flags(), getenv), cfg.Validate())
			p := newProvider(&cfg, cmd.ErrOrStderr())
			defer p.closeLog()
			takeLibraries(p.log)
			if err = errors.Join(err, p.build(getenv, cmd.OutOrStdout(), cmd.ErrOrStderr())); err != nil {
				return err
			}
			defer p.close()
			// Whoever reads the output and leaves must not end the program.
			signal.Ignore(syscall.SIGPIPE)
			limitMemory(cmd.Context(), getenv, p.log)
			if err := p.run(cmd.Context()); err != nil {
				return runError{err}
			}
			return nil
		},
	}
	cfg.Bind(cmd.Flags())
	return cmd
}

// garbage is how much of it the runtime may let grow before it collects, in
// percent of what lives. Verdicts live long and answers are short, so that less
// than the runtime's 100 costs little time and saves a quarter of the memory of a
// full cache.
const garbage = 50

// limitMemory has the runtime collect garbage before the container's limit ends
// the process. GOMEMLIMIT and GOGC, where they are set, win.
func limitMemory(ctx context.Context, getenv func(string) string, log *slog.Logger) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	limit, err := memlimit.Set()
	if err != nil && !errors.Is(err, memlimit.ErrNoCgroup) {
		log.LogAttrs(ctx, slog.LevelWarn, "the memory limit of the container is not known", slog.String("error", err.Error()))
		return
	}
	log.LogAttrs(ctx, slog.LevelDebug, "memory limit", slog.Int64("bytes", limit))
}
