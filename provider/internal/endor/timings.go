// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"sync/atomic"
	"time"
)

// Timings are what a call's time went into. They may be read while it goes on.
// What is in none of them are the pauses before attempts that are repeated.
type Timings struct {
	rate, token, upstream atomic.Int64
}

// Rate is the time that was waited for [Config.Rate].
func (t *Timings) Rate() time.Duration { return time.Duration(t.rate.Load()) }

// Token is the time that was waited for a token, whoever had it exchanged.
func (t *Timings) Token() time.Duration { return time.Duration(t.token.Load()) }

// Upstream is the time of the attempts themselves, until all of a response was
// there.
func (t *Timings) Upstream() time.Duration { return time.Duration(t.upstream.Load()) }

type timingsKey struct{}

// WithTimings gives a context whose calls add to t; nil means that they do not.
func WithTimings(ctx context.Context, t *Timings) context.Context {
	return context.WithValue(ctx, timingsKey{}, t)
}

// since adds what passed since start to the phase that is chosen.
func since(ctx context.Context, start time.Time, phase func(*Timings) *atomic.Int64) {
	if t, _ := ctx.Value(timingsKey{}).(*Timings); t != nil {
		phase(t).Add(int64(time.Since(start)))
	}
}

func ratePhase(t *Timings) *atomic.Int64     { return &t.rate }
func tokenPhase(t *Timings) *atomic.Int64    { return &t.token }
func upstreamPhase(t *Timings) *atomic.Int64 { return &t.upstream }
