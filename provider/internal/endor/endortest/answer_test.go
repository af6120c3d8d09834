// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

const (
	name   = "ghcr.io/acme/api"
	digest = "sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
	inSpec = "response.artifact_signature.spec."
)

func TestSuccessShowsTheSignature(t *testing.T) {
	t.Parallel()
	signedAt := time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)
	s := endortest.Start(t, endortest.Config{Now: func() time.Time { return signedAt }})
	mustSign(t, s, image, acmeAPI)
	got := newClient(t, s).verify(image, issuerOnly)

	for path, want := range map[string]any{
		"tenant_meta.namespace":                         "acme",
		"meta.name":                                     "endortest",
		"spec.artifact_name":                            image,
		"response.result":                               string(endortest.ResultSuccess),
		inSpec + "artifact_name":                        name,
		inSpec + "artifact_digest":                      digest,
		inSpec + "artifact_type":                        "ARTIFACT_TYPE_CONTAINER",
		inSpec + "source_repository_ref":                "refs/heads/main",
		inSpec + "timestamp":                            "2026-03-04T05:06:07.89Z",
		inSpec + "revoked":                              false,
		inSpec + "provenance":                           allOf(acmeAPI),
		inSpec + "simple_container_image.critical.type": "atomic container signature",
		inSpec + "simple_container_image.critical.identity.docker_reference":    name,
		inSpec + "simple_container_image.critical.image.docker_manifest_digest": digest,
		"response.artifact_signature.tenant_meta.namespace":                     "acme",
	} {
		if diff := cmp.Diff(want, got.at(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}

	block, _ := pem.Decode([]byte(got.at(inSpec + "certificate").(string)))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if life := cert.NotAfter.Sub(cert.NotBefore); life != 5*time.Minute {
		t.Errorf("certificate lives %v, want 5m", life)
	}
}

// VERIFY succeeds, and it is the client's to see that the answer is not about what was asked.
func TestAnswersThatAClientMustBind(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		damage endortest.Damage
		path   string
		want   any
	}{
		{endortest.DamageProvenanceRow, inSpec + "provenance.source_repository", "acme/api"},
		{endortest.DamageNoProvenance, inSpec + "provenance", nil},
		{endortest.DamageAnswerOtherName, inSpec + "artifact_name", "registry.example/stranger/" + name},
		{endortest.DamageAnswerRevoked, inSpec + "revoked", true},
		{endortest.DamageAnswerBareDigest, inSpec + "artifact_digest", strings.TrimPrefix(digest, "sha256:")},
		{endortest.DamageAnswerFullName, inSpec + "artifact_name", image},
		{endortest.DamageAnswerBare, inSpec + "artifact_digest", ""},
		{endortest.DamageAnswerNoSignature, "response.artifact_signature", nil},
	} {
		t.Run(string(tc.damage), func(t *testing.T) {
			t.Parallel()
			s := endortest.Start(t, endortest.Config{})
			mustSign(t, s, image, acmeAPI)
			if err := s.Damage("", image, tc.damage); err != nil {
				t.Fatal(err)
			}
			got := newClient(t, s).verify(image, issuerOnly)
			if got.result() != "SUCCESS" {
				t.Fatalf("result = %s, want SUCCESS", got.result())
			}
			if diff := cmp.Diff(tc.want, got.at(tc.path)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.path, diff)
			}
		})
	}

	t.Run(string(endortest.DamageAnswerOtherDigest), func(t *testing.T) {
		t.Parallel()
		s := endortest.Start(t, endortest.Config{})
		mustSign(t, s, image, acmeAPI)
		if err := s.Damage("", image, endortest.DamageAnswerOtherDigest); err != nil {
			t.Fatal(err)
		}
		got := newClient(t, s).verify(image, issuerOnly)
		if other, _ := got.at(inSpec + "artifact_digest").(string); len(other) != len(digest) || other == digest {
			t.Errorf("artifact_digest = %q, want another well-formed digest", other)
		}
	})
}

func TestProvenanceRowIsWhateverATestSays(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	if err := s.SetProvenance("", image, &endortest.Claims{SourceRepository: "acme/*"}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, s)
	if got := c.verify(image, allOf(acmeAPI)).at(inSpec + "provenance.source_repository"); got != "acme/*" {
		t.Errorf("provenance shows %v, want acme/*", got)
	}
}

func TestDamageExplainsWhatItCannotDo(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	for _, tc := range []struct {
		name, image string
		damage      endortest.Damage
		want        string
	}{
		{"unknown damage", image, "rust", `damage "rust" is not one of`},
		{"not signed", otherImage, endortest.DamageOtherCA, "sign it first"},
		{"no digest", "ghcr.io/acme/api:v1", endortest.DamageOtherCA, "is not registry/repo@sha256:"},
	} {
		if err := s.Damage("", tc.image, tc.damage); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error = %v, want one with %q", tc.name, err, tc.want)
		}
	}
	if got := newClient(t, s).verify(image, issuerOnly).result(); got != "SUCCESS" {
		t.Errorf("after damages that were refused VERIFY = %s, want SUCCESS", got)
	}
}

func TestCompactAnswersDropWhatIsEmpty(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)

	full := c.verify(otherImage, issuerOnly)
	if response, _ := full.at("response").(map[string]any); response == nil || len(response) != 2 {
		t.Errorf("by default response = %v, want result and a null artifact_signature", full.at("response"))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/namespaces/acme/artifact-operations", strings.NewReader(
		`{"meta":{"name":"endortest"},"spec":{"command":"ARTIFACT_OPERATION_COMMAND_VERIFY","artifact_type":"ARTIFACT_TYPE_CONTAINER","artifact_name":"`+image+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/jsoncompact")
	small, err := c.send(req)
	if err != nil {
		t.Fatal(err)
	}
	if small.result() != "SUCCESS" || strings.Contains(small.body, "revoked") || strings.Contains(small.body, `""`) || strings.Contains(small.body, "null") {
		t.Errorf("application/jsoncompact answered\n%s\nwant SUCCESS without members that are null, empty or false", small.body)
	}
}
