// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// A token is used until its expiry, and an expired one is not tried: the API would
// count a 401 for each.
func TestTokenIsUsedUntilItsExpiry(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		spelling endortest.ExpiryField
		lifetime time.Duration
		want     time.Duration // how long the client uses the token
	}{
		{name: "expirationTime", spelling: endortest.ExpiryCamelCase, lifetime: 10 * time.Minute, want: 10 * time.Minute},
		{name: "expiration_time", spelling: endortest.ExpirySnakeCase, lifetime: 10 * time.Minute, want: 10 * time.Minute},
		{name: "both", spelling: endortest.ExpiryBoth, lifetime: 10 * time.Minute, want: 10 * time.Minute},
		{name: "none means an hour", spelling: endortest.ExpiryNone, lifetime: 4 * time.Hour, want: time.Hour},
		{name: "four hours, as Endor documents", spelling: endortest.ExpiryCamelCase, lifetime: 4 * time.Hour, want: 4 * time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := signed(t, endortest.Config{Now: now.Now, TokenLifetime: tc.lifetime})
			if err := s.SetExpiryField(tc.spelling); err != nil {
				t.Fatal(err)
			}
			c := newClient(t, s, func(cfg *endor.Config) { cfg.Now = now.Now })
			mustSucceed(t, c)
			now.advance(tc.want - time.Second)
			mustSucceed(t, c)
			wantRequests(t, s, 1, 2)
			now.advance(time.Second)
			mustSucceed(t, c)
			wantRequests(t, s, 2, 3)
		})
	}
}

func TestTokenThatEndsBeforeItsNamedExpiryIsRenewedOnce(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	c := newClient(t, s)
	mustSucceed(t, c)
	s.RevokeTokens()
	mustSucceed(t, c)
	wantRequests(t, s, 2, 3)
}

// Clocks differ. A token that seems to have expired long ago is a good token.
func TestTokenIsUsedThoughTheClockIsHoursAhead(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	c := newClient(t, s, func(cfg *endor.Config) {
		cfg.Now = func() time.Time { return time.Now().Add(5 * time.Hour) }
	})
	for range 3 {
		mustSucceed(t, c)
	}
	wantRequests(t, s, 1, 3)
}

func TestOneExchangeForHoweverManyCallers(t *testing.T) {
	t.Parallel()
	const callers = 50
	s := signed(t, endortest.Config{})
	c := newClient(t, s)
	burst := func() {
		t.Helper()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if got, err := ask(t, c); err != nil || got.Result != endor.ResultSuccess {
					t.Errorf("Verify = %s, error %v", got.Result, err)
				}
			})
		}
		wg.Wait()
	}
	burst()
	wantRequests(t, s, 1, callers)

	// And one more when all find the token revoked at once.
	s.RevokeTokens()
	s.ResetCounters()
	burst()
	if got := s.Counters().Requests["auth"]; got != 1 {
		t.Errorf("%d callers with a revoked token made %d exchanges, want 1", callers, got)
	}
}

func TestExchangeOutlivesTheCallerThatStartedIt(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	inject(t, s, endortest.Fault{Kind: endortest.FaultHang, Endpoint: endortest.EndpointAuth})
	c := newClient(t, s)

	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.Verify(ctx, s.Namespace, apiRef, apiClaims)
		first <- err
	}()
	await(t, s, held(1))
	leave()
	got := expected(t, <-first)
	wantError(t, got, endor.KindUnavailable, endor.ReasonTimeout, 0)

	s.ClearFaults()
	mustSucceed(t, c)
	wantRequests(t, s, 1, 1)
}

