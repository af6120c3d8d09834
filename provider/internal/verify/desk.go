// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	// DefaultBudget leaves Gatekeeper the time to say why within the Provider's
	// timeout of 2 seconds.
	DefaultBudget = 1700 * time.Millisecond

	// DefaultDegradedWait is long enough for an Endor Labs that answers again,
	// and short enough for several requests one after the other in one
	// admission.
	DefaultDegradedWait = 100 * time.Millisecond
)

// Desk answers the keys of requests. Make one with [New].
type Desk struct {
	budget, degradedWait time.Duration

	keys     *keyReader
	cache    *Cache
	shared   Shared
	calls    *Coalesce
	degraded *Degraded

	verdicts  *prometheus.CounterVec
	undecided *prometheus.CounterVec
	staled    prometheus.Counter
	overruns  prometheus.Counter
	observe   func(context.Context, *Answer) // may be nil
	spans     spans

	// refreshes are under way behind answers that were given.
	refreshes sync.WaitGroup
}

func newDesk(cfg Config, calls *Coalesce, cache *Cache, degraded *Degraded) *Desk {
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	if cfg.DegradedWait == 0 {
		cfg.DegradedWait = DefaultDegradedWait
	}
	f := promauto.With(cfg.Registerer)
	d := &Desk{
		budget: cfg.Budget, degradedWait: cfg.DegradedWait,
		keys: newKeyReader(cfg.Resolver, cfg.Registerer), cache: cache, shared: cfg.Shared, calls: calls, degraded: degraded,
		observe: cfg.Observe, spans: spans{cfg.Tracer},
		verdicts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "verdicts_total",
			Help: "Keys that were answered with a verdict, by code.",
		}, []string{"code"}),
		undecided: f.NewCounterVec(prometheus.CounterOpts{
			Name: "undecided_total",
			Help: "Keys that could not be answered, by code and cause.",
		}, []string{"code", "cause"}),
		staled: f.NewCounter(prometheus.CounterOpts{
			Name: "stale_answers_total",
			Help: "Keys that were answered with a verdict past its life, because Endor Labs could not be asked.",
		}),
		overruns: f.NewCounter(prometheus.CounterOpts{
			Name: "budget_overruns_total",
			Help: "Requests that were answered at the end of their budget with something undecided.",
		}),
	}
	// An alert needs a zero to rise from.
	for _, code := range Codes() {
		if class := code.Class(); class == ClassVerified || class == ClassRejected {
			d.verdicts.WithLabelValues(string(code))
		}
	}
	for _, u := range Undecidable() {
		d.undecided.WithLabelValues(string(u.Code), string(u.Cause))
	}
	return d
}

type beganKey struct{}

// WithBegan has [Desk.Answers] count the budget from when a request came, which
// may be a while before it was read.
func WithBegan(ctx context.Context, began time.Time) context.Context {
	return context.WithValue(ctx, beganKey{}, began)
}

// Answers gives one answer for each of keys, which are distinct, in their
// order. It asks about all at the same time and returns as soon as each is
// answered, at the end of the budget, or when ctx ends.
func (d *Desk) Answers(ctx context.Context, keys []string) []Answer {
	start := time.Now()
	answers := make([]Answer, len(keys))
	looking, span := d.spans.cache(ctx)
	var unknown []unanswered
	var due []readKey
	for i, key := range keys {
		a := &answers[i]
		a.Key = key
		read, err := d.keys.read(key)
		if err != nil {
			a.refuse(err)
			continue
		}
		a.Question = read.question
		var refresh bool
		var kept bool
		if a.Verdict, kept, refresh = d.cache.peek(read.id); refresh {
			due = append(due, read)
		}
		if !kept {
			unknown = append(unknown, unanswered{Answer: a, id: read.id})
			continue
		}
		a.Source = FromMemory
	}
	if len(due) > 0 {
		d.refresh(ctx, due)
	}
	unknown = d.lookUp(looking, unknown)
	endCache(span, len(keys), len(unknown))
	if len(unknown) > 0 {
		d.ask(ctx, unknown)
	}
	d.tell(ctx, answers, time.Since(start))
	return answers
}

// tell counts answers and tells whoever wants to know.
func (d *Desk) tell(ctx context.Context, answers []Answer, took time.Duration) {
	for i := range answers {
		a := &answers[i]
		d.count(a)
		if a.Phases.Total == 0 { // nobody was asked
			a.Phases.Total = took
		}
		if d.observe != nil {
			d.observe(ctx, a)
		}
	}
}

