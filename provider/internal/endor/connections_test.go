// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// counted serves an emulator and counts the connections that are made to it.
func counted(t *testing.T) (*endortest.Server, *atomic.Int32) {
	t.Helper()
	emulator, err := endortest.New(endortest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sign(t, emulator)
	var made atomic.Int32
	s := httptest.NewUnstartedServer(emulator.Handler())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	t.Cleanup(emulator.Close)
	return &endortest.Server{Emulator: emulator, URL: s.URL, APIKey: endortest.DefaultAPIKey, APISecret: endortest.DefaultAPISecret, Namespace: endortest.DefaultNamespace}, &made
}

// askTogether asks n questions that are in flight at the same time.
func askTogether(t *testing.T, s *endortest.Server, c *endor.Client, n int) {
	t.Helper()
	inject(t, s, endortest.Fault{Kind: endortest.FaultHang})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if got, err := ask(t, c); err != nil || got.Result != endor.ResultSuccess {
				t.Errorf("Verify = %s, error %v", got.Result, err)
			}
		})
	}
	await(t, s, held(n))
	s.ClearFaults()
	wg.Wait()
}

// A question that gives up must not cost the others their connections: go-retryablehttp
// closes those that are idle each time, and the next questions would pay for handshakes.
func TestIdleConnectionsSurviveAGiveUp(t *testing.T) {
	t.Parallel()
	const together = 4
	patience := endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: 503, RetryAfter: "3600"}
	for _, tc := range []struct {
		name  string
		fault endortest.Fault

		// One of these ends the question, the others end by themselves.
		leaveInPause, leaveInAttempt bool

		// lost is how many connections the failure itself costs.
		lost int32
	}{
		{name: "no time to try again", fault: patience},
		{name: "what does not pass", fault: endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: 403}},
		{name: "a redirect", fault: endortest.Fault{Kind: endortest.FaultRedirect, Endpoint: endortest.EndpointOperations}},
		{name: "the caller leaves during a pause", fault: endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: 503, RetryAfter: "30"}, leaveInPause: true},
		{name: "the caller leaves during an attempt, whose connection is lost", fault: endortest.Fault{Kind: endortest.FaultHang, Endpoint: endortest.EndpointOperations}, leaveInAttempt: true, lost: 1},
		{name: "a body that is too long, whose connection is lost", fault: endortest.Fault{Kind: endortest.FaultOversized, Endpoint: endortest.EndpointOperations}, lost: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, made := counted(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			var leaveWhenAnswered atomic.Bool
			c := newClient(t, s, func(cfg *endor.Config) {
				cfg.Now = func() time.Time {
					// Before it pauses, the client reads Retry-After by this clock.
					if leaveWhenAnswered.Load() && s.Counters().Requests["operations"] == 1 {
						leave()
					}
					return time.Now()
				}
			})
			mustSucceed(t, c)
			askTogether(t, s, c, together)
			if got := made.Load(); got != together {
				t.Fatalf("%d connections for %d questions at once, want one each", got, together)
			}

			s.ResetCounters()
			inject(t, s, tc.fault)
			leaveWhenAnswered.Store(tc.leaveInPause)
			ended := make(chan error, 1)
			go func() {
				_, err := c.Verify(ctx, s.Namespace, apiRef, apiClaims)
				ended <- err
			}()
			if tc.leaveInAttempt {
				await(t, s, held(1))
				leave()
			}
			_ = expected(t, <-ended)

			leaveWhenAnswered.Store(false)
			s.ClearFaults()
			await(t, s, func(n endortest.Counters) bool { return n.InFlight == 0 })
			askTogether(t, s, c, together)
			if got := made.Load() - together; got != tc.lost {
				t.Errorf("%d new connections after the give-up, want %d", got, tc.lost)
			}
		})
	}
}

func TestCloseDropsIdleConnections(t *testing.T) {
	t.Parallel()
	s, made := counted(t)
	c := newClient(t, s)
	mustSucceed(t, c)
	mustSucceed(t, c)
	if got := made.Load(); got != 1 {
		t.Errorf("%d connections for one question after another, want 1", got)
	}
	c.Close()
	mustSucceed(t, c) // a client that was closed goes on
	if got := made.Load(); got != 2 {
		t.Errorf("%d connections after Close, want 2", got)
	}
}
