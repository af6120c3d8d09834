// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// settle is how long after a fault the provider may still be without answers:
// its breaker lets nobody through for 5 seconds, and calls that hang go on for
// [upstreamTimeout].
const settle = upstreamTimeout + 3*time.Second

// mishap is one thing that goes wrong with Endor Labs. None of them changes what
// it decides, so whatever the provider says has to be true all the same.
type mishap struct {
	name   string
	faults []endortest.Fault
	tokens bool // it forgets all tokens
}

var mishaps = []mishap{
	{name: "slow", faults: []endortest.Fault{{Kind: endortest.FaultLatency, Delay: 300 * time.Millisecond}}},
	{name: "slower than the budget", faults: []endortest.Fault{{Kind: endortest.FaultLatency, Delay: 2500 * time.Millisecond}}},
	{name: "hang", faults: []endortest.Fault{{Kind: endortest.FaultHang}}},
	{name: "HTTP 500", faults: []endortest.Fault{status(http.StatusInternalServerError)}},
	{name: "HTTP 503", faults: []endortest.Fault{status(http.StatusServiceUnavailable)}},
	{name: "HTTP 504 for 5 calls", faults: []endortest.Fault{{Kind: endortest.FaultStatus, Status: http.StatusGatewayTimeout, Times: 5}}},
	{name: "HTTP 429", faults: []endortest.Fault{{Kind: endortest.FaultStatus, Status: http.StatusTooManyRequests, RetryAfter: "1"}}},
	{name: "connections reset", faults: []endortest.Fault{{Kind: endortest.FaultReset}}},
	{name: "a page instead of an answer", faults: []endortest.Fault{{Kind: endortest.FaultHTML}}},
	{name: "empty answers", faults: []endortest.Fault{{Kind: endortest.FaultEmpty}}},
	{name: "answers without a verdict", faults: []endortest.Fault{{Kind: endortest.FaultNoResponse}}},
	{name: "answers of 4 MiB", faults: []endortest.Fault{{Kind: endortest.FaultOversized, Size: 4 << 20}}},
	{name: "redirects", faults: []endortest.Fault{{Kind: endortest.FaultRedirect, Endpoint: endortest.EndpointOperations}}},
	{name: "unsigned as HTTP 500", faults: []endortest.Fault{{Kind: endortest.FaultLegacyUnsigned}}},
	{name: "no tokens", faults: []endortest.Fault{{Kind: endortest.FaultStatus, Status: http.StatusServiceUnavailable, Endpoint: endortest.EndpointAuth}}, tokens: true},
	{name: "all tokens forgotten", tokens: true},
}

func status(code int) endortest.Fault {
	return endortest.Fault{Kind: endortest.FaultStatus, Status: code}
}

// weather makes faults come and go.
type weather struct {
	emulator *endortest.Emulator

	mu      sync.Mutex // protects the fields below
	name    string     // of the fault; empty without one
	cleared time.Time  // when the last fault ended
	changes int
}

// run lets faults come and go until ctx ends. It ends without a fault.
func (w *weather) run(ctx context.Context, random *rand.Rand) error {
	defer w.clear()
	for {
		for _, i := range random.Perm(len(mishaps)) {
			if err := w.start(mishaps[i]); err != nil {
				return err
			}
			if !pause(ctx, between(random, time.Second, 5*time.Second)) {
				return nil
			}
			w.clear()
			if !pause(ctx, settle+between(random, 2*time.Second, 6*time.Second)) {
				return nil
			}
		}
	}
}

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)))
}

// pause says whether the time passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// over says that ctx ended: what failed since then means nothing.
func over(ctx context.Context) bool { return ctx.Err() != nil }

func (w *weather) start(m mishap) error {
	w.mu.Lock()
	w.name = m.name
	w.changes++
	w.mu.Unlock()
	if m.tokens {
		w.emulator.RevokeTokens()
	}
	return w.emulator.Inject(m.faults...)
}

func (w *weather) clear() {
	w.emulator.ClearFaults()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.name != "" {
		w.name, w.cleared = "", time.Now()
		w.changes++
	}
}

// sky is the weather at one moment.
type sky struct {
	name    string
	calm    bool // no fault, and none for a while
	changes int
}

func (w *weather) look() sky {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sky{name: w.name, calm: w.name == "" && time.Since(w.cleared) > settle, changes: w.changes}
}

// calmSince says whether there was no fault at then, nor since.
func (w *weather) calmSince(then sky) bool {
	now := w.look()
	return then.calm && now.calm && then.changes == now.changes
}