// unanswered is an answer that is still to be found.
type unanswered struct {
	*Answer
	id ID
}

// lookUp answers what the shared cache knows and gives the rest.
func (d *Desk) lookUp(ctx context.Context, unknown []unanswered) []unanswered {
	if d.shared == nil || len(unknown) == 0 {
		return unknown
	}
	ids := make([]ID, len(unknown))
	for i, u := range unknown {
		ids[i] = u.id
	}
	kept := d.shared.Get(ctx, ids)
	return slices.DeleteFunc(unknown, func(u unanswered) bool {
		v, ok := kept[u.id]
		if ok {
			v, ok = d.cache.adopt(u.id, u.Question, v)
		}
		if ok {
			u.Verdict, u.Source = v, FromRedis
		}
		return ok
	})
}

// ask asks about what is unknown, all at the same time.
func (d *Desk) ask(ctx context.Context, unknown []unanswered) {
	budget := d.budget
	if began, ok := ctx.Value(beganKey{}).(time.Time); ok {
		budget -= time.Since(began)
	}
	degraded := d.degraded.Now()
	if degraded {
		budget = min(budget, d.degradedWait)
	}
	asking, cancel := context.WithTimeout(withRequest(ctx, &request{unknown: len(unknown)}), budget)
	defer cancel()
	var wg sync.WaitGroup
	for _, u := range unknown {
		wg.Go(func() {
			asking, span := d.spans.key(asking, u.Question)
			d.calls.ask(asking, u.Answer)
			endKey(span, u.Answer)
		})
	}
	wg.Wait()
	// A caller that hung up before is no sign of a slow Endor Labs.
	if !degraded && ctx.Err() == nil && asking.Err() != nil && slices.ContainsFunc(unknown, unavailable) {
		d.overruns.Inc()
		d.degraded.enter(ctx)
	}
	for _, u := range unknown {
		d.fallBack(u)
	}
}

func unavailable(u unanswered) bool { return u.Undecided != nil && u.Undecided.Code == Unavailable }

// fallBack answers a question that Endor Labs could not be asked with a verdict
// past its life. A full queue of ours is no reason: whoever can fill it could
// keep a revoked image alive.
func (d *Desk) fallBack(u unanswered) {
	if u.Undecided == nil || u.Undecided.Code != Unavailable || u.Undecided.ofOurs() {
		return
	}
	if v, ok := d.cache.stale(u.id); ok {
		u.Verdict, u.Source, u.Undecided = v, FromStale, nil
		d.staled.Inc()
	}
}

// refresh asks again behind answers that are given. Nobody waits for it. What
// another provider has renewed is in the shared cache, and is not asked again.
func (d *Desk) refresh(ctx context.Context, due []readKey) {
	ctx = context.WithoutCancel(ctx)
	d.refreshes.Go(func() {
		d.catchUp(ctx, due)
		for _, r := range due {
			d.refreshes.Go(func() {
				ctx, span := d.spans.key(withRequest(ctx, &request{unknown: 1, refresh: true}), r.question)
				// What became of it is in the cache, or nowhere.
				a := Answer{Question: r.question, Background: true}
				d.calls.ask(ctx, &a)
				endKey(span, &a)
			})
		}
	})
}

// catchUp takes from the shared cache what is newer there.
func (d *Desk) catchUp(ctx context.Context, due []readKey) {
	if d.shared == nil {
		return
	}
	ids := make([]ID, len(due))
	for i, r := range due {
		ids[i] = r.id
	}
	kept := d.shared.Get(ctx, ids)
	for _, r := range due {
		if v, ok := kept[r.id]; ok {
			d.cache.adopt(r.id, r.question, v)
		}
	}
}

// Close ends the calls that are under way. Questions that come later, and that
// no cache answers, are undecided.
func (d *Desk) Close() {
	d.calls.Close()
	d.refreshes.Wait()
	d.cache.Close()
}

func (d *Desk) count(a *Answer) {
	if a.Undecided != nil {
		d.undecided.WithLabelValues(string(a.Undecided.Code), string(a.Undecided.Cause)).Inc()
		return
	}
	d.verdicts.WithLabelValues(string(a.Verdict.Code)).Inc()
}