// A token that is refused right after it was had says something of the credential.
func TestTokenRefusedRightAfterRenewal(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := signed(t, endortest.Config{Now: now.Now})
	inject(t, s, endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: http.StatusUnauthorized})
	c := newClient(t, s, func(cfg *endor.Config) { cfg.Now = now.Now })

	// One re-authentication, not more.
	wantError(t, mustFail(t, c), endor.KindMisconfigured, endor.ReasonCredentials, http.StatusUnauthorized)
	wantRequests(t, s, 2, 2)

	for _, delay := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		s.ResetCounters()
		now.advance(delay - time.Millisecond)
		wantError(t, mustFail(t, c), endor.KindMisconfigured, endor.ReasonCredentials, http.StatusUnauthorized)
		wantRequests(t, s, 0, 0)
		now.advance(time.Millisecond)
		wantError(t, mustFail(t, c), endor.KindMisconfigured, endor.ReasonCredentials, http.StatusUnauthorized)
		wantRequests(t, s, 2, 2)
	}

	s.ClearFaults()
	now.advance(time.Minute)
	mustSucceed(t, c)
}

func TestTokenRefusedOfManyCallersIsOneRefusal(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := signed(t, endortest.Config{Now: now.Now})
	c := newClient(t, s, func(cfg *endor.Config) { cfg.Now = now.Now })
	mustSucceed(t, c)
	inject(t, s, endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: http.StatusUnauthorized})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := ask(t, c); err == nil {
				t.Error("Verify succeeded with a token that is refused")
			}
		})
	}
	wg.Wait()

	// Back-off would be a minute, had each of the fifty doubled it.
	s.ClearFaults()
	now.advance(5 * time.Second)
	mustSucceed(t, c)
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := signed(t, endortest.Config{Now: now.Now})
	c := newClient(t, s, func(cfg *endor.Config) {
		cfg.Now = now.Now
		cfg.Credentials.Secret = "endr+wrong"
	})
	refused := func(times int) {
		t.Helper()
		e := mustFail(t, c)
		wantError(t, e, endor.KindMisconfigured, endor.ReasonCredentials, http.StatusUnauthorized)
		if e.Op != "exchange API key" {
			t.Errorf("Op = %q", e.Op)
		}
		if got := s.Counters().TokensRefused; got != times {
			t.Errorf("the API was asked %d times, want %d", got, times)
		}
	}
	refused(1)
	times := 1
	for _, delay := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		now.advance(delay - time.Millisecond)
		refused(times)
		now.advance(time.Millisecond)
		times++
		refused(times)
	}

	// Repaired at Endor Labs' end, they work after the pause.
	s.SetCredentials(s.APIKey, "endr+wrong")
	now.advance(time.Minute)
	mustSucceed(t, c)
	wantRequests(t, s, times+1, 1)
}

