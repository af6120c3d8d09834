// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestAConnectionThatBreaksAtAnyByteGivesNoVerdictButTheRightOne(t *testing.T) {
	for _, how := range []ending{truncated, reset} {
		t.Run(how.String(), func(t *testing.T) {
			play(t, setting{}, func(t *testing.T, s *stage) {
				// An answer with a signature has about 4,000 bytes, a TLS handshake
				// before it 1,000. 251 shares no factor with the sizes of anything.
				for arrive := 0; arrive < 5500; arrive += 251 {
					keys := s.several(t, verify.Verified, verify.NotSigned)
					s.line.turns(weather{arrive: arrive, ending: how})
					s.asks(t, keys...)
					s.line.turns(weather{})
					s.right(t, recovery, keys...)
				}
			})
		})
	}
}

func TestAConnectionThatEndorResetsInTheBodyGivesNoVerdict(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		s.outage(t, 30*time.Second, recovery, func() { s.inject(t, endortest.Fault{Kind: endortest.FaultReset}) }, s.endor.ClearFaults)
	})
}

func TestAConnectionRefusedIsTriedAgain(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		s.outage(t, 30*time.Second, recovery, func() {
			time.Sleep(2 * time.Minute) // idle connections are gone
			s.line.turns(weather{refuses: true})
		}, func() { s.line.turns(weather{}) })
	})
}

func TestABodyThatTricklesHoldsNoSlotForLongerThanACall(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		trickle := weather{chunk: 1, pause: 100 * time.Millisecond}
		s.outage(t, 30*time.Second, recovery, func() { s.line.turns(trickle) }, func() { s.line.turns(weather{}) })
	})
}

func TestABodyThatIsSlowIsWaitedForBehindTheAnswer(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		s.line.turns(weather{chunk: 512, pause: 300 * time.Millisecond})
		key := s.fresh(t, verify.Verified)
		if a := s.asks(t, key); len(a.open) != 1 {
			t.Errorf("at the end of the budget: %v, want nothing decided", a.codes)
		}
		time.Sleep(15 * time.Second)
		s.right(t, 1, key)
	})
}

func TestASlowLookupOfTheNameIsWaitedForBehindTheAnswer(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		s.line.turns(weather{lookup: 5 * time.Second})
		keys := s.several(t, everyKind...)
		if a := s.asks(t, keys...); len(a.open) != len(keys) || a.took != verify.DefaultBudget {
			t.Errorf("%v after %v, want nothing decided at the end of the budget", a.codes, a.took)
		}
		time.Sleep(5 * time.Second)
		if a := s.asks(t, keys...); len(a.open) != 0 || a.took != 0 {
			t.Errorf("%d undecided after %v, want that the lookup was waited for behind the request", len(a.open), a.took)
		}
	})
}

func TestALookupThatNeverEndsIsAnOutage(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		s.outage(t, 30*time.Second, recovery+15, func() {
			time.Sleep(2 * time.Minute) // idle connections are gone
			s.line.turns(weather{lookup: time.Hour})
		}, func() { s.line.turns(weather{}) })
	})
}

// With HTTP/2 all calls are on one connection. That it is dead is found out by a
// ping 10 seconds after the last byte, that is not answered for 5.
func TestAConnectionThatAFirewallForgotIsReplaced(t *testing.T) {
	play(t, setting{}, func(t *testing.T, s *stage) {
		known := s.fresh(t, verify.Verified)
		s.right(t, 1, known)
		s.line.turns(weather{ending: silent})
		s.asks(t, s.fresh(t, verify.Verified))
		s.line.turns(weather{}) // new connections are not forgotten
		fresh := s.traffic(t, 2, time.Second, s.anything(t, known))
		time.Sleep(15*time.Second + recovery*time.Second)
		fresh().sound(t, "meanwhile", verify.DefaultBudget)
		s.right(t, 1, s.several(t, everyKind...)...)
	})
}
