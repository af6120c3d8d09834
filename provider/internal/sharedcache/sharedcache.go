// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package sharedcache keeps verdicts in a Redis or Valkey that several
// providers share, so that one of them asks Endor Labs and all of them know.
//
// The rule it keeps: nothing in the Redis is believed for being there. An entry
// counts only if a provider with one of our HMAC keys wrote it, about this very
// question put to this very API. Whoever can write to the Redis and has no key
// can delete entries and keep new ones out, which costs calls of Endor Labs. The
// one thing they can make us believe is a genuine entry that they kept and wrote
// back after a newer one took its place: a replay. It is believed until its own
// expiry, which is under the HMAC, and no longer: an image that is revoked stays
// admitted no longer than if nobody had asked again. Whoever can read the Redis
// learns who signed, but not which images run: the names of entries are HMACs.
//
// Losing the Redis costs calls as well and nothing else. A read takes 20 ms at
// most, writes are not waited for, and a Redis that fails is left alone until
// [Cache.Run] finds that it is well again.
//
// # Operating it
//
// One server, or one address that leads to the primary; not Redis Cluster. Let
// it evict (maxmemory-policy volatile-ttl or allkeys-lru), and save nothing: a
// lost entry is asked for again. The least that an ACL user needs is
//
//	on >PASSWORD ~endor:v1:* +mget +getrange +set +eval +evalsha
//
// A key is made with "openssl rand -base64 32". The file holds one a line, two
// at most; the first signs, both are believed. To roll the key without asking
// everything again:
//
//  1. Add the new key as the second line, and let all providers restart.
//  2. Swap the lines, and let all providers restart.
//  3. After the longest lifetime of a verdict, remove the old key.
//
// In between, a provider that does not know the key that another signs with may
// go on believing an older verdict, until that one's expiry.
//
// A key that others may know is removed at once instead: all that it signed is a
// miss from then on.
package sharedcache

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Config configures a [Cache]. URL, Keys and Origin are required.
type Config struct {
	// URL says where the Redis is and who we are there:
	// redis://USER:PASSWORD@HOST:PORT/DB, rediss:// with TLS, or
	// unix://USER:PASSWORD@/PATH?db=DB. It is a secret: neither errors nor logs
	// repeat any of it.
	URL string

	// Keys are one or two HMAC keys of at least 32 bytes, see [ParseKeys]. The
	// first signs, all are believed.
	Keys [][]byte

	// Origin is the address of the API that decides. Providers of different APIs
	// never see each other's verdicts.
	Origin string

	// RootCAs may have signed the certificate of a rediss:// server; nil means
	// those of the system.
	RootCAs *x509.CertPool

	// Timeout bounds each read; default 20 ms.
	Timeout time.Duration

	// Pause is how long a Redis that failed is left alone; default 1 second.
	Pause time.Duration

	// Tracer makes a span of each read; nil means that none are made.
	Tracer trace.Tracer

	// Registerer takes the cache's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer

	// Now is the wall clock; default [time.Now].
	Now func() time.Time

	// Log hears when the Redis is lost and found again; nil means nobody.
	Log *slog.Logger
}

const (
	// failures in a row are enough to leave the Redis alone. Requests that come
	// at the same time each have one.
	failures = 5

	// queued writes are dropped beyond this many: Redis is not keeping up.
	queued = 4096

	// believable is how far the clock of another provider may be ahead.
	believable = 5 * time.Second
)

// Cache is a [verify.Shared] in a Redis. It needs [Cache.Run].
type Cache struct {
	cfg     Config
	ring    ring
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	metrics *metrics
	writes  chan write

	// opened is told when the breaker opens.
	opened chan struct{}

	// trouble is the last failure, as [describe] puts it.
	trouble atomic.Pointer[string]

	// connect makes a client without connecting yet.
	connect func() *redis.Client
	client  atomic.Pointer[redis.Client]

	// ended and end stop connecting, which go-redis does behind our back.
	ended context.Context
	end   context.CancelFunc
}

var _ verify.Shared = (*Cache)(nil)

// New makes a Cache. It connects to nothing yet. Its errors say all that is
// wrong with cfg at once.
func New(cfg Config) (*Cache, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Millisecond
	}
	if cfg.Pause == 0 {
		cfg.Pause = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	server, err := parseURL(cfg.URL)
	if err := errors.Join(err, cfg.validate()); err != nil {
		return nil, err
	}
	c := &Cache{
		cfg: cfg, ring: newRing(cfg.Keys, cfg.Origin), metrics: newMetrics(cfg.Registerer),
		writes: make(chan write, queued), opened: make(chan struct{}, 1),
	}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:       cfg.Pause,
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
		IsExcluded:    func(err error) bool { return errors.Is(err, errLeft) },
		OnStateChange: c.stateChanged,
	})
	c.ended, c.end = context.WithCancel(context.Background())
	c.connect = func() *redis.Client { return newClient(c.ended, server, cfg.RootCAs) }
	c.client.Store(c.connect())
	return c, nil
}

