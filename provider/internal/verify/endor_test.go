// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func damage(d endortest.Damage) func(*testing.T, *endortest.Server) {
	return func(t *testing.T, s *endortest.Server) {
		t.Helper()
		if err := s.Damage("", api, d); err != nil {
			t.Fatal(err)
		}
	}
}

func inject(faults ...endortest.Fault) func(*testing.T, *endortest.Server) {
	return func(t *testing.T, s *endortest.Server) {
		t.Helper()
		if err := s.Inject(faults...); err != nil {
			t.Fatal(err)
		}
	}
}

func status(code int) endortest.Fault {
	return endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: code}
}

func TestAnswersOfEndorBecomeCodes(t *testing.T) {
	t.Parallel()
	other := "ghcr.io/acme/api@" + digest(2)
	for _, tc := range []struct {
		name    string
		prepare func(*testing.T, *endortest.Server)
		image   string // default api
		want    verify.Code
	}{
		{name: "signed", want: verify.Verified},
		{name: "no signature for this name", image: "ghcr.io/acme/web@" + digest(1), want: verify.NotSigned},
		{name: "no signature for this digest", image: other, want: verify.NotSigned},
		{name: "not signed, as the API said it until 2024", image: other, prepare: inject(endortest.Fault{Kind: endortest.FaultLegacyUnsigned}), want: verify.NotSigned},
		{name: "revoked", prepare: func(t *testing.T, s *endortest.Server) {
			t.Helper()
			if err := s.Revoke("", api, ""); err != nil {
				t.Fatal(err)
			}
		}, want: verify.Revoked},
		{name: "revoked beside a success", prepare: damage(endortest.DamageAnswerRevoked), want: verify.Revoked},
		{name: "another issuer", prepare: damage(endortest.DamageOtherIssuer), want: verify.WrongSigner},
		{name: "a certificate of an unknown CA", prepare: damage(endortest.DamageOtherCA), want: verify.UntrustedCertificate},
		{name: "an empty certificate", prepare: damage(endortest.DamageEmptyCertificate), want: verify.UntrustedCertificate},
		{name: "half a certificate", prepare: damage(endortest.DamageTruncatedCertificate), want: verify.UntrustedCertificate},
		{name: "a key of a wrong type", prepare: damage(endortest.DamageRSAKey), want: verify.UntrustedCertificate},
		{name: "signed after the certificate's end", prepare: damage(endortest.DamageLateTimestamp), want: verify.SignedOutsideValidity},
		{name: "a signature by another key", prepare: damage(endortest.DamageOtherKeySignature), want: verify.InvalidSignature},
		{name: "a signature over another payload", prepare: damage(endortest.DamageSwappedPayload), want: verify.InvalidSignature},
		{name: "a signature that cannot be decoded", prepare: damage(endortest.DamageUndecodableSignature), want: verify.InvalidSignature},
		{name: "INVALID_ARTIFACT_NAME", prepare: inject(endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultInvalidArtifactName}), want: verify.BadReference},
		{name: "a result of signing", prepare: inject(endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultSignFailure}), want: verify.UnrecognizedResult},
		{name: "the zero result", prepare: inject(endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultUnspecified}), want: verify.UnrecognizedResult},
		{name: "a result of the future", prepare: inject(endortest.Fault{Kind: endortest.FaultResult, Result: "ARTIFACT_OPERATION_RESULT_SUCCESS_WITH_WARNINGS"}), want: verify.UnrecognizedResult},
		{name: "a refusal within HTTP 500", image: other, prepare: inject(endortest.Fault{Kind: endortest.FaultResult, Status: 500}), want: verify.NotSigned},

		{name: "a success about another digest", prepare: damage(endortest.DamageAnswerOtherDigest), want: verify.UnrecognizedResult},
		{name: "a success about another name", prepare: damage(endortest.DamageAnswerOtherName), want: verify.UnrecognizedResult},
		{name: "a success that says less about itself", prepare: damage(endortest.DamageAnswerBare), want: verify.Verified},
		{name: "a success without its signature", prepare: damage(endortest.DamageAnswerNoSignature), want: verify.Verified},
		{name: "a success with a digest without its algorithm", prepare: damage(endortest.DamageAnswerBareDigest), want: verify.Verified},
		{name: "a success with the digest in the name", prepare: damage(endortest.DamageAnswerFullName), want: verify.Verified},

		{name: "HTTP 400", prepare: inject(status(http.StatusBadRequest)), want: verify.RefusedByAPI},
		{name: "HTTP 409", prepare: inject(status(http.StatusConflict)), want: verify.RefusedByAPI},
		{name: "HTTP 413", prepare: inject(status(http.StatusRequestEntityTooLarge)), want: verify.RefusedByAPI},
		{name: "HTTP 422", prepare: inject(status(http.StatusUnprocessableEntity)), want: verify.RefusedByAPI},
		{name: "an HTTP 4xx that nobody expects", prepare: inject(status(http.StatusTeapot)), want: verify.RefusedByAPI},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			core, server := newEndor(t)
			if tc.prepare != nil {
				tc.prepare(t, server)
			}
			image := api
			if tc.image != "" {
				image = tc.image
			}
			got, err := core.Verify(t.Context(), ask(t, image))
			if err != nil {
				t.Fatal(err)
			}
			if got.Code != tc.want || got.Verified() != (tc.want == verify.Verified) {
				t.Errorf("code = %s (result %q), want %s", got.Code, got.Result, tc.want)
			}
			if got.AskedAt.IsZero() {
				t.Error("the verdict does not say when it was asked for")
			}
		})
	}
}

