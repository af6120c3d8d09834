// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// recovery is how many asks, one a second, it may take until everything is
// decided again: the breaker lets nobody through for 5 seconds, and then one.
const recovery = 8

// outage has traffic go on for so long while something is wrong, and then has
// everything decided within so many asks: what was known before, what was asked
// in vain meanwhile, and what nobody asked about. What is cached is given at
// once all the time.
func (s *stage) outage(t *testing.T, long time.Duration, asks int, begin, end func()) {
	t.Helper()
	known := s.several(t, everyKind...)
	unknown := s.several(t, everyKind...)
	s.right(t, 1, known[0])
	begin()
	fresh := s.traffic(t, 4, 2*time.Second, s.anything(t))
	waiting := s.traffic(t, 1, time.Second, same(append(unknown, known[0])...))
	cached := s.traffic(t, 1, time.Second, same(known[0]))
	time.Sleep(long)
	y := cached()
	y.sound(t, "cached", 0)
	y.allDecided(t, "cached")
	waiting().sound(t, "the same again", verify.DefaultBudget)
	fresh().sound(t, "fresh", verify.DefaultBudget)
	end()
	s.right(t, asks, append(known, unknown...)...)
	s.right(t, 1, s.several(t, everyKind...)...)
}

func TestAStormOf429LeavesNothingBehindAndEndorAlone(t *testing.T) {
	for _, tc := range []struct {
		name, retryAfter string

		// apart is for how long the API is left alone, at least, after it said
		// 429: with one question, and with every question.
		apart, apartAll time.Duration

		asks int // until all is decided
	}{
		{name: "without a Retry-After", apart: 100 * time.Millisecond, asks: recovery},
		{name: "that says 0", retryAfter: "0", apart: 100 * time.Millisecond, asks: recovery},
		{name: "that says 3 seconds", retryAfter: "3", apart: 3 * time.Second, asks: recovery},
		{name: "that says 20 seconds, longer than a call lasts", retryAfter: "20", apart: 20 * time.Second, apartAll: 20 * time.Second, asks: 22},
		{name: "that says a day, which nobody is stopped for", retryAfter: "86400", apart: time.Minute, apartAll: time.Minute, asks: 62},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
				var began time.Time
				s.outage(t, 35*time.Second, tc.asks, func() {
					time.Sleep(time.Nanosecond) // after the last call that was answered
					began = time.Now()
					s.inject(t, endortest.Fault{Kind: endortest.FaultStatus, Status: http.StatusTooManyRequests, RetryAfter: tc.retryAfter})
				}, s.endor.ClearFaults)
				s.spared(t, began, began.Add(35*time.Second), tc.apart, tc.apartAll)
			})
		})
	}
}

// spared fails the test if calls between two times were closer together than
// told. Those of one instant count as one: they were under way together.
func (s *stage) spared(t *testing.T, from, to time.Time, one, all time.Duration) {
	t.Helper()
	last := map[string]time.Time{}
	var before time.Time
	made := 0
	for _, call := range s.calls.since(from) {
		if call.at.After(to) {
			break
		}
		made++
		if gap := call.at.Sub(last[call.what]); gap < one {
			t.Errorf("the same was asked again after %v, want %v at least", gap, one)
		}
		if gap := call.at.Sub(before); gap > 0 && gap < all {
			t.Errorf("Endor Labs was asked again after %v, want %v at least", gap, all)
		}
		last[call.what], before = call.at, call.at
	}
	// 2 fresh keys a second for 35 seconds, each with up to a dozen retries,
	// would be 800.
	if made == 0 || made > 300 {
		t.Errorf("%d calls during the storm, want some and at most 300", made)
	}
	t.Logf("%d calls during the storm", made)
}

func TestAMinuteOfServerErrorsIsNoVerdict(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
	}{
		{"500", endortest.Fault{Kind: endortest.FaultStatus, Status: 500}},
		{"502 with a page of a proxy's", endortest.Fault{Kind: endortest.FaultHTML, Status: 502}},
		{"503 with a Retry-After", endortest.Fault{Kind: endortest.FaultStatus, Status: 503, RetryAfter: "2"}},
		{"504", endortest.Fault{Kind: endortest.FaultStatus, Status: 504}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
				s.outage(t, time.Minute, recovery, func() { s.inject(t, tc.fault) }, s.endor.ClearFaults)
			})
		})
	}
}

