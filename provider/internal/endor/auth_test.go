// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{Namespaces: []string{"acme.prod", "acme.dev", "other"}})
	s.SetPermissions(endortest.Permissions{
		Roles: []string{"SYSTEM_ROLE_READ_ONLY"}, Rules: map[string][]string{"ArtifactOperation": {"METHOD_CREATE", "METHOD_READ"}}, Except: []string{"Policy"},
	})
	c := newClient(t, s)
	want := endor.Identity{
		Tenants: []string{"acme", "other"}, Namespaces: []string{"acme.prod", "acme.dev", "other"},
		Roles: []string{"READ_ONLY"}, Rules: map[string][]string{"ArtifactOperation": {"CREATE", "READ"}}, Except: []string{"Policy"},
	}
	got, err := c.WhoAmI(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("WhoAmI: %v (-want +got):\n%s", err, diff)
	}
	got, err = c.Permissions(t.Context(), "other")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Permissions: %v (-want +got):\n%s", err, diff)
	}
	_, err = c.Permissions(t.Context(), "nobody")
	wantError(t, expected(t, err), endor.KindMisconfigured, endor.ReasonForbidden, http.StatusForbidden)
}

func TestWhoAmIOfARefusedKey(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	c := newClient(t, s)
	s.SetCredentials("another", "pair")
	_, err := c.WhoAmI(t.Context())
	wantError(t, expected(t, err), endor.KindMisconfigured, endor.ReasonCredentials, http.StatusUnauthorized)
}

func TestAnIdentityThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	c := newClientAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/auth/api-key" {
			_, _ = w.Write([]byte(`{"token": "t"}`))
			return
		}
		_, _ = w.Write([]byte(`<html>`))
	}))
	_, err := c.WhoAmI(t.Context())
	wantError(t, expected(t, err), endor.KindUnavailable, endor.ReasonBadResponse, http.StatusOK)
}

func TestClockIsTheAPIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := endortest.Start(t, endortest.Config{Now: func() time.Time { return now }})
	if got, err := newClient(t, s).Clock(t.Context()); err != nil || !got.Equal(now) {
		t.Errorf("Clock = %v, %v, want %v", got, err, now)
	}
	c := newClientAt(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil }))
	_, err := c.Clock(t.Context())
	wantError(t, expected(t, err), endor.KindUnavailable, endor.ReasonBadResponse, http.StatusOK)
}

func TestMayCreate(t *testing.T) {
	t.Parallel()
	const kind = "ArtifactOperation"
	rules := func(kind string, methods ...string) map[string][]string { return map[string][]string{kind: methods} }
	for _, tc := range []struct {
		name string
		id   endor.Identity
		want endor.Grant
	}{
		{"nothing is told", endor.Identity{}, endor.Unsaid},
		{"a scanner", endor.Identity{Roles: []string{"CODE_SCANNER"}}, endor.Granted},
		{"a scanner among others", endor.Identity{Roles: []string{"READ_ONLY", "CODE_SCANNER"}}, endor.Granted},
		{"a reader", endor.Identity{Roles: []string{"READ_ONLY"}}, endor.Denied},
		{"a role of which it is not known", endor.Identity{Roles: []string{"READ_ONLY", "SYNC_ORG"}}, endor.Unsaid},
		{"a rule", endor.Identity{Rules: rules("artifactoperation", "READ", "CREATE")}, endor.Granted},
		{"a rule of all methods", endor.Identity{Rules: rules(kind, "ALL")}, endor.Granted},
		{"a rule that reads", endor.Identity{Rules: rules(kind, "READ")}, endor.Denied},
		{"a rule of another kind", endor.Identity{Rules: rules("Policy", "ALL")}, endor.Denied},
		{"a rule of all kinds", endor.Identity{Rules: rules("*", "CREATE")}, endor.Granted},
		{"a rule of all kinds but this", endor.Identity{Rules: rules("*", "CREATE"), Except: []string{kind}}, endor.Denied},
	} {
		if got := tc.id.MayCreate(kind); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