func (c Config) validate() error {
	var errs []error
	if n := len(c.Keys); n < 1 || n > maxKeys {
		errs = append(errs, fmt.Errorf("shared cache: %d HMAC keys, want one or two", n))
	}
	for i, key := range c.Keys {
		if len(key) < minKeyBytes {
			errs = append(errs, fmt.Errorf("shared cache: HMAC key %d has %d bytes, want %d at least", i+1, len(key), minKeyBytes))
		}
	}
	if c.Origin == "" {
		errs = append(errs, errors.New("shared cache: Origin is required"))
	}
	if c.Timeout < 0 || c.Pause < 0 {
		errs = append(errs, errors.New("shared cache: a negative duration"))
	}
	return errors.Join(errs...)
}

// errLeft says that the caller went away, or that we are about to, which is not
// the fault of the Redis.
var errLeft = errors.New("nobody waits for the answer")

// Get gives the verdicts that are kept and may be believed.
func (c *Cache) Get(ctx context.Context, ids []verify.ID) map[verify.ID]verify.Verdict {
	if len(ids) == 0 {
		return nil
	}
	values, result := c.read(ctx, c.ring.names(ids))
	if values == nil {
		result.Add(float64(len(ids)))
		return nil
	}
	now := c.cfg.Now()
	found := make(map[verify.ID]verify.Verdict, len(ids))
	for i, id := range ids {
		v, ok := c.believe(id, values[i*len(c.ring.keys):], now)
		if !ok {
			c.metrics.misses.Inc()
			continue
		}
		c.metrics.hits.Inc()
		found[id] = v
	}
	return found
}

// believe chooses among what is kept about id under the name that each key
// gives it: of two verdicts the one that was asked for later wins.
func (c *Cache) believe(id verify.ID, values []any, now time.Time) (verify.Verdict, bool) {
	var best verify.Verdict
	found := false
	for i := range c.ring.keys {
		raw, ok := values[i].(string)
		if !ok {
			continue
		}
		e, reason := c.ring.open(i, id, raw, now)
		if reason != "" {
			c.metrics.rejected.WithLabelValues(string(reason)).Inc()
			continue
		}
		if !found || e.verdict.AskedAt.After(best.AskedAt) {
			best, found = e.verdict, true
		}
	}
	return best, found
}

// read gives the values of names, a string each or nil, or none of them and
// what to count that as.
func (c *Cache) read(caller context.Context, names []string) ([]any, prometheus.Counter) {
	if !c.usable() {
		return nil, c.metrics.skipped
	}
	done, err := c.breaker.Allow()
	if err != nil {
		return nil, c.metrics.skipped
	}
	start := time.Now()
	reading, span := c.startRead(caller, len(names))
	values, err := c.mget(reading, c.cfg.Timeout, names)
	endRead(span, err)
	c.metrics.seconds.Observe(time.Since(start).Seconds())
	if err != nil && (caller.Err() != nil || c.ended.Err() != nil) {
		err = errLeft
	}
	c.report(done, err)
	if err != nil {
		return nil, c.metrics.failed
	}
	return values, nil
}

func (c *Cache) mget(ctx context.Context, timeout time.Duration, names []string) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	values, err := c.client.Load().MGet(ctx, names...).Result()
	if err == nil && len(values) != len(names) {
		err = errReply
	}
	return values, err
}

// Put queues a verdict to be kept until expires, unless one is there that was
// asked for later.
func (c *Cache) Put(id verify.ID, v verify.Verdict, expires time.Time) {
	select {
	case c.writes <- write{id: id, entry: entry{verdict: v, expires: expires}}:
	default:
		c.metrics.wrote(dropped, 1)
	}
}

// Run writes what was put, and looks after the connection, until ctx ends. What
// is still queued then is dropped.
func (c *Cache) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	tasks.Go(func() { c.writeAll(ctx) })
	tasks.Go(func() { c.mend(ctx) })
	<-ctx.Done()
	// go-redis ends neither a read nor a connection in the making with a context.
	c.end()
	c.close()
	tasks.Wait()
	c.close() // if it was renewed meanwhile
	return nil
}

// close ends the reads and writes under way; twice does no harm.
func (c *Cache) close() { _ = c.client.Load().Close() }
