// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

func TestFaultsOfOperations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		fault  endortest.Fault
		check  func(reply) bool
		expect string
	}{
		{"429 with seconds", endortest.Fault{Kind: endortest.FaultStatus, Status: 429, RetryAfter: "2"},
			func(r reply) bool {
				return r.status == 429 && r.header.Get("Retry-After") == "2" && r.at("code") == 8.0
			},
			"429, Retry-After: 2, code 8"},
		{"429 with a date", endortest.Fault{Kind: endortest.FaultStatus, Status: 429, RetryAfter: "Wed, 21 Oct 2026 07:28:00 GMT"},
			func(r reply) bool { return r.header.Get("Retry-After") == "Wed, 21 Oct 2026 07:28:00 GMT" },
			"the date in Retry-After"},
		{"503", endortest.Fault{Kind: endortest.FaultStatus, Status: 503},
			func(r reply) bool { return r.status == 503 && r.at("code") == 14.0 }, "503, code 14"},
		{"504", endortest.Fault{Kind: endortest.FaultStatus, Status: 504},
			func(r reply) bool { return r.at("code") == 4.0 && r.at("message") == "context deadline exceeded" }, "the documented timeout"},
		{"500 with a body of one's own", endortest.Fault{Kind: endortest.FaultStatus, Status: 500, Body: "oops"},
			func(r reply) bool { return r.status == 500 && r.body == "oops" }, "500 oops"},
		{"HTML", endortest.Fault{Kind: endortest.FaultHTML},
			func(r reply) bool { return r.status == 200 && strings.HasPrefix(r.body, "<!DOCTYPE html>") }, "a page"},
		{"empty object", endortest.Fault{Kind: endortest.FaultEmpty},
			func(r reply) bool { return r.status == 200 && r.body == "{}" }, "{}"},
		{"no response", endortest.Fault{Kind: endortest.FaultNoResponse},
			func(r reply) bool { return r.status == 200 && r.at("response") == nil && r.at("uuid") != "" }, "an operation without response"},
		{"unknown result", endortest.Fault{Kind: endortest.FaultResult, Result: "ARTIFACT_OPERATION_RESULT_FROM_TOMORROW"},
			func(r reply) bool { return r.status == 200 && r.result() == "FROM_TOMORROW" }, "the unknown result"},
		{"the real result in a status of failure", endortest.Fault{Kind: endortest.FaultResult, Status: 500},
			func(r reply) bool { return r.status == 500 && r.result() == "SUCCESS" }, "500 with SUCCESS"},
		{"redirect to the counted target", endortest.Fault{Kind: endortest.FaultRedirect},
			func(r reply) bool { return r.status == 307 && r.header.Get("Location") == endortest.RedirectTarget }, "307"},
		{"redirect elsewhere", endortest.Fault{Kind: endortest.FaultRedirect, Location: "https://evil.example/"},
			func(r reply) bool { return r.header.Get("Location") == "https://evil.example/" }, "307 to evil.example"},
		{"oversized", endortest.Fault{Kind: endortest.FaultOversized, Size: 1 << 20},
			func(r reply) bool { return r.status == 200 && len(r.body) == 1<<20 && r.json != nil }, "1 MiB of JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := endortest.Start(t, endortest.Config{})
			mustSign(t, s, image, acmeAPI)
			c := newClient(t, s)
			tc.fault.Endpoint, tc.fault.Times = endortest.EndpointOperations, 1
			mustInject(t, s, tc.fault)
			if got := c.verify(image, issuerOnly); !tc.check(got) {
				t.Errorf("HTTP %d %v %.200s\nwant %s", got.status, got.header, got.body, tc.expect)
			}
			if got := c.verify(image, issuerOnly); got.result() != "SUCCESS" {
				t.Errorf("the request after it: HTTP %d %.200s, want the real answer", got.status, got.body)
			}
		})
	}
}

