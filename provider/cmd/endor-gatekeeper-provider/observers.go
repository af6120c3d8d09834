// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/decisionlog"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/tracing"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func (p *provider) newTracing(getenv func(string) string) (err error) {
	p.tracing, err = tracing.New(tracing.Config{
		Service: program, Version: buildinfo.Read().Version, Getenv: getenv, Log: p.log, Registerer: p.metrics,
	})
	return err
}

// newDecisionLog opens where --decision-log says.
func (p *provider) newDecisionLog(stdout, stderr io.Writer) error {
	var out io.Writer
	switch p.cfg.DecisionLog {
	case config.Off, "": // the latter is said by the settings
		return nil
	case config.Stdout:
		out = neverClosed{stdout}
	case config.Stderr:
		out = neverClosed{stderr}
	default:
		file, err := decisionlog.Open(p.cfg.DecisionLog)
		if err != nil {
			return fmt.Errorf("--decision-log: %w", err)
		}
		out = file
	}
	p.decided = decisionlog.New(decisionlog.Config{Out: out, Sample: p.cfg.DecisionLogSample, Log: p.log, Registerer: p.metrics})
	return nil
}

func (p *provider) observe() func(context.Context, *verify.Answer) {
	if p.decided == nil {
		return nil
	}
	return p.decided.Observe
}

// closeObservers writes and sends what is left.
func (p *provider) closeObservers() {
	var err error
	if p.decided != nil {
		err = p.decided.Close()
	}
	if err = errors.Join(err, p.tracing.Close()); err != nil {
		p.log.LogAttrs(context.Background(), slog.LevelWarn, "not all was written", slog.String("error", err.Error()))
	}
}