func TestAnAnswerThatIsNoneIsNoVerdict(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
	}{
		{"a login page", endortest.Fault{Kind: endortest.FaultHTML}},
		{"an empty object", endortest.Fault{Kind: endortest.FaultEmpty}},
		{"an operation without response", endortest.Fault{Kind: endortest.FaultNoResponse}},
		{"more than any answer needs", endortest.Fault{Kind: endortest.FaultOversized, Size: 2 << 20}},
		{"half a success, which a proxy took for all of it", endortest.Fault{
			Kind: endortest.FaultStatus, Status: 200, Body: `{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS"`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
				s.outage(t, 30*time.Second, recovery, func() { s.inject(t, tc.fault) }, s.endor.ClearFaults)
			})
		})
	}
}

func TestWhileEndorHangsTheFirstWaitsForTheBudgetAndTheOthersShortly(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		s.outage(t, time.Minute, recovery, func() {
			s.inject(t, endortest.Fault{Kind: endortest.FaultHang})
			if a := s.asks(t, s.fresh(t, verify.Verified)); a.took != verify.DefaultBudget {
				t.Errorf("the first waited %v, want the budget", a.took)
			}
			for range 20 {
				if a := s.asks(t, s.several(t, everyKind...)...); a.took > verify.DefaultDegradedWait || len(a.open) == 0 {
					t.Errorf("a request behind the first waited %v and left %d undecided, want the degraded wait at most, and some", a.took, len(a.open))
				}
			}
		}, s.endor.ClearFaults)
	})
}

func TestAHangWithAThousandRequestsAtOnceHoldsNobodyPastTheBudget(t *testing.T) {
	const crowd = 1000
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		known := s.fresh(t, verify.Verified)
		s.right(t, 1, known)
		keys := make([]string, crowd)
		for i := range keys {
			keys[i] = s.fresh(t, verify.NotSigned)
			if i%20 == 0 {
				keys[i] = s.fresh(t, verify.Verified)
			}
		}
		s.inject(t, endortest.Fault{Kind: endortest.FaultHang})
		storm := func(keys []string) *tally {
			var y tally
			var asking sync.WaitGroup
			for _, key := range keys {
				asking.Go(func() { y.add(s.ask(t.Context(), s.client, s.url, []string{key, known})) })
			}
			asking.Wait()
			return &y
		}
		storm(keys).sound(t, "the first wave", verify.DefaultBudget)
		storm(keys[:200]).sound(t, "the second wave", verify.DefaultDegradedWait)
		if a := s.asks(t, known); a.took != 0 || len(a.open) > 0 {
			t.Errorf("what is cached took %v and left %d undecided", a.took, len(a.open))
		}
		s.endor.ClearFaults()
		// A hundred calls a second, of which a pattern needs two.
		for i := 0; i < crowd; i += 100 {
			s.right(t, recovery, keys[i:i+100]...)
		}
	})
}

func TestWhatWasRevokedDuringAnOutageIsRefusedAsSoonAsItEnds(t *testing.T) {
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		key := s.fresh(t, verify.Verified)
		s.right(t, 1, key)
		s.inject(t, endortest.Fault{Kind: endortest.FaultStatus, Status: 503})
		s.revoke(t, key)
		time.Sleep(10 * time.Minute)
		if a := s.asks(t, key); !a.stale[key] {
			t.Errorf("during the outage: %v, %s; want the old verdict, marked as stale", a.codes, a.why)
		}
		s.endor.ClearFaults()
		time.Sleep(6 * time.Second) // the breaker's
		s.becomes(key, verify.Revoked)
		s.right(t, 1, key)

		// And what is stale ends, whether anybody could be asked or not.
		other := s.fresh(t, verify.Verified)
		s.right(t, 1, other)
		s.inject(t, endortest.Fault{Kind: endortest.FaultHang})
		time.Sleep(35*time.Minute - verify.DefaultBudget)
		if a := s.asks(t, other); len(a.open) != 1 {
			t.Errorf("35 minutes after it was asked: %v, want nothing decided", a.codes)
		}
		s.endor.ClearFaults()
	})
}

func TestEndorAnswersSlowerThanTheBudgetAndIsHeardAllTheSame(t *testing.T) {
	for _, latency := range []time.Duration{verify.DefaultBudget + time.Millisecond, 5 * time.Second} {
		t.Run(fmt.Sprint(latency), func(t *testing.T) {
			play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
				s.inject(t, endortest.Fault{Kind: endortest.FaultLatency, Delay: latency})
				keys := s.several(t, everyKind...)
				if a := s.asks(t, keys...); len(a.open) != len(keys) {
					t.Errorf("at the end of the budget: %v, want nothing decided", a.codes)
				}
				// Twice the latency, for a pattern, and nobody asks anew.
				time.Sleep(2 * latency)
				if a := s.asks(t, keys...); len(a.open) != 0 || a.took != 0 {
					t.Errorf("later: %d undecided after %v, want that the answers were waited for behind the request", len(a.open), a.took)
				}
			})
		})
	}
}
