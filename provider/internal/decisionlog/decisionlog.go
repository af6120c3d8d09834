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
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const (
	// queued lines are some seconds of a busy cluster's.
	queued = 4096

	// closing is how long the writer has for what is queued at the end. A pipe that
	// nobody reads would hold it for ever.
	closing = time.Second
)

// Config configures a [Log]. Out is required.
type Config struct {
	// Out takes lines, each in one Write. It is closed by [Log.Close] if it can be.
	Out io.Writer

	// Sample is the share of hits that is written, from 0 to 1.
	Sample float64

	Log        *slog.Logger          // hears that lines cannot be written; nil means nobody
	Registerer prometheus.Registerer // nil means that nobody reads the metrics
	Now        func() time.Time      // the wall clock; nil means that of the system
}

// Log writes decisions. Its [Log.Observe] is a [verify.Config]'s Observe.
type Log struct {
	cfg   Config
	lines chan line
	done  chan struct{} // closed once the writer ended

	written, dropped, failed prometheus.Counter

	closing struct {
		sync.RWMutex // protects closed, and lines from being closed while somebody sends
		closed       bool
	}
}

// New makes a log and starts its writer. Close must be called.
func New(cfg Config) *Log {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	results := promauto.With(cfg.Registerer).NewCounterVec(prometheus.CounterOpts{
		Name: "decision_log_lines_total",
		Help: "Lines of the decision log, by result (written; dropped because the writer does not keep up; or error).",
	}, []string{"result"})
	l := &Log{
		cfg: cfg, lines: make(chan line, queued), done: make(chan struct{}),
		written: results.WithLabelValues("written"), dropped: results.WithLabelValues("dropped"), failed: results.WithLabelValues("error"),
	}
	go l.write()
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
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closing.closed {
		l.dropped.Inc()
		return
	}
	select {
	case l.lines <- entry:
	default:
		l.dropped.Inc()
	}
}

// sampled says whether a hit is written.
func (l *Log) sampled() bool {
	return l.cfg.Sample > 0 && rand.Float64() < l.cfg.Sample //nolint:gosec // a sample has to be fair, not secret
}

// write is the writer. What is wrong with Out is said once, and again when it is
// something else.
func (l *Log) write() {
	defer close(l.done)
	last := ""
	for entry := range l.lines {
		_, err := l.cfg.Out.Write(entry.json())
		if err == nil {
			l.written.Inc()
			last = ""
			continue
		}
		l.failed.Inc()
		if text := err.Error(); text != last {
			last = text
			l.cfg.Log.LogAttrs(context.Background(), slog.LevelError, "cannot write to the decision log", slog.String("error", text))
		}
	}
}

// errStuck says that lines are lost at the end.
var errStuck = errors.New("decision log: nobody takes its lines, so the last ones are lost")

// Close writes what is queued, but does not wait for long, and closes Out.
func (l *Log) Close() error {
	l.closing.Lock()
	closed := l.closing.closed
	l.closing.closed = true
	l.closing.Unlock()
	if !closed {
		close(l.lines)
	}
	select {
	case <-l.done:
	case <-time.After(closing):
		return errStuck
	}
	if c, ok := l.cfg.Out.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
