// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const (
	newKey    = "endr+new-key"
	newSecret = "endr+new-secret"
)

func TestTokensThatExpireUnderLoadLeaveNothingUndecided(t *testing.T) {
	for _, tc := range []struct {
		name   string
		expiry endortest.ExpiryField
	}{
		{"announced, so that they are renewed ahead", endortest.ExpiryCamelCase},
		{"by surprise, so that they are renewed when refused", endortest.ExpiryNone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const lifetime, long = 20 * time.Second, 100 * time.Second
			play(t, setting{protocols: []string{http2}, emulator: endortest.Config{TokenLifetime: lifetime}}, func(t *testing.T, s *stage) {
				if err := s.endor.SetExpiryField(tc.expiry); err != nil {
					t.Fatal(err)
				}
				before := s.endor.Counters().TokensGranted
				fresh := s.traffic(t, 3, time.Second, s.anything(t))
				time.Sleep(long)
				y := fresh()
				y.sound(t, "fresh", verify.DefaultBudget)
				y.allDecided(t, "fresh")
				// However many ask, a token is exchanged once for each life.
				if n := s.endor.Counters().TokensGranted - before; n < int(long/lifetime)-1 || n > 2*int(long/lifetime) {
					t.Errorf("%d tokens in %v, and each lives %v", n, long, lifetime)
				}
			})
		})
	}
}

func TestTokensThatAreRevokedUnderLoadLeaveNothingUndecided(t *testing.T) {
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		fresh := s.traffic(t, 3, time.Second, s.anything(t))
		for range 4 {
			time.Sleep(15 * time.Second)
			s.endor.RevokeTokens()
		}
		time.Sleep(10 * time.Second)
		y := fresh()
		y.sound(t, "fresh", verify.DefaultBudget)
		y.allDecided(t, "fresh")
	})
}

func TestCredentialFilesRotateUnderLoadWithoutARestart(t *testing.T) {
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		fresh := s.traffic(t, 3, time.Second, s.anything(t))
		time.Sleep(20 * time.Second)
		s.writeCredentials(t, newKey, newSecret)
		time.Sleep(time.Second)
		s.endor.SetCredentials(newKey, newSecret)
		s.endor.RevokeTokens()
		time.Sleep(10 * time.Second)
		y := fresh()
		y.sound(t, "fresh", verify.DefaultBudget)
		y.allDecided(t, "fresh")
		if code := s.exchange(endortest.DefaultAPIKey, endortest.DefaultAPISecret); code != http.StatusUnauthorized {
			t.Errorf("the old key is answered with HTTP %d, want 401", code)
		}
		if code := s.exchange(newKey, newSecret); code != http.StatusOK {
			t.Errorf("the new key is answered with HTTP %d", code)
		}
	})
}

func TestCredentialsThatAreRefusedAreNoVerdictAndNeedOnlyNewFiles(t *testing.T) {
	play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
		granted := 0
		s.outage(t, 30*time.Second, 2, func() {
			s.mayBeMisconfigured(true)
			granted = s.endor.Counters().TokensGranted
			s.endor.SetCredentials(newKey, newSecret)
			s.endor.RevokeTokens()
			time.Sleep(time.Second)
			s.writeCredentials(t, newKey, endortest.DefaultAPISecret) // half of the new
		}, func() {
			if c := s.endor.Counters(); c.TokensGranted != granted || c.TokensRefused > 20 {
				t.Errorf("%d tokens granted and %d exchanges refused in half a minute, want none and few", c.TokensGranted-granted, c.TokensRefused)
			}
			s.writeCredentials(t, newKey, newSecret)
		})
		s.mayBeMisconfigured(false)
		s.right(t, 1, s.several(t, everyKind...)...)
	})
}

func TestAnOutageOfTheTokenExchangeAloneIsNoVerdict(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
	}{
		{"429", endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointAuth, Status: 429, RetryAfter: "2"}},
		{"503", endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointAuth, Status: 503}},
		{"a hang", endortest.Fault{Kind: endortest.FaultHang, Endpoint: endortest.EndpointAuth}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, setting{protocols: []string{http2}}, func(t *testing.T, s *stage) {
				s.outage(t, 30*time.Second, recovery, func() {
					s.inject(t, tc.fault)
					s.endor.RevokeTokens()
				}, s.endor.ClearFaults)
			})
		})
	}
}

// Nothing but the exchange is ever asked for then, and by one of all who wait.
func TestAnOutageThatOutlivesTheTokenIsAnOutageAndNoQueueOfOurs(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
		why   string
	}{
		{"a hang", endortest.Fault{Kind: endortest.FaultHang}, "did not answer in time"},
		{"503", endortest.Fault{Kind: endortest.FaultStatus, Status: 503}, "had an error of its own"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, setting{protocols: []string{http2}, emulator: endortest.Config{TokenLifetime: 5 * time.Minute}}, func(t *testing.T, s *stage) {
				known := s.several(t, verify.Verified, verify.Verified)
				s.right(t, 1, known...)
				s.inject(t, tc.fault)
				time.Sleep(6 * time.Minute)
				if a := s.asks(t, known...); !a.stale[known[0]] || !a.stale[known[1]] {
					t.Errorf("%v, %s; want the old verdicts, marked as stale", a.codes, a.why)
				}
				if a := s.asks(t, s.fresh(t, verify.Verified)); !strings.Contains(a.why, tc.why) {
					t.Errorf("a question that waits for the token is undecided because %q, want that Endor Labs %s", a.why, tc.why)
				}
				s.endor.ClearFaults()
				s.right(t, recovery, known...)
			})
		})
	}
}

// exchange asks Endor Labs for a token, past the network, and gives the status.
func (w *world) exchange(key, secret string) int {
	rec := httptest.NewRecorder()
	body := strings.NewReader(`{"key":"` + key + `","secret":"` + secret + `"}`)
	w.endor.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/v1/auth/api-key", body))
	return rec.Code
}
