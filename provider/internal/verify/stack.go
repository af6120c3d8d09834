// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config configures a [Desk] and all that stands behind it. What is zero has
// the default of its part.
type Config struct {
	Resolver Resolver

	// Budget is how long a request waits for its undecided questions, and
	// DegradedWait how long while Endor Labs does not answer in time; defaults
	// [DefaultBudget] and [DefaultDegradedWait].
	Budget, DegradedWait time.Duration

	// UpstreamTimeout is how long a question may take with all its calls,
	// whether anybody still waits or not; default 15 seconds.
	UpstreamTimeout time.Duration

	// Concurrency is how many questions are with Endor Labs at the same time;
	// default 32.
	Concurrency int

	// Breaker configures when nobody is asked for a while. Its Budget and
	// Registerer are those of this Config.
	Breaker BreakerConfig

	// Cache configures the verdicts that are kept. Its Shared, Registerer and
	// Now are those of this Config.
	Cache CacheConfig

	// Shared is a cache that other providers share; nil means that there is none.
	Shared Shared

	Log        *slog.Logger          // nil means none
	Registerer prometheus.Registerer // nil means that nobody reads the metrics
	Now        func() time.Time      // the wall clock; nil means that of the system
}

// limitWaiting is how many questions may be with Endor Labs or wait for that: a
// little less than may wait for an answer in all.
const limitWaiting = 960

// New stacks everything that a request passes on its way to core, in the order
// that the package comment tells. Close must be called. Its only error is a
// negative size of the cache.
func New(core Verifier, cfg Config) (*Desk, error) {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 32
	}
	limit := NewLimitWith(core, LimitConfig{
		// It has to be full before the bound on all that wait, which refuses whoever
		// comes: this one refuses whoever has the most.
		Slots: cfg.Concurrency, MaxWaiting: max(limitWaiting-cfg.Concurrency, limitWaiting/4), Registerer: cfg.Registerer,
	})
	cfg.Breaker.Budget, cfg.Breaker.Registerer = cfg.Budget, cfg.Registerer
	if cfg.Breaker.Failures == 0 {
		cfg.Breaker.Failures = DefaultBreakerFailures
	}
	// Calls that hang must be able to open it while they hold every slot.
	cfg.Breaker.Failures = min(cfg.Breaker.Failures, cfg.Concurrency)
	breaker := NewBreaker(limit, cfg.Breaker)
	degraded := NewDegraded(cfg.Log, cfg.Registerer)
	v := degraded.Watch(breaker)
	cfg.Cache.Shared, cfg.Cache.Registerer, cfg.Cache.Now = cfg.Shared, cfg.Registerer, cfg.Now
	cache, err := NewCache(v, cfg.Cache)
	if err != nil {
		return nil, err
	}
	calls := NewCoalesce(cache, CoalesceConfig{Timeout: cfg.UpstreamTimeout, Budget: cfg.Budget, Impatient: degraded.Now})
	return newDesk(cfg, calls, cache, degraded), nil
}