func TestNoAnswerIsNoVerdict(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
		code  verify.Code
		cause verify.Cause
	}{
		{"HTTP 401", status(http.StatusUnauthorized), verify.Misconfigured, "credentials"},
		{"HTTP 402", status(http.StatusPaymentRequired), verify.Misconfigured, "license"},
		{"HTTP 403", status(http.StatusForbidden), verify.Misconfigured, "forbidden"},
		{"HTTP 404", status(http.StatusNotFound), verify.Misconfigured, "not_found"},
		{"HTTP 405", status(http.StatusMethodNotAllowed), verify.Misconfigured, "not_found"},
		{"HTTP 501", status(http.StatusNotImplemented), verify.Misconfigured, "not_found"},
		{"a redirect", endortest.Fault{Kind: endortest.FaultRedirect, Endpoint: endortest.EndpointOperations}, verify.Misconfigured, "redirect"},
		{"wrong credentials", endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointAuth, Status: 401}, verify.Misconfigured, "credentials"},
		{"HTTP 429 with more patience than there is", endortest.Fault{Kind: endortest.FaultStatus, Status: 429, RetryAfter: "3600"}, verify.Unavailable, "rate_limited"},
		{"HTTP 503 with more patience than there is", endortest.Fault{Kind: endortest.FaultStatus, Status: 503, RetryAfter: "3600"}, verify.Unavailable, "server_error"},
		{"HTTP 408 with more patience than there is", endortest.Fault{Kind: endortest.FaultStatus, Status: 408, RetryAfter: "3600"}, verify.Unavailable, "server_error"},
		{"200 without response", endortest.Fault{Kind: endortest.FaultNoResponse}, verify.Unavailable, "bad_response"},
		{"an empty object", endortest.Fault{Kind: endortest.FaultEmpty, Endpoint: endortest.EndpointOperations}, verify.Unavailable, "bad_response"},
		{"a page", endortest.Fault{Kind: endortest.FaultHTML, Endpoint: endortest.EndpointOperations}, verify.Unavailable, "bad_response"},
		{"an endless body", endortest.Fault{Kind: endortest.FaultOversized, Endpoint: endortest.EndpointOperations}, verify.Unavailable, "bad_response"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			core, server := newEndor(t)
			inject(tc.fault)(t, server)
			got, err := core.Verify(t.Context(), ask(t, api))
			u, ok := errors.AsType[*verify.Undecided](err)
			if !ok || got != (verify.Verdict{}) {
				t.Fatalf("verdict = %+v, error = %v; want none and an Undecided", got, err)
			}
			t.Logf("Got expected error: %v", err)
			if u.Code != tc.code || u.Cause != tc.cause {
				t.Errorf("undecided %s/%s, want %s/%s", u.Code, u.Cause, tc.code, tc.cause)
			}
			if strings.HasPrefix(u.Sentence(), "Endor Labs could not be asked") {
				t.Errorf("the cause %q has no sentence of its own", u.Cause)
			}
			if hits := server.Counters().Requests["redirect-target"]; hits != 0 {
				t.Errorf("the client followed a redirect %d times", hits)
			}
		})
	}
}

