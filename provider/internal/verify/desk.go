// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// DeskConfig configures a [Desk]. Verifier is required.
type DeskConfig struct {
	Resolver Resolver
	Verifier Verifier

	// Cache is peeked at before Verifier is asked; nil means that there is none.
	Cache *Cache

	// Budget is how long a request waits for its undecided questions; default
	// 1.7 seconds, which leaves Gatekeeper the time to say why within the
	// Provider's timeout of 2 seconds.
	Budget time.Duration

	// Registerer takes the desk's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer
}

// DefaultBudget is the default of [DeskConfig.Budget].
const DefaultBudget = 1700 * time.Millisecond

// Desk answers the keys of requests.
type Desk struct {
	cfg       DeskConfig
	keys      *keyReader
	verdicts  *prometheus.CounterVec
	undecided *prometheus.CounterVec
}

// NewDesk makes a desk.
func NewDesk(cfg DeskConfig) *Desk {
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	f := promauto.With(cfg.Registerer)
	d := &Desk{
		cfg: cfg, keys: newKeyReader(cfg.Resolver),
		verdicts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "verdicts_total",
			Help: "Keys that were answered with a verdict, by code.",
		}, []string{"code"}),
		undecided: f.NewCounterVec(prometheus.CounterOpts{
			Name: "undecided_total",
			Help: "Keys that could not be answered, by code and cause.",
		}, []string{"code", "cause"}),
	}
	// An alert needs a zero to rise from.
	for _, code := range Codes() {
		if class := code.Class(); class == ClassVerified || class == ClassRejected {
			d.verdicts.WithLabelValues(string(code))
		}
	}
	return d
}

// Answer is what became of one key.
type Answer struct {
	Key string

	// Question is the key resolved; zero if the key was refused as it is.
	Question question.Question

	// Verdict is zero if there is none, and Undecided then says why.
	Verdict   Verdict
	Undecided *Undecided

	// Cached says that the verdict was not asked for by this request.
	Cached bool
}

// Answers gives one answer for each of keys, which are distinct, in their
// order. It asks about all at the same time and returns as soon as each is
// answered, at the end of the budget, or when ctx ends.
func (d *Desk) Answers(ctx context.Context, keys []string) []Answer {
	answers := make([]Answer, len(keys))
	var open []int
	for i, key := range keys {
		if answers[i] = d.atOnce(key); answers[i].Verdict == (Verdict{}) && answers[i].Undecided == nil {
			open = append(open, i)
		}
	}
	d.ask(ctx, answers, open)
	for i := range answers {
		d.count(&answers[i])
	}
	return answers
}

// atOnce answers what needs no call. An answer with neither a verdict nor a
// reason is left to be asked for.
func (d *Desk) atOnce(key string) Answer {
	read, err := d.keys.read(key)
	if err != nil {
		return refused(key, err)
	}
	a := Answer{Key: key, Question: read.question}
	if d.cfg.Cache != nil {
		a.Verdict, a.Cached = d.cfg.Cache.peek(read.id)
	}
	return a
}

func (d *Desk) ask(ctx context.Context, answers []Answer, open []int) {
	if len(open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Budget)
	defer cancel()
	var wg sync.WaitGroup
	for _, i := range open {
		wg.Go(func() {
			a := &answers[i]
			v, err := d.cfg.Verifier.Verify(ctx, a.Question)
			if err != nil {
				a.Undecided = undecided(err)
				return
			}
			a.Verdict = v
		})
	}
	wg.Wait()
}

func (d *Desk) count(a *Answer) {
	if a.Undecided != nil {
		d.undecided.WithLabelValues(string(a.Undecided.Code), string(a.Undecided.Cause)).Inc()
		return
	}
	d.verdicts.WithLabelValues(string(a.Verdict.Code)).Inc()
}
