// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestAClockThatJumpsMakesNoVerdictWrongOrLiveLonger(t *testing.T) {
	for _, jump := range []time.Duration{4 * time.Minute, 5 * time.Hour, -10 * time.Second, -time.Hour} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
				// There, and with what was heard meanwhile back again.
				for _, ahead := range []time.Duration{jump, 0} {
					signed, unsigned := s.fresh(t, verify.Verified), s.fresh(t, verify.NotSigned)
					s.right(t, 1, signed, unsigned)
					s.clock.jumps(ahead)
					s.revoke(t, signed)
					s.becomes(unsigned, verify.NotSigned, verify.Verified)
					if err := s.endor.Sign(endortest.Signing{Image: imageOf(unsigned), Claims: endortest.GitHubClaims("acme", "api", "refs/heads/main")}); err != nil {
						t.Fatal(err)
					}
					fresh := s.traffic(t, 1, 4*time.Second, s.anything(t, signed, unsigned))
					time.Sleep(16 * time.Second) // the life of a refusal
					s.becomes(unsigned, verify.Verified)
					time.Sleep(5 * time.Minute) // the life of VERIFIED
					s.becomes(signed, verify.Revoked)
					time.Sleep(10 * time.Second)
					y := fresh()
					y.sound(t, "fresh", verify.DefaultBudget)
					y.allDecided(t, "fresh")
				}
			})
		})
	}
}

func TestARetryAfterByAClockThatIsWrongHoldsForAMinuteAtMost(t *testing.T) {
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		s.clock.jumps(-24 * time.Hour)
		at := time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat)
		s.outage(t, 10*time.Second, 62, func() {
			s.inject(t, endortest.Fault{Kind: endortest.FaultStatus, Status: http.StatusTooManyRequests, RetryAfter: at})
		}, s.endor.ClearFaults)
	})
}

func TestAClockThatJumpsDuringAnOutageGivesNothingPastItsLife(t *testing.T) {
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		key := s.fresh(t, verify.Verified)
		s.right(t, 1, key)
		s.inject(t, endortest.Fault{Kind: endortest.FaultStatus, Status: 503})
		s.clock.jumps(36 * time.Minute)
		if a := s.asks(t, key); len(a.open) != 1 {
			t.Errorf("36 minutes later by the clock: %v, want nothing decided", a.codes)
		}
		s.endor.ClearFaults()
		s.right(t, recovery, key)
	})
}
