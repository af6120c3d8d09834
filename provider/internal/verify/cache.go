// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"time"
	"unique"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// CacheConfig configures a [Cache].
type CacheConfig struct {
	// Size bounds the verdicts that are kept; default 100,000.
	Size int

	// TTL is how long VERIFIED is believed, counted from when the question was
	// sent; default 5 minutes.
	TTL time.Duration

	// NegativeTTL is the same for every other verdict; default 15 seconds, so
	// that an image that was signed a moment ago is soon admitted.
	NegativeTTL time.Duration

	// Registerer takes the cache's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer

	// Now is the wall clock; default [time.Now].
	Now func() time.Time
}

// Cache keeps verdicts in memory. What is undecided is never kept.
type Cache struct {
	next    Verifier
	cfg     CacheConfig
	entries *otter.Cache[identity, entry]
	hits    prometheus.Counter
	misses  prometheus.Counter
}

var _ Verifier = (*Cache)(nil)

// entry is a verdict, stored small: few signers sign many images.
type entry struct {
	code    Code
	result  string
	signer  unique.Handle[question.Claims]
	signed  time.Time
	asked   time.Time
	expires time.Time
}

// NewCache makes an empty cache before next. Its only error is a negative size.
func NewCache(next Verifier, cfg CacheConfig) (*Cache, error) {
	if cfg.Size == 0 {
		cfg.Size = 100_000
	}
	if cfg.TTL == 0 {
		cfg.TTL = 5 * time.Minute
	}
	if cfg.NegativeTTL == 0 {
		cfg.NegativeTTL = 15 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	entries, err := otter.New(&otter.Options[identity, entry]{
		MaximumSize: cfg.Size,
		// This only makes room. Whether an entry may be believed is decided
		// when it is read, by the clock that made it.
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[identity, entry]) time.Duration {
			return e.Value.expires.Sub(cfg.Now())
		}),
	})
	if err != nil {
		return nil, err
	}
	requests := promauto.With(cfg.Registerer).NewCounterVec(prometheus.CounterOpts{
		Name: "cache_requests_total",
		Help: "Questions that the cache in memory was asked, by result (hit or miss).",
	}, []string{"result"})
	promauto.With(cfg.Registerer).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cache_entries",
		Help: "Verdicts in the cache in memory.",
	}, func() float64 { return float64(entries.EstimatedSize()) })
	return &Cache{
		next: next, cfg: cfg, entries: entries,
		hits: requests.WithLabelValues("hit"), misses: requests.WithLabelValues("miss"),
	}, nil
}

// Verify gives the verdict that is kept, or asks and keeps what it hears.
func (c *Cache) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	id := identify(q)
	// Somebody may have heard the answer since the caller peeked.
	if v, ok := c.get(id); ok {
		return v, nil
	}
	v, err := c.next.Verify(ctx, q)
	if err == nil {
		c.put(id, v)
	}
	return v, err
}

// Peek gives the verdict that is kept and asks nobody.
func (c *Cache) Peek(q question.Question) (Verdict, bool) { return c.peek(identify(q)) }

func (c *Cache) peek(id identity) (Verdict, bool) {
	v, ok := c.get(id)
	if ok {
		c.hits.Inc()
	} else {
		c.misses.Inc()
	}
	return v, ok
}

func (c *Cache) get(id identity) (Verdict, bool) {
	e, ok := c.entries.GetIfPresent(id)
	if !ok || !c.cfg.Now().Before(e.expires) {
		return Verdict{}, false
	}
	return Verdict{Code: e.code, Result: e.result, Signer: e.signer.Value(), SignedAt: e.signed, AskedAt: e.asked}, true
}

// put keeps v unless a verdict is kept that was asked for later: a slow answer
// must not undo a newer one.
func (c *Cache) put(id identity, v Verdict) {
	ttl := c.cfg.NegativeTTL
	if v.Verified() {
		ttl = c.cfg.TTL
	}
	e := entry{
		code: v.Code, result: v.Result, signer: unique.Make(v.Signer),
		signed: v.SignedAt, asked: v.AskedAt, expires: v.AskedAt.Add(ttl),
	}
	c.entries.Compute(id, func(old entry, found bool) (entry, otter.ComputeOp) {
		if found && old.asked.After(e.asked) {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

// CleanUp does now what is otherwise done on the side: dropping what is over.
func (c *Cache) CleanUp() { c.entries.CleanUp() }

// Close ends the goroutines of the cache.
func (c *Cache) Close() { c.entries.StopAllGoroutines() }
