// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

func TestSwitchesOverHTTP(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{Admin: true})
	c := newClient(t, s)
	put := c.do(http.MethodPut, "/emulator/switches", `{
		"expiryField": "none",
		"tokenLifetime": "90m",
		"faults": [
			{"kind": "status", "status": 429, "retryAfter": "2", "times": 3},
			{"kind": "latency", "endpoint": "auth", "delay": "1ms"}
		]
	}`)
	if put.status != 204 {
		t.Fatalf("PUT = HTTP %d %s, want 204", put.status, put.body)
	}
	if got := c.verify(image, issuerOnly).status; got != 429 {
		t.Errorf("VERIFY = HTTP %d, want 429", got)
	}
	want := map[string]any{
		"expiryField":   "none",
		"tokenLifetime": "1h30m0s",
		"faults": []any{
			map[string]any{"kind": "status", "endpoint": "both", "status": 429.0, "retryAfter": "2", "times": 2.0},
			map[string]any{"kind": "latency", "endpoint": "auth", "delay": "1ms"},
		},
	}
	if diff := cmp.Diff(want, c.do(http.MethodGet, "/emulator/switches", nil).json); diff != "" {
		t.Errorf("GET (-want +got):\n%s", diff)
	}

	c.do(http.MethodPut, "/emulator/switches", `{}`)
	want = map[string]any{"expiryField": "expirationTime", "tokenLifetime": "4h0m0s", "faults": []any{}}
	if diff := cmp.Diff(want, c.do(http.MethodGet, "/emulator/switches", nil).json); diff != "" {
		t.Errorf("after PUT {} (-want +got):\n%s", diff)
	}
}

func TestSwitchesThatAreNotValidChangeNothing(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{Admin: true})
	mustInject(t, s, endortest.Fault{Kind: endortest.FaultEmpty})
	c := newClient(t, s)
	for _, tc := range []struct {
		name, body string
		want       []string
	}{
		{"unknown field", `{"fault": []}`, []string{`unknown field "fault"`}},
		{"unknown field of a fault", `{"faults": [{"kind": "empty", "count": 1}]}`, []string{`unknown field "count"`}},
		{"not a delay", `{"faults": [{"kind": "latency", "delay": "soon"}]}`, []string{`delay "soon"`}},
		{"all at once", `{"expiryField": "exp", "tokenLifetime": "long", "faults": [{"kind": "flood"}]}`, []string{
			`expiry field "exp"`, `tokenLifetime "long"`, `kind "flood"`,
		}},
	} {
		got := c.do(http.MethodPut, "/emulator/switches", tc.body)
		message, _ := got.at("message").(string)
		for _, want := range tc.want {
			if got.status != 400 || !strings.Contains(message, want) {
				t.Errorf("%s: HTTP %d %q, want 400 with %q", tc.name, got.status, message, want)
			}
		}
	}
	if got := s.Faults(); len(got) != 1 {
		t.Errorf("faults = %+v, want the one there was", got)
	}
}

func TestAdminActions(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{Admin: true})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)

	if got := c.do(http.MethodPost, "/emulator/damage", map[string]any{"image": image, "damage": "other-ca"}); got.status != 204 {
		t.Fatalf("damage: HTTP %d %s, want 204", got.status, got.body)
	}
	if got := c.verify(image, issuerOnly).result(); got != "UNKNOWN_CA" {
		t.Errorf("VERIFY = %s, want UNKNOWN_CA", got)
	}
	if got := c.do(http.MethodGet, "/emulator/counters", nil).at("commands.VERIFY"); got != 1.0 {
		t.Errorf("counters show %v VERIFY, want 1", got)
	}
	c.do(http.MethodDelete, "/emulator/counters", nil)
	if got := c.do(http.MethodGet, "/emulator/counters", nil).at("commands.VERIFY"); got != nil {
		t.Errorf("counters show %v VERIFY after DELETE, want none", got)
	}
	c.do(http.MethodDelete, "/emulator/tokens", nil)
	if got := c.verify(image, issuerOnly).status; got != 401 {
		t.Errorf("VERIFY with a revoked token = HTTP %d, want 401", got)
	}
	if got := c.do(http.MethodPut, "/emulator/credentials", map[string]any{"key": "endr+new"}).status; got != 400 {
		t.Errorf("half a pair: HTTP %d, want 400", got)
	}
	c.do(http.MethodPut, "/emulator/credentials", map[string]any{"key": "endr+new", "secret": "endr+newsecret"})
	if got := c.exchange("endr+new", "endr+newsecret").status; got != 200 {
		t.Errorf("the new pair: HTTP %d, want 200", got)
	}
}
