// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
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

	// StaleIfError is how long past its life a VERIFIED is kept for when nobody
	// can be asked; zero means not at all.
	StaleIfError time.Duration

	// Shared is told each verdict that is kept; nil means that there is none.
	Shared Shared

	// Registerer takes the cache's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer

	// Now is the wall clock; default that of the system.
	Now func() time.Time
}

// wallClock goes on while the machine sleeps. What [time.Now] gives does not: it
// is compared by a clock that stands still then, and a verdict would be believed
// for as much longer.
func wallClock() time.Time { return time.Now().Round(0) }

// Cache keeps verdicts in memory. What is undecided is never kept.
type Cache struct {
	next    Verifier
	cfg     CacheConfig
	entries *otter.Cache[ID, *entry]

	// verified has the images that some question's verdict says are VERIFIED, and
	// until when, in nanoseconds since 1970.
	verified *otter.Cache[imageHash, int64]

	hits, misses, refreshes prometheus.Counter
}

var _ Verifier = (*Cache)(nil)

// entry is a verdict, stored small: few signers sign many images, and few results
// are possible.
type entry struct {
	code    Code
	result  unique.Handle[string]
	signer  unique.Handle[question.Claims]
	signed  time.Time
	asked   time.Time
	expires time.Time

	// nextRefresh, in nanoseconds since 1970, is when a hit may ask again.
	nextRefresh atomic.Int64
}

func (e *entry) verdict() Verdict {
	return Verdict{Code: e.code, Result: e.result.Value(), Signer: e.signer.Value(), SignedAt: e.signed, AskedAt: e.asked}
}

// refreshFrom is when a life enters its last quarter.
func (e *entry) refreshFrom() time.Time { return e.expires.Add(-e.expires.Sub(e.asked) / 4) }

// refreshPause is the time between two attempts to renew one verdict.
const refreshPause = 5 * time.Second

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
		cfg.Now = wallClock
	}
	c := &Cache{next: next, cfg: cfg}
	// The calculators only make room. Whether an entry may be believed is
	// decided when it is read, by the clock that made it.
	var err error
	c.entries, err = otter.New(&otter.Options[ID, *entry]{
		MaximumSize: cfg.Size,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[ID, *entry]) time.Duration {
			return c.keepUntil(e.Value).Sub(cfg.Now())
		}),
	})
	if err != nil {
		return nil, err
	}
	c.verified, err = otter.New(&otter.Options[imageHash, int64]{
		MaximumSize: cfg.Size,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[imageHash, int64]) time.Duration {
			return time.Unix(0, e.Value).Sub(cfg.Now())
		}),
	})
	if err != nil {
		return nil, err
	}
	c.register()
	return c, nil
}

func (c *Cache) register() {
	f := promauto.With(c.cfg.Registerer)
	requests := f.NewCounterVec(prometheus.CounterOpts{
		Name: "cache_requests_total",
		Help: "Questions that the cache in memory was asked, by result (hit or miss).",
	}, []string{"result"})
	c.hits, c.misses = requests.WithLabelValues("hit"), requests.WithLabelValues("miss")
	c.refreshes = f.NewCounter(prometheus.CounterOpts{
		Name: "cache_refreshes_total",
		Help: "Verdicts that were asked for again in the last quarter of their life.",
	})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cache_entries",
		Help: "Verdicts in the cache in memory, those past their life included.",
	}, func() float64 { return float64(c.entries.EstimatedSize()) })
	f.NewGaugeFunc(bytesOpts("verdicts"), func() float64 { return float64(c.entries.EstimatedSize()) * entryBytes })
}

// entryBytes is about what a verdict costs in memory, with its place in the
// cache and its image among the verified ones.
const entryBytes = 350

func bytesOpts(content string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{
		Name:        "cache_bytes",
		Help:        "About how much memory the cache takes, by content (verdicts; keys that were read).",
		ConstLabels: prometheus.Labels{"content": content},
	}
}

// Verify gives the verdict that is kept, or asks and keeps what it hears. For
// a refresh it asks unless somebody else has just done so.
func (c *Cache) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	id := Identify(q)
	e, live := c.get(id)
	// Somebody may have heard the answer since the caller peeked.
	if live && (!requestOf(ctx).refresh || c.cfg.Now().Before(e.refreshFrom())) {
		trailOf(ctx).wasKept()
		return e.verdict(), nil
	}
	v, err := c.next.Verify(ctx, q)
	if err != nil {
		return Verdict{}, err
	}
	v, live = c.keep(id, q, v)
	if v.Verified() && !live {
		// A call may take longer than its answer is believed.
		return Verdict{}, &Undecided{Code: Unavailable, Cause: CauseBudget}
	}
	return v, nil
}

// peek gives the verdict that is kept and asks nobody. refresh says that it is
// time to ask again, which it says to one caller at a time.
func (c *Cache) peek(id ID) (v Verdict, ok, refresh bool) {
	e, ok := c.get(id)
	if !ok {
		c.misses.Inc()
		return Verdict{}, false, false
	}
	c.hits.Inc()
	return e.verdict(), true, c.timeToRefresh(e)
}

func (c *Cache) timeToRefresh(e *entry) bool {
	now := c.cfg.Now()
	if now.Before(e.refreshFrom()) {
		return false
	}
	next := e.nextRefresh.Load()
	if now.UnixNano() < next || !e.nextRefresh.CompareAndSwap(next, now.Add(refreshPause).UnixNano()) {
		return false
	}
	c.refreshes.Inc()
	return true
}

