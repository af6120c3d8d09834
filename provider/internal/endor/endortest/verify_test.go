// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest_test

import (
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

var issuerOnly = map[string]any{"certificate_oidc_issuer": endortest.GitHubIssuer}

func TestVerifyAnswersWhatFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		arrange    func(*endortest.Server) error
		ask        string         // default: image
		extensions map[string]any // default: issuerOnly
		want       string
	}{
		{name: "a sound signature", want: "SUCCESS"},
		{name: "no extensions sent", extensions: map[string]any{}, want: "SUCCESS"},
		{name: "every claim sent", extensions: allOf(acmeAPI), want: "SUCCESS"},
		{name: "an empty claim is one that was not sent", extensions: map[string]any{"source_repository": ""}, want: "SUCCESS"},

		{name: "a name nobody signed", ask: strange, want: "NO_ARTIFACT"},
		{name: "a digest nobody signed", ask: otherImage, want: "NO_SIGNATURE"},

		{name: "no digest", ask: "ghcr.io/acme/api", want: "INVALID_ARTIFACT_NAME"},
		{name: "tag instead of digest", ask: "ghcr.io/acme/api:v1", want: "INVALID_ARTIFACT_NAME"},
		{name: "tag beside the digest", ask: "ghcr.io/acme/api:v1" + image[len("ghcr.io/acme/api"):], want: "INVALID_ARTIFACT_NAME"},
		{name: "short digest", ask: "ghcr.io/acme/api@sha256:1a2b", want: "INVALID_ARTIFACT_NAME"},
		{name: "upper-case path", ask: "ghcr.io/Acme/api" + image[len("ghcr.io/acme/api"):], want: "INVALID_ARTIFACT_NAME"},

		{name: "revoked", arrange: func(s *endortest.Server) error { return s.Revoke("", image, "") }, want: "REVOKED_SIGNATURE"},
		{name: "revoked by its source digest", arrange: func(s *endortest.Server) error {
			return s.Revoke("", image, acmeAPI.SourceRepositoryDigest)
		}, want: "REVOKED_SIGNATURE"},

		{name: "empty certificate", arrange: damage(endortest.DamageEmptyCertificate), want: "BAD_CERTIFICATE"},
		{name: "truncated certificate", arrange: damage(endortest.DamageTruncatedCertificate), want: "BAD_CERTIFICATE"},
		{name: "another authority", arrange: damage(endortest.DamageOtherCA), want: "UNKNOWN_CA"},
		{name: "RSA key", arrange: damage(endortest.DamageRSAKey), want: "INVALID_KEY_TYPE"},
		{name: "Ed25519 key", arrange: damage(endortest.DamageEd25519Key), want: "INVALID_KEY_TYPE"},
		{name: "undecodable signature", arrange: damage(endortest.DamageUndecodableSignature), want: "CORRUPTED_SIGNATURE"},
		{name: "signature by another key", arrange: damage(endortest.DamageOtherKeySignature), want: "INVALID_SIGNATURE"},
		{name: "payload about another image", arrange: damage(endortest.DamageSwappedPayload), want: "INVALID_SIGNATURE"},
		{name: "timestamp after the certificate", arrange: damage(endortest.DamageLateTimestamp), want: "TIME_MISMATCH"},

		{name: "another issuer", arrange: damage(endortest.DamageOtherIssuer), want: "CLAIMS_MISMATCH"},
		{name: "another issuer, issuer not sent", arrange: damage(endortest.DamageOtherIssuer), extensions: map[string]any{}, want: "SUCCESS"},
		{name: "another ref asked for", extensions: map[string]any{"source_repository_ref": "refs/heads/feature"}, want: "CLAIMS_MISMATCH"},
		{name: "a pattern is compared, not matched", extensions: map[string]any{"source_repository_ref": "refs/heads/*"}, want: "CLAIMS_MISMATCH"},
		{name: "a stranger's certificate behind our provenance row", arrange: damage(endortest.DamageProvenanceRow), extensions: allOf(acmeAPI), want: "CLAIMS_MISMATCH"},
		{name: "the same, by issuer alone", arrange: damage(endortest.DamageProvenanceRow), want: "SUCCESS"},

		{name: "damaged, then signed again", arrange: func(s *endortest.Server) error {
			if err := s.Damage("", image, endortest.DamageOtherCA); err != nil {
				return err
			}
			return s.Sign(endortest.Signing{Image: image, Claims: acmeAPI})
		}, want: "SUCCESS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := endortest.Start(t, endortest.Config{})
			mustSign(t, s, image, acmeAPI)
			if tc.arrange != nil {
				if err := tc.arrange(s); err != nil {
					t.Fatal(err)
				}
			}
			ask, extensions := image, issuerOnly
			if tc.ask != "" {
				ask = tc.ask
			}
			if tc.extensions != nil {
				extensions = tc.extensions
			}
			got := newClient(t, s).verify(ask, extensions)
			if got.status != 200 || got.result() != tc.want {
				t.Fatalf("VERIFY %s = HTTP %d %s, want 200 %s", ask, got.status, got.result(), tc.want)
			}
			if has := got.at("response.artifact_signature") != nil; has != (tc.want == "SUCCESS") {
				t.Errorf("answer has an artifact_signature: %t, with %s", has, tc.want)
			}
		})
	}
}

