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

func TestSignVerifyRevokeOverHTTP(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	c := newClient(t, s)
	for _, step := range []struct {
		name    string
		command string
		spec    map[string]any
		want    string
	}{
		{"nothing to revoke", "REVOKE_SIGNATURE", map[string]any{"artifact_name": image}, "NO_ARTIFACT"},
		{"sign needs a digest", "SIGN", map[string]any{"artifact_name": "ghcr.io/acme/api:v1"}, "INVALID_ARTIFACT_NAME"},
		{"sign", "SIGN", map[string]any{"artifact_name": image, "extensions": allOf(acmeAPI)}, "SUCCESS"},
		{"verify", "VERIFY", map[string]any{"artifact_name": image, "extensions": allOf(acmeAPI)}, "SUCCESS"},
		{"revoke another build", "REVOKE_SIGNATURE", map[string]any{"artifact_name": image, "digest": "0000"}, "NO_SIGNATURE"},
		{"still stands", "VERIFY", map[string]any{"artifact_name": image}, "SUCCESS"},
		{"revoke needs a digest", "REVOKE_SIGNATURE", map[string]any{"artifact_name": "ghcr.io/acme/api"}, "INVALID_ARTIFACT_NAME"},
		{"revoke this build", "REVOKE_SIGNATURE", map[string]any{"artifact_name": image, "digest": acmeAPI.SourceRepositoryDigest}, "SUCCESS"},
		{"revoked", "VERIFY", map[string]any{"artifact_name": image}, "REVOKED_SIGNATURE"},
		{"sign again", "SIGN", map[string]any{"artifact_name": image, "extensions": allOf(acmeAPI)}, "SUCCESS"},
		{"stands again", "VERIFY", map[string]any{"artifact_name": image}, "SUCCESS"},
	} {
		if got := c.operate(step.command, step.spec); got.status != 200 || got.result() != step.want {
			t.Fatalf("%s: HTTP %d %s, want 200 %s", step.name, got.status, got.result(), step.want)
		}
	}
	want := map[string]int{"SIGN": 3, "VERIFY": 4, "REVOKE_SIGNATURE": 4}
	if diff := cmp.Diff(want, s.Counters().Commands); diff != "" {
		t.Errorf("commands counted (-want +got):\n%s", diff)
	}
}

func TestMalformedOperationsAreRefused(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	c := newClient(t, s)
	const spec = `"spec":{"command":"ARTIFACT_OPERATION_COMMAND_VERIFY","artifact_type":"ARTIFACT_TYPE_CONTAINER","artifact_name":"` + image + `"}`
	for _, tc := range []struct {
		name, body string
		status     int
		want       []string
	}{
		{name: "not JSON", body: `{`, status: 400, want: []string{"decode JSON"}},
		{name: "two values", body: `{"meta":{"name":"x"},` + spec + `}{}`, status: 400, want: []string{"more than one value"}},
		{name: "no meta", body: `{` + spec + `}`, status: 400, want: []string{"meta.name is required"}},
		{name: "no spec", body: `{"meta":{"name":"x"}}`, status: 400, want: []string{"spec is required"}},
		{name: "a condition that is misspelled", body: `{"meta":{"name":"x"},"spec":{"extension":{}}}`, status: 400, want: []string{`unknown field "extension"`}},
		{name: "all problems at once", body: `{"meta":{"name":"` + strings.Repeat("x", 64) + `"},"tenant_meta":{"namespace":"other"},"spec":{}}`, status: 400, want: []string{
			"meta.name has 64 characters", "tenant_meta.namespace", "spec.command", "spec.artifact_name", "spec.artifact_type",
		}},
		{name: "too large", body: strings.Repeat(" ", 1<<20+1), status: 413, want: []string{"too large"}},
	} {
		got := c.do(http.MethodPost, "/v1/namespaces/acme/artifact-operations", tc.body)
		message, _ := got.at("message").(string)
		if got.status != tc.status || got.at("code") != 3.0 {
			t.Errorf("%s: HTTP %d code %v, want %d code 3", tc.name, got.status, got.at("code"), tc.status)
		}
		for _, want := range tc.want {
			if !strings.Contains(message, want) {
				t.Errorf("%s: message %q does not say %q", tc.name, message, want)
			}
		}
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	c := newClient(t, s)
	for _, tc := range []struct {
		method, path string
		status       int
		code         any
	}{
		{http.MethodGet, "/v1/namespaces/acme/artifact-operations", 501, 12.0},
		{http.MethodGet, "/v1/auth/api-key", 501, 12.0},
		{http.MethodGet, "/v1/namespaces/acme/artifact-signatures", 404, 5.0},
		{http.MethodGet, "/emulator/switches", 404, 5.0}, // not asked for
		{http.MethodGet, "/meta/version", 200, nil},
		{http.MethodGet, "/v1/auth", 200, nil},
		{http.MethodGet, "/v1/namespaces/acme/auth", 200, nil},
		{http.MethodGet, "/v1/namespaces/other/auth", 403, 7.0},
	} {
		if got := c.do(tc.method, tc.path, nil); got.status != tc.status || got.at("code") != tc.code {
			t.Errorf("%s %s = HTTP %d code %v, want %d code %v", tc.method, tc.path, got.status, got.at("code"), tc.status, tc.code)
		}
	}
}

func TestOperationsAreRemembered(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	c := newClient(t, s)
	c.verify(image, issuerOnly)
	want := []endortest.Operation{{
		Namespace: "acme", Command: "ARTIFACT_OPERATION_COMMAND_VERIFY", ArtifactName: image,
		ArtifactType: "ARTIFACT_TYPE_CONTAINER", Extensions: endortest.Claims{CertificateOIDCIssuer: endortest.GitHubIssuer},
	}}
	if diff := cmp.Diff(want, s.Operations()); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	counters := s.Counters()
	if counters.Verifies[image] != 1 || counters.MaxInFlight != 1 || counters.TokensGranted != 1 {
		t.Errorf("counters = %+v, want one verify of the image, one in flight at most, one token", counters)
	}
	s.ResetCounters()
	if got := s.Counters(); len(got.Requests) != 0 || len(s.Operations()) != 0 {
		t.Errorf("after a reset counters = %+v, want none", got)
	}
}