func TestCredentialFiles(t *testing.T) {
	t.Parallel()

	t.Run("space around the content is dropped", func(t *testing.T) {
		t.Parallel()
		s := signed(t, endortest.Config{})
		files := newKeyFiles(t, "\n "+s.APIKey+"\r\n", s.APISecret+"\n")
		mustSucceed(t, newClient(t, s, func(cfg *endor.Config) { cfg.Credentials = files.credentials() }))
	})

	t.Run("rotated ones are picked up at once after a 401", func(t *testing.T) {
		t.Parallel()
		s := signed(t, endortest.Config{})
		files := newKeyFiles(t, s.APIKey, s.APISecret)
		c := newClient(t, s, func(cfg *endor.Config) { cfg.Credentials = files.credentials() })
		mustSucceed(t, c)
		s.SetCredentials("endr+new-key", "endr+new-secret")
		s.RevokeTokens()
		files.write(t, "endr+new-key", "endr+new-secret")
		mustSucceed(t, c)
		if got := s.Counters(); got.TokensGranted != 2 || got.TokensRefused != 0 {
			t.Errorf("%d tokens granted and %d refused, want 2 and 0", got.TokensGranted, got.TokensRefused)
		}
	})

	t.Run("rotated ones do not wait for the back-off of the old ones", func(t *testing.T) {
		t.Parallel()
		now := newClock() // stands still
		s := signed(t, endortest.Config{Now: now.Now})
		files := newKeyFiles(t, "endr+old-key", "endr+old-secret")
		c := newClient(t, s, func(cfg *endor.Config) {
			cfg.Credentials = files.credentials()
			cfg.Now = now.Now
		})
		wantError(t, mustFail(t, c), endor.KindMisconfigured, endor.ReasonCredentials, http.StatusUnauthorized)
		files.write(t, s.APIKey, s.APISecret)
		mustSucceed(t, c)
	})

	t.Run("half rotated ones are read again", func(t *testing.T) {
		t.Parallel()
		now := newClock()
		s := signed(t, endortest.Config{Now: now.Now})
		files := newKeyFiles(t, s.APIKey, "endr+old-secret")
		c := newClient(t, s, func(cfg *endor.Config) {
			cfg.Credentials = files.credentials()
			cfg.Now = now.Now
		})
		mustFail(t, c)
		files.write(t, s.APIKey, s.APISecret)
		mustSucceed(t, c)
	})

	t.Run("gone, then empty, then there again", func(t *testing.T) {
		t.Parallel()
		s := signed(t, endortest.Config{})
		files := newKeyFiles(t, s.APIKey, s.APISecret)
		c := newClient(t, s, func(cfg *endor.Config) { cfg.Credentials = files.credentials() })
		if err := os.Remove(files.secret); err != nil {
			t.Fatal(err)
		}
		e := mustFail(t, c)
		wantError(t, e, endor.KindMisconfigured, endor.ReasonCredentials, 0)
		wantText(t, e.Detail, files.secret)
		files.write(t, "", s.APISecret)
		e = mustFail(t, c)
		wantError(t, e, endor.KindMisconfigured, endor.ReasonCredentials, 0)
		wantText(t, e.Detail, "is empty")
		wantRequests(t, s, 0, 0)
		files.write(t, s.APIKey, s.APISecret)
		mustSucceed(t, c)
	})
}

func TestStaticToken(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := signed(t, endortest.Config{Now: now.Now})
	c := newClient(t, s, func(cfg *endor.Config) {
		cfg.Credentials = endor.Credentials{Token: exchange(t, s)}
		cfg.Now = now.Now
	})
	s.ResetCounters()
	mustSucceed(t, c)
	mustSucceed(t, c)
	wantRequests(t, s, 0, 2)

	s.RevokeTokens()
	s.ResetCounters()
	wantError(t, mustFail(t, c), endor.KindMisconfigured, endor.ReasonCredentials, http.StatusUnauthorized)
	wantRequests(t, s, 0, 2)
	now.advance(4 * time.Second)
	mustFail(t, c)
	wantRequests(t, s, 0, 2)
	now.advance(time.Second)
	mustFail(t, c)
	wantRequests(t, s, 0, 4)
}

// exchange gets a token as somebody else would.
func exchange(t *testing.T, s *endortest.Server) string {
	t.Helper()
	body := fmt.Sprintf(`{"key":%q,"secret":%q}`, s.APIKey, s.APISecret)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/auth/api-key", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.HTTP.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got.Token
}

