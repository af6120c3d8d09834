// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	clock := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := endortest.Start(t, endortest.Config{Now: clock.Now, TokenLifetime: time.Hour})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)

	clock.advance(time.Hour - time.Second)
	if got := c.verify(image, issuerOnly); got.result() != "SUCCESS" {
		t.Fatalf("a second before its end the token is answered HTTP %d %s", got.status, got.body)
	}
	clock.advance(time.Second)
	got := c.verify(image, issuerOnly)
	const want = `{"code":16,"message":"Invalid authorization header: Bearer","details":[{"@type":"type.googleapis.com/internal.endor.ai.rpc.v1.HTTPErrorInfo","status_code":401}]}`
	if got.status != 401 || got.body != want {
		t.Errorf("at its end: HTTP %d %s\nwant 401 %s", got.status, got.body, want)
	}

	c = newClient(t, s)
	s.RevokeTokens()
	if got := c.verify(image, issuerOnly); got.status != 401 {
		t.Errorf("a token that was revoked: HTTP %d, want 401", got.status)
	}
	c.token = ""
	if got := c.verify(image, issuerOnly); got.status != 401 {
		t.Errorf("no token: HTTP %d, want 401", got.status)
	}
}

func TestNamespaceTheKeyMayNotUse(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	c := newClient(t, s)
	c.ns = "acme.child"
	const want = `{"code":7,"message":"Unauthorized request for given endpoint","details":[{"@type":"type.googleapis.com/internal.endor.ai.rpc.v1.HTTPErrorInfo","status_code":403,"redirect_url":""}]}`
	if got := c.verify(image, issuerOnly); got.status != 403 || got.body != want {
		t.Errorf("HTTP %d %s\nwant 403 %s", got.status, got.body, want)
	}
	s.SetNamespaces("acme.child")
	if got := c.verify(image, issuerOnly); got.status != 200 {
		t.Errorf("once allowed: HTTP %d, want 200", got.status)
	}
}

func TestExpirySpelling(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := endortest.Start(t, endortest.Config{Now: func() time.Time { return now }})
	c := newClient(t, s)
	const end = "2026-01-02T07:04:05Z"
	for field, want := range map[endortest.ExpiryField]map[string]any{
		endortest.ExpiryCamelCase: {"expirationTime": end},
		endortest.ExpirySnakeCase: {"expiration_time": end},
		endortest.ExpiryBoth:      {"expirationTime": end, "expiration_time": end},
		endortest.ExpiryNone:      {},
	} {
		if err := s.SetExpiryField(field); err != nil {
			t.Fatal(err)
		}
		got := c.exchange(s.APIKey, s.APISecret).json
		delete(got, "token")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field, diff)
		}
	}
	if err := s.SetExpiryField("exp"); err == nil {
		t.Error("an unknown spelling was accepted")
	}
}

func TestCredentialsRotate(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{APIKey: "endr+old", APISecret: "endr+oldsecret"})
	c := newClient(t, s)
	if got := c.exchange("endr+old", "endr+wrong"); got.status != 401 {
		t.Errorf("wrong secret: HTTP %d, want 401", got.status)
	}
	s.SetCredentials("endr+new", "endr+newsecret")
	if got := c.exchange("endr+old", "endr+oldsecret"); got.status != 401 {
		t.Errorf("the old pair: HTTP %d, want 401", got.status)
	}
	if got := c.exchange("endr+new", "endr+newsecret"); got.status != 200 {
		t.Errorf("the new pair: HTTP %d, want 200", got.status)
	}
	if got := c.verify(image, issuerOnly); got.status != 200 {
		t.Errorf("a token of the old pair: HTTP %d, want 200 until it ends", got.status)
	}
	if got := s.Counters(); got.TokensGranted != 2 || got.TokensRefused != 2 {
		t.Errorf("granted %d, refused %d; want 2 and 2", got.TokensGranted, got.TokensRefused)
	}
}

func TestNewNamesAllProblems(t *testing.T) {
	t.Parallel()
	_, err := endortest.New(endortest.Config{APIKey: "endr+key", Namespaces: []string{"Acme"}, TokenLifetime: -1})
	for _, want := range []string{"belong together", `"Acme"`, "negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func TestServesTLS(t *testing.T) {
	t.Parallel()
	s := endortest.StartTLS(t, endortest.Config{})
	client := s.HTTP.Client()
	res, err := client.Get(s.URL + "/meta/version")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d, want 200", res.StatusCode)
	}
}
