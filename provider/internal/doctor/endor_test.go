// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor/doctortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// maySign is what is always said of a credential that can ask.
const maySign = "warning endor-role"

func TestEndorLabsIsAskedAboutTheCredential(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		emulator  endortest.Config
		infect    func(*endortest.Server, *doctortest.API)
		key       string
		elsewhere bool // the provider asks another address
		config    func(*doctor.Config)

		want  []string
		found string
	}{
		{name: "a key that works may sign", want: []string{maySign}, found: "may sign there too"},
		{name: "an administrator's key", infect: says(endortest.Permissions{Roles: []string{"SYSTEM_ROLE_ADMIN"}}), want: []string{maySign}, found: "the role ADMIN"},
		{name: "a key of one permission", infect: says(endortest.Permissions{Rules: map[string][]string{"ArtifactOperation": {"METHOD_CREATE"}}}), want: []string{maySign}, found: "rules of their own"},
		{name: "a key that only reads", infect: says(endortest.Permissions{Roles: []string{"SYSTEM_ROLE_READ_ONLY"}}), want: []string{"error endor-role"}, found: "READ_ONLY"},
		{name: "a role that nobody knows", infect: says(endortest.Permissions{Roles: []string{"SYSTEM_ROLE_BARISTA"}}), want: []string{"unknown endor-role"}, found: "BARISTA"},
		{name: "permissions that are not told", infect: says(endortest.Permissions{}), want: []string{"unknown endor-role"}},
		{name: "a key that is refused", key: "endr+stale", want: []string{
			"error endor-credentials", "skipped endor-region", "skipped endor-namespace", "skipped endor-role",
		}, found: "refuses the credentials"},
		{name: "a tenant of another region", infect: func(s *endortest.Server, _ *doctortest.API) { s.SetNamespaces() },
			want: []string{"error endor-region", "skipped endor-namespace", "skipped endor-role"}, found: "another region"},
		{name: "another API than the provider's", elsewhere: true, want: []string{"warning endor-region", maySign}, found: "api.endorlabs.com"},
		{name: "a namespace that the key may not use", infect: func(_ *endortest.Server, a *doctortest.API) {
			theConstraint("acme.payments", "spec", "parameters", "namespace")(a)
		}, want: []string{"error endor-namespace", "skipped endor-role"}, found: "may not use the Endor namespace acme.payments"},
		{name: "no namespace at all", infect: func(_ *endortest.Server, a *doctortest.API) {
			theConstraint(nil, "spec", "parameters", "namespace")(a)
		}, want: []string{"unknown endor-namespace", "skipped endor-role"}},
		{name: "the namespace that is set here", infect: func(_ *endortest.Server, a *doctortest.API) {
			theConstraint(nil, "spec", "parameters", "namespace")(a)
		}, config: func(cfg *doctor.Config) { cfg.EndorNamespace = "acme" }, want: []string{maySign}},
		{name: "Endor Labs is away", infect: func(s *endortest.Server, _ *doctortest.API) { s.HTTP.CloseClientConnections(); s.HTTP.Listener.Close() },
			want: []string{"unknown endor-credentials", "unknown clock-endor", "skipped endor-region", "skipped endor-namespace", "skipped endor-role"}, found: "cannot be asked from here"},
		{name: "the clock of Endor Labs is off", emulator: endortest.Config{Now: func() time.Time { return time.Now().Add(-time.Hour) }},
			want: []string{"error clock-endor", maySign}, found: "1h apart"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := endortest.Start(t, tc.emulator)
			a := healthy(t)
			if !tc.elsewhere {
				providerArgs("--endor-api=" + s.URL)(a)
			}
			if tc.infect != nil {
				tc.infect(s, a)
			}
			key := s.APIKey
			if tc.key != "" {
				key = tc.key
			}
			client, err := endor.New(endor.Config{
				BaseURL: s.URL, Credentials: endor.Credentials{Key: key, Secret: s.APISecret}, Timeout: time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			var got []string
			said := false
			r := examine(t, a, func(cfg *doctor.Config) {
				cfg.Endor = client
				if tc.config != nil {
					tc.config(cfg)
				}
			})
			for _, f := range r.Findings {
				if f.Severity == doctor.OK || f.Severity == doctor.Info {
					continue
				}
				got = append(got, string(f.Severity)+" "+f.Check)
				said = said || strings.Contains(f.Found, tc.found)
				if text := f.Found + f.Fix; strings.Contains(text, s.APISecret) || strings.Contains(text, key) {
					t.Errorf("a credential is told: %s", text)
				}
				t.Logf("%s %s: %s", f.Severity, f.Check, f.Found)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if !said {
				t.Errorf("no finding says %q", tc.found)
			}
		})
	}
}

func says(p endortest.Permissions) func(*endortest.Server, *doctortest.API) {
	return func(s *endortest.Server, _ *doctortest.API) { s.SetPermissions(p) }
}

func TestCredentialsThatCannotBeUsedAreNoneToSkip(t *testing.T) {
	t.Parallel()
	r := examine(t, healthy(t), func(cfg *doctor.Config) { cfg.EndorError = errors.New("more than one kind is given") })
	for _, f := range r.Findings {
		if f.Check == "endor-credentials" && f.Severity == doctor.Unknown && strings.Contains(f.Found, "more than one kind") {
			return
		}
	}
	t.Errorf("findings = %+v", r.Findings)
}
