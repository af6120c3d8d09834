// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"

	"k8s.io/klog/v2"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/linequeue"
)

// newLog makes the program's log. Its lines wait in a queue: a container runtime
// that does not read them must cost lines, and neither answers nor the end of the
// program.
func (p *provider) newLog(stderr io.Writer) {
	direct := newLogger(p.cfg, stderr)
	p.lines = linequeue.New(linequeue.Config{
		Out: neverClosed{stderr}, Results: linequeue.NewResults(p.metrics, "log_lines_total", "program's log"),
		LeftOut: func(lines int64) {
			direct.LogAttrs(context.Background(), slog.LevelWarn, "the log lacks lines", slog.Int64("left_out", lines))
		},
	})
	p.log = newLogger(p.cfg, p.lines)
}

func newLogger(cfg *config.Serve, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.Text {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// closeLog writes what is left. Nobody could be told that it is not.
func (p *provider) closeLog() { _ = p.lines.Close() }

// takeLibraries has log take what libraries would write to stderr by themselves,
// and wait for: net/http through package log, and client-go.
func takeLibraries(log *slog.Logger) {
	slog.SetDefault(log)
	klog.SetSlogLogger(log)
}

// neverClosed is for what belongs to the process.
type neverClosed struct{ io.Writer }