func TestASuccessBesideAnErrorIsNotBelieved(t *testing.T) {
	t.Parallel()
	core, server := newEndor(t)
	inject(endortest.Fault{Kind: endortest.FaultResult, Status: http.StatusForbidden})(t, server)
	if got, err := core.Verify(t.Context(), ask(t, api)); err == nil {
		t.Errorf("HTTP 403 with RESULT_SUCCESS gave %+v, want no verdict", got)
	}
}

func TestSigners(t *testing.T) {
	t.Parallel()
	release := ofAPI
	release.SourceRepositoryRef = "refs/tags/v1.2.3"
	repo := func(name string) question.Claims { return question.Claims{SourceRepository: name} }
	for _, tc := range []struct {
		name    string
		signed  *endortest.Claims // default ofAPI
		prepare func(*testing.T, *endortest.Server)
		signers []question.Claims
		want    verify.Code
		calls   int
	}{
		{name: "the one that signed", signers: []question.Claims{repo("acme/api")}, want: verify.Verified, calls: 1},
		{name: "another repository", signers: []question.Claims{repo("acme/web")}, want: verify.WrongSigner, calls: 1},
		{name: "all claims have to hold", signers: []question.Claims{{SourceRepository: "acme/api", SourceRepositoryRef: "refs/heads/dev"}}, want: verify.WrongSigner, calls: 1},
		{name: "the issuer is always asked for", signers: []question.Claims{{CertificateOIDCIssuer: "https://gitlab.com", SourceRepository: "acme/api"}}, want: verify.WrongSigner, calls: 1},
		{name: "the second of two", signers: []question.Claims{repo("acme/web"), repo("acme/api"), repo("acme/db")}, want: verify.Verified, calls: 2},
		{name: "none of three", signers: []question.Claims{repo("a/a"), repo("b/b"), repo("c/c")}, want: verify.WrongSigner, calls: 3},
		{name: "a revoked signature is not the next signer's", prepare: func(t *testing.T, s *endortest.Server) {
			t.Helper()
			if err := s.Revoke("", api, ""); err != nil {
				t.Fatal(err)
			}
		}, signers: []question.Claims{repo("acme/api"), repo("acme/web")}, want: verify.Revoked, calls: 1},

		{name: "a star is matched and then confirmed", signed: &release, signers: []question.Claims{{SourceRepository: "acme/api", SourceRepositoryRef: "refs/tags/*"}}, want: verify.Verified, calls: 2},
		{name: "a star that does not match", signers: []question.Claims{{SourceRepositoryRef: "refs/tags/*"}}, want: verify.WrongSigner, calls: 1},
		{name: "two stars", signed: &release, signers: []question.Claims{{SourceRepository: "acme/*", SourceRepositoryRef: "refs/tags/v*"}}, want: verify.Verified, calls: 2},
		{name: "a star without provenance matches nothing", prepare: damage(endortest.DamageNoProvenance), signers: []question.Claims{{SourceRepository: "acme/*"}}, want: verify.WrongSigner, calls: 1},
		{name: "no provenance is needed without a star", prepare: damage(endortest.DamageNoProvenance), signers: []question.Claims{repo("acme/api")}, want: verify.Verified, calls: 1},
		{name: "a row beside the certificate that was changed to match", prepare: func(t *testing.T, s *endortest.Server) {
			t.Helper()
			row := ofAPI
			row.SourceRepositoryRef = "refs/tags/v9"
			if err := s.SetProvenance("", api, &row); err != nil {
				t.Fatal(err)
			}
		}, signers: []question.Claims{{SourceRepositoryRef: "refs/tags/*"}}, want: verify.WrongSigner, calls: 2},
		{name: "a row beside the certificate that holds a star itself", prepare: func(t *testing.T, s *endortest.Server) {
			t.Helper()
			row := ofAPI
			row.SourceRepository = "acme/*"
			if err := s.SetProvenance("", api, &row); err != nil {
				t.Fatal(err)
			}
		}, signers: []question.Claims{{SourceRepository: "acme/*"}}, want: verify.WrongSigner, calls: 1},
		{name: "a row beside the certificate that contradicts what was asked", prepare: func(t *testing.T, s *endortest.Server) {
			t.Helper()
			row := ofAPI
			row.SourceRepository = "acme/other"
			if err := s.SetProvenance("", api, &row); err != nil {
				t.Fatal(err)
			}
		}, signers: []question.Claims{repo("acme/api")}, want: verify.WrongSigner, calls: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			core, server := newEndor(t)
			image := api
			if tc.signed != nil {
				// Under a name of its own: which of two signatures of one digest
				// Endor looks at is not documented.
				image = "ghcr.io/acme/release@" + digest(1)
				sign(t, server, image, *tc.signed)
			}
			if tc.prepare != nil {
				tc.prepare(t, server)
			}
			got, err := core.Verify(t.Context(), ask(t, image, tc.signers...))
			if err != nil {
				t.Fatal(err)
			}
			if got.Code != tc.want {
				t.Errorf("code = %s (result %q, signer %+v), want %s", got.Code, got.Result, got.Signer, tc.want)
			}
			if calls := server.Counters().Verifies[image]; calls != tc.calls {
				t.Errorf("Endor was asked %d times, want %d", calls, tc.calls)
			}
		})
	}
}

