// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
)

// Source says where a verdict was taken from.
type Source string

// The sources. A question that is undecided has none.
const (
	// FromKey: the key itself is refused. Nobody was asked.
	FromKey Source = "key"

	FromMemory Source = "memory"
	FromRedis  Source = "redis"

	// FromStale: from memory, past its life, because nobody could be asked.
	FromStale Source = "stale"

	// FromUpstream: Endor Labs was asked, perhaps for somebody else too.
	FromUpstream Source = "upstream"
)

// Phases are what the time until an answer went into. What is left of Total are
// the caches, and pauses between attempts.
type Phases struct {
	Queue    time.Duration // until it was its turn within the provider
	Token    time.Duration // until there was a token
	Upstream time.Duration // with Endor Labs
	Total    time.Duration
}

// trail is what a call leaves for who wants to know how it went. It travels in
// the call's context and may be read while the call goes on.
type trail struct {
	timings endor.Timings
	queue   atomic.Int64
	kept    atomic.Bool // the cache had the verdict
}

type trailKey struct{}

func (t *trail) into(ctx context.Context) context.Context {
	return context.WithValue(endor.WithTimings(ctx, &t.timings), trailKey{}, t)
}

// trailOf is nil for a question that was asked without one. The methods below do
// nothing then.
func trailOf(ctx context.Context) *trail {
	t, _ := ctx.Value(trailKey{}).(*trail)
	return t
}

// waited says that a slot was waited for.
func (t *trail) waited(d time.Duration) {
	if t != nil {
		t.queue.Add(int64(d))
	}
}

// wasKept says that nobody had to be asked.
func (t *trail) wasKept() {
	if t != nil {
		t.kept.Store(true)
	}
}

func (t *trail) source() Source {
	if t.kept.Load() {
		return FromMemory
	}
	return FromUpstream
}

func (t *trail) phases(total time.Duration) Phases {
	return Phases{
		Queue: time.Duration(t.queue.Load()) + t.timings.Rate(), Token: t.timings.Token(), Upstream: t.timings.Upstream(), Total: total,
	}
}
