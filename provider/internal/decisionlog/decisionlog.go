// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package decisionlog writes a line of JSON for each decision about an image, for
// whoever has to know later what was admitted or refused, and why.
//
// A line is written for each key that is answered with a verdict, unless the
// verdict was kept from an earlier question: of those only a sample is. Verdicts
// past their life are no such hits and are always written. So are keys without a
// verdict, with "decided": false, since a policy refuses or admits by them too.
// A verdict that nobody waits for any more is written with "background": true.
// docs/decision-log.md describes every field.
//
// Nothing here delays an answer: lines wait in a bounded queue for one writer, and
// what does not fit is dropped and counted. No line holds anything that was not
// asked, decided or measured by the provider itself, but Endor's name of a result.
package decisionlog

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/linequeue"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Config configures a [Log]. Out is required.
type Config struct {
	// Out takes lines, each in one Write. It is closed by [Log.Close] if it can be.
	Out io.Writer

	// Sample is the share of hits that is written, from 0 to 1.
	Sample float64

	Log        *slog.Logger          // hears that lines are lost; nil means nobody. It must not wait
	Registerer prometheus.Registerer // nil means that nobody reads the metrics
	Now        func() time.Time      // the wall clock; nil means that of the system
}

// Log writes decisions. Its [Log.Observe] is a [verify.Config]'s Observe.
type Log struct {
	cfg   Config
	lines *linequeue.Queue
	last  string // what was wrong with Out; the writer's
}

// New makes a log and starts its writer. Close must be called.
func New(cfg Config) *Log {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Log{cfg: cfg}
	l.lines = linequeue.New(linequeue.Config{
		Out: cfg.Out, Results: linequeue.NewResults(cfg.Registerer, "decision_log_lines_total", "decision log"),
		Failed: l.failed, LeftOut: l.leftOut,
	})
	return l
}

// Observe queues a line about an answer if it deserves one.
func (l *Log) Observe(ctx context.Context, a *verify.Answer) {
	if isHit := a.Source == verify.FromMemory || a.Source == verify.FromRedis; isHit && !l.sampled() {
		return
	}
	entry := newLine(a, l.cfg.Now())
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		id := span.TraceID()
		entry.TraceID = hex.EncodeToString(id[:])
	}
	// What waits is the line and not the answer, whose key may be huge.
	_, _ = l.lines.Write(entry.json())
}

// sampled says whether a hit is written.
func (l *Log) sampled() bool {
	return l.cfg.Sample > 0 && rand.Float64() < l.cfg.Sample //nolint:gosec // a sample has to be fair, not secret
}

// failed says what is wrong with Out, and again only when it is something else or
// when lines were written meanwhile.
func (l *Log) failed(err error) {
	if text := err.Error(); text != l.last {
		l.last = text
		l.cfg.Log.LogAttrs(context.Background(), slog.LevelError, "cannot write to the decision log", slog.String("error", text))
	}
}

func (l *Log) leftOut(lines int64) {
	l.last = ""
	l.cfg.Log.LogAttrs(context.Background(), slog.LevelWarn, "the decision log lacks lines", slog.Int64("left_out", lines))
}

// Close writes what is queued, but does not wait for long, and closes Out.
func (l *Log) Close() error {
	if err := l.lines.Close(); err != nil {
		return fmt.Errorf("decision log: %w", err)
	}
	return nil
}