// Each claim is compared on its own: none is forgotten.
func TestVerifyComparesEveryClaim(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)
	for name, value := range allOf(acmeAPI) {
		if got := c.verify(image, map[string]any{name: value}).result(); got != "SUCCESS" {
			t.Errorf("%s as signed = %s, want SUCCESS", name, got)
		}
		if got := c.verify(image, map[string]any{name: value.(string) + "x"}).result(); got != "CLAIMS_MISMATCH" {
			t.Errorf("%s other than signed = %s, want CLAIMS_MISMATCH", name, got)
		}
	}
}

func TestVerifyWithSeveralSignatures(t *testing.T) {
	t.Parallel()
	release := endortest.GitHubClaims("acme", "api", "refs/tags/v1")
	for _, tc := range []struct {
		name       string
		damage     endortest.Damage // of the first signature, by main
		extensions map[string]any
		want       string
	}{
		{name: "any that satisfies everything", damage: endortest.DamageOtherCA, extensions: issuerOnly, want: "SUCCESS"},
		{name: "the one whose ref is asked for", damage: endortest.DamageNoProvenance, extensions: map[string]any{"source_repository_ref": "refs/heads/main"}, want: "SUCCESS"},
		{name: "else the one that got furthest", damage: endortest.DamageOtherCA, extensions: map[string]any{"source_repository_ref": "refs/heads/main"}, want: "CLAIMS_MISMATCH"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := endortest.Start(t, endortest.Config{})
			mustSign(t, s, image, acmeAPI)
			if err := s.Damage("", image, tc.damage); err != nil {
				t.Fatal(err)
			}
			mustSign(t, s, image, release)
			if got := newClient(t, s).verify(image, tc.extensions).result(); got != tc.want {
				t.Errorf("VERIFY = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestSignaturesBelongToTheirNamespace(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{Namespaces: []string{"acme", "acme.dev"}})
	if err := s.Sign(endortest.Signing{Namespace: "acme.dev", Image: image, Claims: acmeAPI}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, s)
	if got := c.verify(image, issuerOnly).result(); got != "NO_ARTIFACT" {
		t.Errorf("in acme = %s, want NO_ARTIFACT", got)
	}
	c.ns = "acme.dev"
	if got := c.verify(image, issuerOnly).result(); got != "SUCCESS" {
		t.Errorf("in acme.dev = %s, want SUCCESS", got)
	}
}

func damage(d endortest.Damage) func(*endortest.Server) error {
	return func(s *endortest.Server) error { return s.Damage("", image, d) }
}

func allOf(c endortest.Claims) map[string]any {
	return map[string]any{
		"certificate_oidc_issuer":  c.CertificateOIDCIssuer,
		"certificate_identity":     c.CertificateIdentity,
		"source_repository":        c.SourceRepository,
		"source_repository_owner":  c.SourceRepositoryOwner,
		"source_repository_ref":    c.SourceRepositoryRef,
		"source_repository_digest": c.SourceRepositoryDigest,
		"build_config_name":        c.BuildConfigName,
		"build_config_digest":      c.BuildConfigDigest,
		"runner_environment":       c.RunnerEnvironment,
	}
}
