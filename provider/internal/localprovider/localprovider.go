// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package localprovider is the provider within another program, for whoever
// asks at a desk or in CI: the same questions, the same stack of package verify
// and the same verdicts as in a cluster, but with time to wait for them.
//
// [Provider.Ask] asks directly. [Provider.Engine] makes a Gatekeeper engine that
// asks as it would in a cluster, over HTTPS on loopback with client certificates
// that are made for the purpose and that no file keeps. Either way every answer
// is remembered by its image, so that a report can tell who signed what passed.
//
// In a cluster an admission waits, so a question has less than two seconds, and
// a limit on calls protects Endor Labs from a fleet. Here nobody waits but the
// person who asked: a question has [Patience], and the only bound is how many
// are asked at the same time.
package localprovider

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const (
	// DefaultConcurrency is the default of [Config.Concurrency].
	DefaultConcurrency = 32

	// Patience is how long a question waits for its answer, its place in the
	// queue included. It is longer than the client of Endor Labs tries, so that
	// what ends a question is what happened, and not the clock.
	Patience = 2 * time.Minute

	// hopeless is how many questions in a row may fail, each after all its
	// retries, until no more are asked for a while.
	hopeless = 3
)

// Config configures a [Provider]. Verifier is required.
type Config struct {
	// Verifier decides what is not in memory yet: verify.Endor, or answers that
	// were recorded.
	Verifier verify.Verifier

	Resolver verify.Resolver

	// Concurrency is how many questions are asked at the same time; default
	// [DefaultConcurrency].
	Concurrency int

	// Log takes what the provider has to say; nil means nobody reads it.
	Log *slog.Logger
}

// Provider answers questions within this process. It is safe for concurrent
// use. Make one with [Start].
type Provider struct {
	desk        *verify.Desk
	concurrency int
	answered    record
	endpoint    endpoint

	ctx  context.Context // ends with Start's context or with Close
	stop context.CancelFunc
}

// Start makes a provider, until ctx ends or Close is called. When ctx ends,
// everything that is asked ends with it, undecided. It opens nothing: that is
// for whoever calls [Provider.Engine].
func Start(ctx context.Context, cfg Config) (*Provider, error) {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = DefaultConcurrency
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	// Nothing is given past its life, and a person who asks again wants to know
	// anew; within one run a verdict holds.
	desk, err := verify.New(cfg.Verifier, verify.Config{
		Resolver: cfg.Resolver, Budget: Patience, DegradedWait: Patience, UpstreamTimeout: Patience,
		Concurrency: cfg.Concurrency, Log: cfg.Log,
		Cache: verify.CacheConfig{TTL: lifetime, NegativeTTL: lifetime},
		// Questions that come one after the other must not each find out anew that
		// Endor Labs is down, which takes a client's whole patience.
		Breaker: verify.BreakerConfig{Failures: hopeless, Window: Patience, OpenFor: Patience / 2},
	})
	if err != nil {
		return nil, err
	}
	p := &Provider{desk: desk, concurrency: cfg.Concurrency, endpoint: endpoint{log: cfg.Log}}
	p.ctx, p.stop = context.WithCancel(ctx)
	return p, nil
}

// lifetime of certificates and verdicts: longer than a program runs.
const lifetime = 24 * time.Hour

// Answers answers keys as the provider in a cluster does and remembers each
// answer. It is for handlers; see [Provider.Ask] for many keys.
func (p *Provider) Answers(ctx context.Context, keys []string) []verify.Answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)() //nolint:contextcheck // the end of the provider ends the call too
	if ctx.Err() != nil {
		return unasked(keys)
	}
	answers := p.desk.Answers(ctx, keys)
	for i, a := range answers {
		if a.Undecided != nil && a.Undecided.Code == verify.Unavailable && ctx.Err() != nil {
			answers[i].Undecided = &verify.Undecided{Code: verify.Unavailable, Cause: verify.CauseInterrupted, Err: a.Undecided.Err}
		}
	}
	p.answered.add(answers)
	return answers
}

// unasked answers keys after the end: nothing more is sent to Endor Labs for
// nobody.
func unasked(keys []string) []verify.Answer {
	answers := make([]verify.Answer, len(keys))
	for i, key := range keys {
		answers[i] = verify.Answer{Key: key, Undecided: &verify.Undecided{Code: verify.Unavailable, Cause: verify.CauseInterrupted}}
	}
	return answers
}

// Ask answers keys, distinct and however many, and calls done after each, one
// call at a time; it may be nil. The answers are in the order of the keys. When
// ctx ends it returns at once, and what was not answered is undecided with the
// cause [verify.CauseInterrupted].
func (p *Provider) Ask(ctx context.Context, keys []string, done func()) []verify.Answer {
	answers := make([]verify.Answer, len(keys))
	next := make(chan int)
	var telling sync.Mutex
	var wg sync.WaitGroup
	// One key a request: a request of all of them would be bounded as that of one
	// Pod is, and would tell nothing until the last is answered.
	for range min(p.concurrency, len(keys)) {
		wg.Go(func() {
			for i := range next {
				answers[i] = p.Answers(ctx, keys[i:i+1])[0]
				if done != nil {
					telling.Lock()
					done()
					telling.Unlock()
				}
			}
		})
	}
	for i := range keys {
		select {
		case next <- i:
		case <-ctx.Done():
			copy(answers[i:i+1], unasked(keys[i:i+1]))
		}
	}
	close(next)
	wg.Wait()
	return answers
}

// Close ends everything.
func (p *Provider) Close() error {
	p.stop()
	err := p.endpoint.close()
	p.desk.Close()
	return err
}