func TestAVerifiedImageTellsWhoSignedItAndWhen(t *testing.T) {
	t.Parallel()
	core, server := newEndor(t)
	got, err := core.Verify(t.Context(), ask(t, api, question.Claims{SourceRepository: "acme/api"}))
	if err != nil {
		t.Fatal(err)
	}
	if got.Signer.SourceRepository != "acme/api" || got.Signer.CertificateOIDCIssuer != verify.DefaultIssuer || got.Signer.BuildConfigName != "Release" {
		t.Errorf("signer = %+v, want the provenance", got.Signer)
	}
	if got.SignedAt.IsZero() {
		t.Error("SignedAt is not set")
	}
	damage(endortest.DamageAnswerNoSignature)(t, server)
	got, err = core.Verify(t.Context(), ask(t, api, question.Claims{SourceRepository: "acme/api"}))
	if err != nil {
		t.Fatal(err)
	}
	if want := (question.Claims{CertificateOIDCIssuer: verify.DefaultIssuer, SourceRepository: "acme/api"}); got.Signer != want || !got.SignedAt.IsZero() {
		t.Errorf("without a signature in the answer: signer = %+v, signed at %v, want what was asked for and no time", got.Signer, got.SignedAt)
	}
}

func TestADefaultSignerIsAskedByIssuerAlone(t *testing.T) {
	t.Parallel()
	core, server := newEndor(t)
	if _, err := core.Verify(t.Context(), ask(t, api)); err != nil {
		t.Fatal(err)
	}
	ops := server.Operations()
	if want := (endortest.Claims{CertificateOIDCIssuer: verify.DefaultIssuer}); len(ops) != 1 || ops[0].Extensions != want {
		t.Errorf("operations = %+v, want one with the issuer alone", ops)
	}
}

func TestAStarIsConfirmedWithTheValuesThatMatched(t *testing.T) {
	t.Parallel()
	core, server := newEndor(t)
	if _, err := core.Verify(t.Context(), ask(t, api, question.Claims{SourceRepository: "acme/api", SourceRepositoryRef: "refs/*/main"})); err != nil {
		t.Fatal(err)
	}
	ops := server.Operations()
	first := endortest.Claims{CertificateOIDCIssuer: verify.DefaultIssuer, SourceRepository: "acme/api"}
	second := first
	second.SourceRepositoryRef = "refs/heads/main"
	if len(ops) != 2 || ops[0].Extensions != first || ops[1].Extensions != second {
		t.Errorf("operations = %+v\nwant extensions %+v, then %+v", ops, first, second)
	}
}