// stale gives a VERIFIED past its life, marked as such, for a question that
// nobody could be asked.
func (c *Cache) stale(id ID) (Verdict, bool) {
	e, ok := c.entries.GetIfPresent(id)
	if !ok || e.code != Verified || !c.cfg.Now().Before(c.keepUntil(e)) || c.fromFuture(e.asked) {
		return Verdict{}, false
	}
	v := e.verdict()
	v.Stale = true
	return v, true
}

func (c *Cache) get(id ID) (*entry, bool) {
	e, ok := c.entries.GetIfPresent(id)
	if !ok || !c.cfg.Now().Before(e.expires) || c.fromFuture(e.asked) {
		return nil, false
	}
	return e, true
}

// keepUntil is when an entry is of no use any more. A refusal that is over is
// still later than a VERIFIED that was asked for before and lives longer, which
// the shared cache may have or be given again.
func (c *Cache) keepUntil(e *entry) time.Time {
	if e.code == Verified {
		return e.expires.Add(c.cfg.StaleIfError)
	}
	if outranks := e.asked.Add(c.cfg.TTL); outranks.After(e.expires) {
		return outranks
	}
	return e.expires
}

// keep keeps a verdict that was heard from Endor Labs, and gives what is kept
// then, perhaps one that was asked for later, and whether that is in its life.
func (c *Cache) keep(id ID, q question.Question, v Verdict) (kept Verdict, live bool) {
	expires := v.AskedAt.Add(c.life(q, v))
	e, isNew := c.put(id, q, v, expires)
	if isNew && c.cfg.Shared != nil {
		c.cfg.Shared.Put(id, v, expires)
	}
	return e.verdict(), c.cfg.Now().Before(e.expires)
}

// maxClockSkew is how far another provider's clock may be ahead of ours.
const maxClockSkew = 5 * time.Second

// fromFuture says that a verdict would be believed for too long, because of a
// clock: that of another provider is ahead, or ours was set back since.
func (c *Cache) fromFuture(asked time.Time) bool {
	return asked.After(c.cfg.Now().Add(maxClockSkew))
}

// adopt keeps a verdict that another provider heard, and gives what is kept
// then if it may be believed. Its age goes on; one from the future would be
// believed for too long.
func (c *Cache) adopt(id ID, q question.Question, v Verdict) (Verdict, bool) {
	expires := v.AskedAt.Add(c.life(q, v))
	now := c.cfg.Now()
	if !now.Before(expires) || c.fromFuture(v.AskedAt) {
		return Verdict{}, false
	}
	e, _ := c.put(id, q, v, expires)
	if !now.Before(e.expires) {
		return Verdict{}, false
	}
	return e.verdict(), true
}

// life is how long a verdict is believed. That the image is signed by somebody
// else does not change as soon as that it is not signed at all, so where
// another question about it is VERIFIED, WRONG_SIGNER lives as long.
func (c *Cache) life(q question.Question, v Verdict) time.Duration {
	if v.Verified() {
		return c.cfg.TTL
	}
	if v.Code == WrongSigner {
		if until, ok := c.verified.GetIfPresent(hashImage(q)); ok && c.cfg.Now().Before(time.Unix(0, until)) {
			return c.cfg.TTL
		}
	}
	return c.cfg.NegativeTTL
}

// imageHash names an image in its Endor namespace, whoever is asked to have
// signed it, almost always: whoever finds two images with one hash has a refusal
// of one of them live for minutes instead of seconds.
type imageHash uint64

func hashImage(q question.Question) imageHash {
	sum := sha256.Sum256([]byte(q.Namespace + " " + q.Image.Artifact()))
	return imageHash(binary.BigEndian.Uint64(sum[:]))
}

// put keeps v unless what is kept is worth more, and gives what is kept then: of
// two verdicts the one asked for later wins, so that a slow answer does not undo
// a newer one, and a live VERIFIED gives way only to a result that is known.
func (c *Cache) put(id ID, q question.Question, v Verdict, expires time.Time) (e *entry, kept bool) {
	e = &entry{
		code: v.Code, result: unique.Make(v.Result), signer: unique.Make(v.Signer),
		signed: v.SignedAt, asked: v.AskedAt, expires: expires,
	}
	c.entries.Compute(id, func(old *entry, found bool) (*entry, otter.ComputeOp) {
		// The same verdict, from the shared cache, does not begin anew.
		if found && !c.fromFuture(old.asked) && (!e.asked.After(old.asked) || c.outweighs(old, e)) {
			e = old
			return old, otter.CancelOp
		}
		kept = true
		return e, otter.WriteOp
	})
	if kept && v.Verified() {
		c.verified.Set(hashImage(q), expires.UnixNano())
	}
	return e, kept
}

func (c *Cache) outweighs(old, e *entry) bool {
	return e.code == UnrecognizedResult && old.code == Verified && c.cfg.Now().Before(old.expires)
}

// CleanUp does now what is otherwise done on the side: dropping what is over.
func (c *Cache) CleanUp() {
	c.entries.CleanUp()
	c.verified.CleanUp()
}

// Close ends the goroutines of the cache.
func (c *Cache) Close() {
	c.entries.StopAllGoroutines()
	c.verified.StopAllGoroutines()
}
