// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// Degraded is the one state of a process that says whether Endor Labs answers
// in time. It begins with the first question that overran its budget and ends
// with the next one that Endor decides; nothing else ends it.
//
// Gatekeeper has few threads. If each request waited for the whole of its
// budget while Endor hangs, the threads would fill, other admissions would
// outlast the webhook, and a webhook that ignores failures would admit them.
type Degraded struct {
	now   atomic.Bool
	gauge prometheus.Gauge
	log   *slog.Logger
}

// NewDegraded makes a state that has not begun. log may be nil.
func NewDegraded(log *slog.Logger, reg prometheus.Registerer) *Degraded {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Degraded{log: log, gauge: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
		Name: "degraded",
		Help: "1 from the first question that overran its budget until the next one that Endor Labs decides, else 0.",
	})}
}

// Now says whether Endor Labs does not answer in time.
func (d *Degraded) Now() bool { return d.now.Load() }

func (d *Degraded) enter(ctx context.Context) {
	if d.now.CompareAndSwap(false, true) {
		d.gauge.Set(1)
		d.log.LogAttrs(ctx, slog.LevelWarn, "degraded: Endor Labs does not answer in time; requests wait only for --degraded-wait until it does")
	}
}

func (d *Degraded) leave(ctx context.Context) {
	if d.now.CompareAndSwap(true, false) {
		d.gauge.Set(0)
		d.log.LogAttrs(ctx, slog.LevelInfo, "no longer degraded: Endor Labs answers")
	}
}

// Watch gives next, with the state ended by each of its decisions. It belongs
// behind the cache, whose verdicts say nothing of Endor Labs.
func (d *Degraded) Watch(next Verifier) Verifier { return watched{next: next, degraded: d} }

type watched struct {
	next     Verifier
	degraded *Degraded
}

func (w watched) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	v, err := w.next.Verify(ctx, q)
	if err == nil {
		w.degraded.leave(ctx)
	}
	return v, err
}