// What the exchange ends with decides what every question ends with. The API asks
// for an hour's patience where the client would try again.
func TestExchangeThatGivesNoToken(t *testing.T) {
	t.Parallel()
	const patience = "3600"
	for _, tc := range []struct {
		name       string
		fault      endortest.Fault
		wantKind   endor.Kind
		wantReason endor.Reason
		wantStatus int
	}{
		{name: "400 is about the credential: nothing else was asked", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 400}, wantKind: endor.KindMisconfigured, wantReason: endor.ReasonCredentials, wantStatus: 400},
		{name: "401", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 401}, wantKind: endor.KindMisconfigured, wantReason: endor.ReasonCredentials, wantStatus: 401},
		{name: "402", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 402}, wantKind: endor.KindMisconfigured, wantReason: endor.ReasonLicense, wantStatus: 402},
		{name: "403", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 403}, wantKind: endor.KindMisconfigured, wantReason: endor.ReasonForbidden, wantStatus: 403},
		{name: "404", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 404}, wantKind: endor.KindMisconfigured, wantReason: endor.ReasonNotFound, wantStatus: 404},
		{name: "501", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 501}, wantKind: endor.KindMisconfigured, wantReason: endor.ReasonNotFound, wantStatus: 501},
		{name: "a redirect", fault: endortest.Fault{Kind: endortest.FaultRedirect}, wantKind: endor.KindMisconfigured, wantReason: endor.ReasonRedirect, wantStatus: 307},
		{name: "429", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 429, RetryAfter: patience}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonRateLimited, wantStatus: 429},
		{name: "500", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 500, RetryAfter: patience}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonServerError, wantStatus: 500},
		{name: "503", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 503, RetryAfter: patience}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonServerError, wantStatus: 503},
		{name: "HTML", fault: endortest.Fault{Kind: endortest.FaultHTML}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonBadResponse, wantStatus: 200},
		{name: "an empty object", fault: endortest.Fault{Kind: endortest.FaultEmpty}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonBadResponse, wantStatus: 200},
		{name: "an empty token", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 200, Body: `{"token":""}`}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonBadResponse, wantStatus: 200},
		{name: "a token that no header can hold", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 200, Body: `{"token":"a\r\nb"}`}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonBadResponse, wantStatus: 200},
		{name: "a token that is a number", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 200, Body: `{"token":7}`}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonBadResponse, wantStatus: 200},
		{name: "truncated JSON", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 200, Body: `{"token":"abc`}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonBadResponse, wantStatus: 200},
		{name: "16 MiB", fault: endortest.Fault{Kind: endortest.FaultOversized}, wantKind: endor.KindUnavailable, wantReason: endor.ReasonBadResponse, wantStatus: 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			tc.fault.Endpoint = endortest.EndpointAuth
			inject(t, s, tc.fault)
			c := newClient(t, s)
			e := mustFail(t, c)
			wantError(t, e, tc.wantKind, tc.wantReason, tc.wantStatus)
			if e.Op != "exchange API key" {
				t.Errorf("Op = %q", e.Op)
			}
			wantRequests(t, s, 1, 0)
			if got := s.Counters().Requests["redirect-target"]; got != 0 {
				t.Errorf("the target of the redirect was asked %d times", got)
			}

			// What may pass is tried with the next question; what will not, is not.
			s.ClearFaults()
			if tc.wantKind == endor.KindUnavailable {
				mustSucceed(t, c)
				return
			}
			mustFail(t, c)
			wantRequests(t, s, 1, 0)
		})
	}
}

func TestRunKeepsATokenReadyForTheFirstQuestion(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	c := newClient(t, s)
	ctx, stop := context.WithCancel(t.Context())
	attempts, ended := make(chan error, 1), make(chan error, 1)
	go func() { ended <- c.Run(ctx, func(err error) { attempts <- err }) }()
	if err := <-attempts; err != nil {
		t.Fatalf("the first attempt: %v", err)
	}
	wantRequests(t, s, 1, 0)
	mustSucceed(t, c)
	wantRequests(t, s, 1, 1)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestRunTellsHowTheFirstAttemptEnded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		fault  endortest.Fault
		kind   endor.Kind
		reason endor.Reason
		status int
	}{
		{name: "credentials that are refused", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 401}, kind: endor.KindMisconfigured, reason: endor.ReasonCredentials, status: 401},
		{name: "an API that is down", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 503, RetryAfter: "3600"}, kind: endor.KindUnavailable, reason: endor.ReasonServerError, status: 503},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			inject(t, s, tc.fault)
			c := newClient(t, s)
			ctx, stop := context.WithCancel(t.Context())
			attempts, ended := make(chan error, 1), make(chan error, 1)
			go func() { ended <- c.Run(ctx, func(err error) { attempts <- err }) }()
			wantError(t, expected(t, <-attempts), tc.kind, tc.reason, tc.status)
			stop()
			if err := <-ended; err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
		})
	}
}
