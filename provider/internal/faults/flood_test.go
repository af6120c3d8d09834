// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// What a flood may cost a request of two keys at worst, by the rules of the
// limits. Time is virtual here, but which of two goroutines goes first at one
// instant is chance, and more so on a busy machine: what is usual, about a
// second, is no bound.
const (
	floods  = 4 // callers
	latency = 50 * time.Millisecond

	// Endor Labs is called 100 times a second, so that in each turn a slot comes
	// free.
	oneTurn = time.Second / 100

	// A call waits behind those of the other slots, 32 in all. Two calls answer
	// the questions of this test: the first tells who signed, the second confirms.
	oneCall = 32*oneTurn + latency

	// In a round each request gets a slot. What a flood was not answered in time
	// goes on until the calls' timeout, and beside it are both callers.
	oneRound = (floods*(15*time.Second/verify.DefaultBudget+1) + 2) * oneTurn

	// The first key waits for the next round at most, and the second for the one
	// after it.
	atWorst = 2*oneRound + 2*oneCall
)

// A flood is more fresh keys than Endor Labs may be asked about: 100 calls a
// second against requests of 256 keys, one after the other.
func TestAFloodOfFreshDigestsLeavesOthersTheirAnswers(t *testing.T) {
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		known := s.several(t, everyKind...)
		s.right(t, 1, known...)
		s.inject(t, endortest.Fault{Kind: endortest.FaultLatency, Delay: latency, Endpoint: endortest.EndpointOperations})
		flood := s.traffic(t, floods, 10*time.Millisecond, func(int, int) []string {
			keys := make([]string, 256)
			for i := range keys {
				keys[i] = s.fresh(t, verify.NotSigned)
			}
			return keys
		})
		time.Sleep(4 * time.Second) // all of its lines are full
		cached := s.traffic(t, 2, 100*time.Millisecond, same(known[0]))
		var few, again tally
		var asking sync.WaitGroup
		for caller := range 2 {
			asking.Go(func() {
				for turn := range 16 {
					time.Sleep(500*time.Millisecond + time.Duration(caller)*time.Millisecond)
					keys := s.several(t, everyKind[turn%len(everyKind)], verify.Verified)
					a, err := s.ask(t.Context(), s.client, s.url, keys)
					few.add(a, err)
					for tries := 0; len(a.open) > 0 && tries < 3; tries++ { // as a controller does
						a, err = s.ask(t.Context(), s.client, s.url, keys)
					}
					again.add(a, err)
				}
			})
		}
		asking.Wait()

		y := cached()
		y.sound(t, "cached", 0)
		y.allDecided(t, "cached")
		// A request of the flood that overran its budget makes the provider
		// degraded, until the next answer of Endor Labs some milliseconds later:
		// who comes just then is sent away, and may come again.
		few.sound(t, "few fresh keys", atWorst)
		if few.open > few.decided/4 {
			t.Errorf("few fresh keys: %d of %d were undecided, want nearly none", few.open, few.open+few.decided)
		}
		again.sound(t, "at the last try", atWorst)
		again.allDecided(t, "at the last try")
		flood().sound(t, "flood", verify.DefaultBudget)
		s.right(t, 20, s.several(t, everyKind...)...)
	})
}