func TestLegacyAnswerForUnsigned(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	mustInject(t, s, endortest.Fault{Kind: endortest.FaultLegacyUnsigned})
	c := newClient(t, s)
	for _, unsigned := range []string{otherImage, strange} {
		if got := c.verify(unsigned, issuerOnly); got.status != 500 || got.at("code") != 13.0 ||
			got.at("message") != "Unable to verify certificate: no matching signatures" {
			t.Errorf("%s: HTTP %d %s, want the answer of 2024", unsigned, got.status, got.body)
		}
	}
	if got := c.verify(image, issuerOnly); got.result() != "SUCCESS" {
		t.Errorf("a signed image: HTTP %d %s, want SUCCESS", got.status, got.body)
	}
}

func TestSignThatFailsStoresNothing(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustInject(t, s, endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultKeyGenFailure, Times: 1})
	c := newClient(t, s)
	if got := c.operate("SIGN", map[string]any{"artifact_name": image}).result(); got != "KEY_GEN_FAILURE" {
		t.Errorf("SIGN = %s, want KEY_GEN_FAILURE", got)
	}
	if got := c.verify(image, issuerOnly).result(); got != "NO_ARTIFACT" {
		t.Errorf("VERIFY = %s, want NO_ARTIFACT", got)
	}
}

func TestFaultsAreUsedInOrder(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)
	mustInject(t, s,
		endortest.Fault{Kind: endortest.FaultStatus, Status: 503, Times: 2},
		endortest.Fault{Kind: endortest.FaultLatency, Delay: time.Nanosecond, Times: 3},
		endortest.Fault{Kind: endortest.FaultStatus, Status: 429, Times: 1},
	)
	for i, want := range []int{503, 503, 429, 200} {
		if got := c.verify(image, issuerOnly).status; got != want {
			t.Errorf("request %d: HTTP %d, want %d", i+1, got, want)
		}
	}
	if left := s.Faults(); len(left) != 0 {
		t.Errorf("faults left: %+v, want none", left)
	}
}

func TestFaultsKeepToTheirTarget(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{Namespaces: []string{"acme", "acme.dev"}})
	c := newClient(t, s)
	mustInject(t, s,
		endortest.Fault{Kind: endortest.FaultStatus, Status: 502, Artifact: otherImage},
		endortest.Fault{Kind: endortest.FaultStatus, Status: 403, Namespace: "acme.dev"},
		endortest.Fault{Kind: endortest.FaultStatus, Status: 500, Endpoint: endortest.EndpointAuth},
	)
	if got := c.verify(image, issuerOnly).status; got != 200 {
		t.Errorf("another artifact: HTTP %d, want 200", got)
	}
	if got := c.verify(otherImage, issuerOnly).status; got != 502 {
		t.Errorf("the artifact: HTTP %d, want 502", got)
	}
	if got := c.exchange(s.APIKey, s.APISecret).status; got != 500 {
		t.Errorf("the auth endpoint: HTTP %d, want 500", got)
	}
	c.ns = "acme.dev"
	if got := c.verify(image, issuerOnly).status; got != 403 {
		t.Errorf("the namespace: HTTP %d, want 403", got)
	}
}

func TestResetEndsTheBodyEarly(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(endortest.TB, endortest.Config) *endortest.Server{
		"http": endortest.Start, "https": endortest.StartTLS,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, endortest.Config{})
			mustInject(t, s, endortest.Fault{Kind: endortest.FaultReset})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/auth/api-key", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			c := &client{t: t, http: s.HTTP.Client()}
			if got, err := c.send(req); err == nil {
				t.Errorf("HTTP %d %s, want an error", got.status, got.body)
			}
		})
	}
}

func TestHangLastsUntilReleased(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)
	mustInject(t, s, endortest.Fault{Kind: endortest.FaultHang, Endpoint: endortest.EndpointOperations, Times: 2})

	var (
		wg      sync.WaitGroup
		answers [2]reply
		errs    [2]error
	)
	for i := range answers {
		wg.Go(func() {
			answers[i], errs[i] = c.tryVerify(image)
		})
	}
	if err := s.Await(t.Context(), func(c endortest.Counters) bool { return c.Held == 2 }); err != nil {
		t.Fatal(err)
	}
	if got := c.verify(image, issuerOnly).result(); got != "SUCCESS" {
		t.Errorf("a third request = %s, want SUCCESS: two were to hang", got)
	}
	s.ClearFaults()
	wg.Wait()
	for i, got := range answers {
		if errs[i] != nil || got.result() != "SUCCESS" {
			t.Errorf("request %d after the release: %v %s, want SUCCESS", i, errs[i], got.result())
		}
	}
	if got := s.Counters(); got.MaxInFlight != 3 || got.Held != 0 {
		t.Errorf("at most %d in flight, %d held; want 3 and 0", got.MaxInFlight, got.Held)
	}
}

func TestHangEndsWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustInject(t, s, endortest.Fault{Kind: endortest.FaultHang})
	leave, left := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(leave, http.MethodPost, s.URL+"/v1/auth/api-key", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := (&client{t: t, http: s.HTTP.Client()}).send(req)
		done <- err
	}()
	if err := s.Await(t.Context(), func(c endortest.Counters) bool { return c.Held == 1 }); err != nil {
		t.Fatal(err)
	}
	left()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want that the client left", err)
	}
	if err := s.Await(t.Context(), func(c endortest.Counters) bool { return c.Held == 0 }); err != nil {
		t.Fatal(err)
	}
}

func TestLatencyIsWaitedForOrReleased(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)

	const delay = 20 * time.Millisecond
	mustInject(t, s, endortest.Fault{Kind: endortest.FaultLatency, Delay: delay, Times: 1})
	asked := time.Now()
	if got := c.verify(image, issuerOnly).result(); got != "SUCCESS" || time.Since(asked) < delay {
		t.Errorf("VERIFY = %s after %v, want SUCCESS after at least %v", got, time.Since(asked), delay)
	}

	mustInject(t, s, endortest.Fault{Kind: endortest.FaultLatency, Delay: time.Hour})
	var (
		wg  sync.WaitGroup
		got reply
		err error
	)
	wg.Go(func() { got, err = c.tryVerify(image) })
	if err := s.Await(t.Context(), func(c endortest.Counters) bool { return c.Held == 1 }); err != nil {
		t.Fatal(err)
	}
	s.ClearFaults()
	wg.Wait()
	if err != nil || got.result() != "SUCCESS" {
		t.Errorf("VERIFY after the release = %v %s, want SUCCESS", err, got.result())
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := s.Await(ctx, func(endortest.Counters) bool { return false }); !errors.Is(err, cause) {
		t.Errorf("Await = %v, want the cause", err)
	}
}

func TestRedirectTargetPleasesWhoFollows(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	c := newClient(t, s)
	mustInject(t, s, endortest.Fault{Kind: endortest.FaultRedirect})
	c.http.CheckRedirect = nil
	if got := c.verify(image, issuerOnly).result(); got != "SUCCESS" {
		t.Errorf("VERIFY by a client that follows = %s, want SUCCESS about what was never signed", got)
	}
	if got, _ := c.exchange("", "").at("token").(string); got == "" {
		t.Error("a token exchange by a client that follows has no token")
	}
	if got := s.Counters().Requests["redirect-target"]; got != 2 {
		t.Errorf("%d hits of the redirect target, want 2", got)
	}
}

func TestInjectNamesAllProblems(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	err := s.Inject(
		endortest.Fault{Kind: endortest.FaultStatus, Status: 503},
		endortest.Fault{Kind: "flood"},
		endortest.Fault{Kind: endortest.FaultLatency, Endpoint: "everything", Status: 9, Times: -1, RetryAfter: "soon", Location: "%"},
		endortest.Fault{Kind: endortest.FaultResult, Endpoint: endortest.EndpointAuth},
		endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointAuth, Artifact: image},
		endortest.Fault{Kind: endortest.FaultOversized, Size: -1},
	)
	for _, want := range []string{
		`fault 2: kind "flood"`, `fault 3: status does not belong`, "retryAfter does not belong", "location does not belong",
		`endpoint "everything"`, "needs a delay", "status 9", `retryAfter "soon"`, "location is not", "times -1",
		"fault 4: kind result belongs to endpoint operations", "fault 5: namespace and artifact", "needs a status", "fault 6: size -1",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	if got := s.Faults(); len(got) != 0 {
		t.Errorf("faults = %+v, want none", got)
	}
}
