// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

func TestVerifyOnTheWire(t *testing.T) {
	t.Parallel()
	// The emulator answers 400 to fields it does not know, and to a meta.name that
	// is too long; what passes by it is recorded in front of it.
	emulator, err := endortest.New(endortest.Config{Namespaces: []string{"acme.prod"}})
	if err != nil {
		t.Fatal(err)
	}
	claims := question.Claims{CertificateOIDCIssuer: endortest.GitHubIssuer, SourceRepository: "acme/api"}
	if err := emulator.Sign(endortest.Signing{Image: apiImage, Claims: apiBuild}); err != nil {
		t.Fatal(err)
	}
	var (
		mu       sync.Mutex
		requests []*http.Request
		bodies   []string
	)
	c := newClientAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		mu.Lock()
		requests, bodies = append(requests, r.Clone(r.Context())), append(bodies, string(body))
		mu.Unlock()
		emulator.Handler().ServeHTTP(w, r)
	}), func(cfg *endor.Config) {
		cfg.BaseURL += "/" // a trailing slash changes nothing
		cfg.Credentials = endor.Credentials{Key: endortest.DefaultAPIKey, Secret: endortest.DefaultAPISecret}
		cfg.Timeout = 15 * time.Second
		cfg.UserAgent = "endor-gatekeeper-provider/1.2.3"
	})
	image := mustParse("ghcr.io/acme/api:v1.2.3@" + apiDigest)
	got, err := c.Verify(t.Context(), "acme.prod", image, claims)
	if err != nil || got.Result != endor.ResultSuccess {
		t.Fatalf("Verify = %s, error %v", got.Result, err)
	}
	if len(requests) != 2 {
		t.Fatalf("%d requests, want 2", len(requests))
	}

	for i, want := range []struct{ path, body string }{
		{path: "/v1/auth/api-key", body: `{"key": "endr+emulator-key", "secret": "endr+emulator-secret"}`},
		{path: "/v1/namespaces/acme.prod/artifact-operations", body: `{
			"meta": {"name": "endor-gatekeeper-provider"},
			"tenant_meta": {"namespace": "acme.prod"},
			"spec": {
				"command": "ARTIFACT_OPERATION_COMMAND_VERIFY",
				"artifact_name": "` + apiImage + `",
				"artifact_type": "ARTIFACT_TYPE_CONTAINER",
				"extensions": {
					"certificate_oidc_issuer": "https://token.actions.githubusercontent.com",
					"source_repository": "acme/api"
				}
			}
		}`},
	} {
		r := requests[i]
		if r.Method != http.MethodPost || r.URL.RequestURI() != want.path {
			t.Errorf("request %d is %s %s, want POST %s", i, r.Method, r.URL.RequestURI(), want.path)
		}
		if diff := cmp.Diff(decoded(t, want.body), decoded(t, bodies[i])); diff != "" {
			t.Errorf("body of %s (-want +got):\n%s", want.path, diff)
		}
		for name, want := range map[string]string{
			"Content-Type":    "application/json",
			"Accept":          "application/json",
			"User-Agent":      "endor-gatekeeper-provider/1.2.3",
			"Request-Timeout": "15",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s of %s is %q, want %q", name, r.URL.Path, got, want)
			}
		}
	}
	if got := requests[0].Header.Values("Authorization"); len(got) != 0 {
		t.Errorf("the exchange was sent with %d Authorization headers", len(got))
	}
	if got := requests[1].Header.Get("Authorization"); !strings.HasPrefix(got, "Bearer endor-emulator-") {
		t.Errorf("Authorization: %q", got)
	}
}

func decoded(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEveryClaimIsSentUnderItsOwnName(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	c := newClient(t, s)
	for name, value := range apiClaims.All() {
		t.Run(name, func(t *testing.T) {
			got, err := c.Verify(t.Context(), s.Namespace, apiRef, question.Claims{}.With(name, value))
			if err != nil || got.Result != endor.ResultSuccess {
				t.Errorf("asked for %s alone: %s, error %v; want SUCCESS", name, got.Result, err)
			}
			got, err = c.Verify(t.Context(), s.Namespace, apiRef, apiClaims.With(name, value+"x"))
			if err != nil || got.Result != endor.ResultClaimsMismatch {
				t.Errorf("asked for another %s: %s, error %v; want CLAIMS_MISMATCH", name, got.Result, err)
			}
		})
	}
}

func TestSignatureOfASuccess(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 12, 0, 0, 123_000_000, time.UTC)
	full := &endor.Signature{ArtifactName: "ghcr.io/acme/api", ArtifactDigest: apiDigest, Timestamp: at, Provenance: apiClaims}
	with := func(change func(*endor.Signature)) *endor.Signature {
		changed := *full
		change(&changed)
		return &changed
	}
	for _, tc := range []struct {
		name   string
		damage endortest.Damage
		want   *endor.Signature
	}{
		{name: "as stored", want: full},
		{name: "revoked", damage: endortest.DamageAnswerRevoked, want: with(func(s *endor.Signature) { s.Revoked = true })},
		{name: "the digest without its algorithm", damage: endortest.DamageAnswerBareDigest, want: with(func(s *endor.Signature) { s.ArtifactDigest = strings.TrimPrefix(apiDigest, "sha256:") })},
		{name: "the name with the digest", damage: endortest.DamageAnswerFullName, want: with(func(s *endor.Signature) { s.ArtifactName = apiImage })},
		{name: "about another image, which is not for the client to judge", damage: endortest.DamageAnswerOtherName, want: with(func(s *endor.Signature) { s.ArtifactName = "registry.example/stranger/ghcr.io/acme/api" })},
		{name: "without name and digest", damage: endortest.DamageAnswerBare, want: with(func(s *endor.Signature) { s.ArtifactName, s.ArtifactDigest = "", "" })},
		{name: "without provenance", damage: endortest.DamageNoProvenance, want: with(func(s *endor.Signature) { s.Provenance = question.Claims{} })},
		{name: "not sent at all", damage: endortest.DamageAnswerNoSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := endortest.Start(t, endortest.Config{})
			if err := s.Sign(endortest.Signing{Image: apiImage, Claims: apiBuild, At: at}); err != nil {
				t.Fatal(err)
			}
			damage(t, s, tc.damage)
			got, err := ask(t, newClient(t, s))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(endor.Answer{Result: endor.ResultSuccess, Signature: tc.want}, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func damage(t *testing.T, s *endortest.Server, d endortest.Damage) {
	t.Helper()
	if d == "" {
		return
	}
	if err := s.Damage("", apiImage, d); err != nil {
		t.Fatal(err)
	}
}

// Each of Endor's results, because the check that it names failed.
func TestResults(t *testing.T) {
	t.Parallel()
	revoke := func(t *testing.T, s *endortest.Server) {
		t.Helper()
		if err := s.Revoke("", apiImage, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name    string
		prepare func(*testing.T, *endortest.Server)
		damage  endortest.Damage
		image   string // default apiImage
		want    endor.Result
	}{
		{name: "signed", want: endor.ResultSuccess},
		{name: "a name that nobody signed", image: "ghcr.io/acme/other@" + apiDigest, want: endor.ResultNoArtifact},
		{name: "a digest that nobody signed", image: "ghcr.io/acme/api@sha256:" + strings.Repeat("f", 64), want: endor.ResultNoSignature},
		{name: "revoked", prepare: revoke, want: endor.ResultRevokedSignature},
		{name: "an empty certificate", damage: endortest.DamageEmptyCertificate, want: endor.ResultBadCertificate},
		{name: "a truncated certificate", damage: endortest.DamageTruncatedCertificate, want: endor.ResultBadCertificate},
		{name: "another authority", damage: endortest.DamageOtherCA, want: endor.ResultUnknownCA},
		{name: "an RSA key", damage: endortest.DamageRSAKey, want: endor.ResultInvalidKeyType},
		{name: "an Ed25519 key", damage: endortest.DamageEd25519Key, want: endor.ResultInvalidKeyType},
		{name: "a signature that cannot be decoded", damage: endortest.DamageUndecodableSignature, want: endor.ResultCorruptedSignature},
		{name: "a signature of another key", damage: endortest.DamageOtherKeySignature, want: endor.ResultInvalidSignature},
		{name: "a signature over another image", damage: endortest.DamageSwappedPayload, want: endor.ResultInvalidSignature},
		{name: "signed after the certificate's end", damage: endortest.DamageLateTimestamp, want: endor.ResultTimeMismatch},
		{name: "another issuer", damage: endortest.DamageOtherIssuer, want: endor.ResultClaimsMismatch},
		{name: "another repository than the row says", damage: endortest.DamageProvenanceRow, want: endor.ResultClaimsMismatch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			if tc.prepare != nil {
				tc.prepare(t, s)
			}
			damage(t, s, tc.damage)
			image := apiRef
			if tc.image != "" {
				image = mustParse(tc.image)
			}
			got, err := newClient(t, s).Verify(t.Context(), s.Namespace, image, apiClaims)
			if err != nil || got.Result != tc.want {
				t.Errorf("Verify = %s, error %v; want %s", got.Result, err, tc.want)
			}
			wantRequests(t, s, 1, 1)
		})
	}
}

// Results that no check of the emulator ends with, as they come.
func TestResultsAsTheyCome(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		sent endortest.Result
		want endor.Result
	}{
		{name: "the name is no artifact's", sent: endortest.ResultInvalidArtifactName, want: endor.ResultInvalidArtifactName},
		{name: "the zero value", sent: endortest.ResultUnspecified, want: "UNSPECIFIED"},
		{name: "a result of signing", sent: endortest.ResultSignFailure, want: "SIGN_FAILURE"},
		{name: "one that Endor adds tomorrow", sent: "ARTIFACT_OPERATION_RESULT_QUANTUM_DECAY", want: "QUANTUM_DECAY"},
		{name: "success in other words", sent: "SUCCESS", want: `"SUCCESS"`},
		{name: "success in the words of 2023", sent: "VERIFICATION_RESULT_SUCCESS", want: `"VERIFICATION_RESULT_SUCCESS"`},
		{name: "success in lower case", sent: "ARTIFACT_OPERATION_RESULT_success", want: "success"},
		{name: "success with a space", sent: "ARTIFACT_OPERATION_RESULT_SUCCESS ", want: "SUCCESS "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			inject(t, s, endortest.Fault{Kind: endortest.FaultResult, Result: tc.sent})
			got, err := ask(t, newClient(t, s))
			if err != nil || got.Result != tc.want {
				t.Errorf("Verify = %q, error %v; want %q", got.Result, err, tc.want)
			}
		})
	}
}

// A refusal is one in any HTTP status, and trying again would not change it.
func TestDecisionBesideAnotherStatus(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
		want  endor.Result
	}{
		{name: "revoked, 500", fault: endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultRevokedSignature, Status: 500}, want: endor.ResultRevokedSignature},
		{name: "mismatch, 503", fault: endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultClaimsMismatch, Status: 503}, want: endor.ResultClaimsMismatch},
		{name: "no signature, 404", fault: endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultNoSignature, Status: 404}, want: endor.ResultNoSignature},
		{name: "no artifact, 429", fault: endortest.Fault{Kind: endortest.FaultResult, Result: endortest.ResultNoArtifact, Status: 429}, want: endor.ResultNoArtifact},
		{name: "a result of tomorrow, 500", fault: endortest.Fault{Kind: endortest.FaultResult, Result: "ARTIFACT_OPERATION_RESULT_QUANTUM_DECAY", Status: 500}, want: "QUANTUM_DECAY"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			inject(t, s, tc.fault)
			got, err := ask(t, newClient(t, s))
			if err != nil || got.Result != tc.want {
				t.Errorf("Verify = %s, error %v; want %s", got.Result, err, tc.want)
			}
			wantRequests(t, s, 1, 1)
		})
	}
}

func TestNotSignedAsItWasSaidUntilMay2024(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	inject(t, s, endortest.Fault{Kind: endortest.FaultLegacyUnsigned})
	got, err := ask(t, newClient(t, s))
	if err != nil || got.Result != endor.ResultNoSignature {
		t.Errorf("Verify = %s, error %v; want NO_SIGNATURE", got.Result, err)
	}
	wantRequests(t, s, 1, 1)
}

// Of a server that says yes and no at once, the no is heard. Where the client would
// try again, the API asks for an hour's patience.
func TestSuccessBesideAnotherStatusDoesNotCount(t *testing.T) {
	t.Parallel()
	const success = `{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS"}}`
	for _, tc := range []struct {
		name   string
		status int
		kind   endor.Kind
		reason endor.Reason
	}{
		{name: "Created", status: 201, kind: endor.KindUnavailable, reason: endor.ReasonBadResponse},
		{name: "Accepted", status: 202, kind: endor.KindUnavailable, reason: endor.ReasonBadResponse},
		{name: "Found", status: 302, kind: endor.KindMisconfigured, reason: endor.ReasonRedirect},
		{name: "Bad Request", status: 400, kind: endor.KindRefused, reason: endor.ReasonRefused},
		{name: "Forbidden", status: 403, kind: endor.KindMisconfigured, reason: endor.ReasonForbidden},
		{name: "Internal Server Error", status: 500, kind: endor.KindUnavailable, reason: endor.ReasonServerError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			inject(t, s, endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: tc.status, RetryAfter: "3600", Body: success})
			wantError(t, mustFail(t, newClient(t, s)), tc.kind, tc.reason, tc.status)
			wantRequests(t, s, 1, 1)
		})
	}
}

// HTTP 200 is not yet an answer.
func TestOKWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	body := func(s string) endortest.Fault {
		return endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: 200, Body: s}
	}
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
	}{
		{name: "no response", fault: endortest.Fault{Kind: endortest.FaultNoResponse}},
		{name: "a null response", fault: body(`{"uuid":"1","response":null}`)},
		{name: "a response that is a word", fault: body(`{"response":"ARTIFACT_OPERATION_RESULT_SUCCESS"}`)},
		{name: "a result in the wrong place", fault: body(`{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS"}`)},
		{name: "an empty object", fault: endortest.Fault{Kind: endortest.FaultEmpty, Endpoint: endortest.EndpointOperations}},
		{name: "a sign-in page", fault: endortest.Fault{Kind: endortest.FaultHTML, Endpoint: endortest.EndpointOperations}},
		{name: "a list", fault: body(`[{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS"}}]`)},
		{name: "truncated JSON", fault: body(`{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS"}`)},
		{name: "garbage behind the answer", fault: body(`{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS"}}<script>`)},
		{name: "an error's body", fault: body(`{"code":13,"message":"no matching signatures"}`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			inject(t, s, tc.fault)
			wantError(t, mustFail(t, newClient(t, s)), endor.KindUnavailable, endor.ReasonBadResponse, 200)
			wantRequests(t, s, 1, 1)
		})
	}
}

// A body that is too long is not read to its end, and would be no shorter next time.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		size int
		want string
	}{
		{name: "1 MiB is read, and holds no answer", size: 1 << 20, want: "endor: verify artifact: bad_response: HTTP 200"},
		{name: "one byte more", size: 1<<20 + 1, want: "endor: verify artifact: bad_response: HTTP 200: the body has more than 1048576 bytes"},
		{name: "1 GiB", size: 1 << 30, want: "endor: verify artifact: bad_response: HTTP 200: the body has more than 1048576 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			inject(t, s, endortest.Fault{Kind: endortest.FaultOversized, Endpoint: endortest.EndpointOperations, Size: tc.size})
			if e := mustFail(t, newClient(t, s)); e.Error() != tc.want {
				t.Errorf("error = %q, want %q", e, tc.want)
			}
			wantRequests(t, s, 1, 1)
		})
	}
}

// The answers that are not verdicts, as the table of codes in README.md has them.
// The API asks for an hour's patience, so that those that may pass are not tried
// again here.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		kind   endor.Kind
		reason endor.Reason
	}{
		{204, endor.KindUnavailable, endor.ReasonBadResponse},
		{301, endor.KindMisconfigured, endor.ReasonRedirect},
		{302, endor.KindMisconfigured, endor.ReasonRedirect},
		{303, endor.KindMisconfigured, endor.ReasonRedirect},
		{307, endor.KindMisconfigured, endor.ReasonRedirect},
		{308, endor.KindMisconfigured, endor.ReasonRedirect},
		{400, endor.KindRefused, endor.ReasonRefused},
		{402, endor.KindMisconfigured, endor.ReasonLicense},
		{403, endor.KindMisconfigured, endor.ReasonForbidden},
		{404, endor.KindMisconfigured, endor.ReasonNotFound},
		{405, endor.KindMisconfigured, endor.ReasonNotFound},
		{408, endor.KindUnavailable, endor.ReasonServerError},
		{409, endor.KindRefused, endor.ReasonRefused},
		{413, endor.KindRefused, endor.ReasonRefused},
		{422, endor.KindRefused, endor.ReasonRefused},
		{429, endor.KindUnavailable, endor.ReasonRateLimited},
		{500, endor.KindUnavailable, endor.ReasonServerError},
		{501, endor.KindMisconfigured, endor.ReasonNotFound},
		{502, endor.KindUnavailable, endor.ReasonServerError},
		{503, endor.KindUnavailable, endor.ReasonServerError},
		{504, endor.KindUnavailable, endor.ReasonServerError},
	} {
		t.Run(http.StatusText(tc.status), func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			inject(t, s, endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: tc.status, RetryAfter: "3600"})
			e := mustFail(t, newClient(t, s))
			wantError(t, e, tc.kind, tc.reason, tc.status)
			if e.Op != "verify artifact" {
				t.Errorf("Op = %q", e.Op)
			}
			wantRequests(t, s, 1, 1)
		})
	}
}

func TestNamespaceWithoutPermission(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	_, err := newClient(t, s).Verify(t.Context(), "acme.child", apiRef, apiClaims)
	e := expected(t, err)
	wantError(t, e, endor.KindMisconfigured, endor.ReasonForbidden, 403)
	wantText(t, e.Error(), "endor: verify artifact: forbidden: HTTP 403: Unauthorized request for given endpoint")
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault endortest.Fault
	}{
		{name: "a connection that is reset within the body", fault: endortest.Fault{Kind: endortest.FaultReset}},
		{name: "503", fault: endortest.Fault{Kind: endortest.FaultStatus, Status: 503}},
		{name: "HTML beside 502", fault: endortest.Fault{Kind: endortest.FaultHTML, Status: 502}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := signed(t, endortest.Config{})
			tc.fault.Times = 1
			exchange, verify := tc.fault, tc.fault
			exchange.Endpoint, verify.Endpoint = endortest.EndpointAuth, endortest.EndpointOperations
			inject(t, s, exchange, verify)
			mustSucceed(t, newClient(t, s))
			wantRequests(t, s, 2, 2)
		})
	}
}

func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	c := newClient(t, s)
	mustSucceed(t, c)
	inject(t, s, endortest.Fault{Kind: endortest.FaultHang})
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Verify(ctx, s.Namespace, apiRef, apiClaims)
		ended <- err
	}()
	await(t, s, held(1))
	leave()
	wantError(t, expected(t, <-ended), endor.KindUnavailable, endor.ReasonTimeout, 0)
	await(t, s, held(0))
	wantRequests(t, s, 1, 2)
}

func TestHangUntilTheTimeout(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	inject(t, s, endortest.Fault{Kind: endortest.FaultHang})
	c := newClient(t, s, func(cfg *endor.Config) { cfg.Timeout = 50 * time.Millisecond })
	wantError(t, mustFail(t, c), endor.KindUnavailable, endor.ReasonTimeout, 0)
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	other := endortest.Start(t, endortest.Config{})
	for _, tc := range []struct {
		name, location string
	}{
		{name: "on the same host"},
		{name: "to another host", location: other.URL + endortest.RedirectTarget},
	} {
		for _, endpoint := range []endortest.Endpoint{endortest.EndpointAuth, endortest.EndpointOperations} {
			t.Run(tc.name+" from "+string(endpoint), func(t *testing.T) {
				s := signed(t, endortest.Config{})
				inject(t, s, endortest.Fault{Kind: endortest.FaultRedirect, Endpoint: endpoint, Location: tc.location})
				wantError(t, mustFail(t, newClient(t, s)), endor.KindMisconfigured, endor.ReasonRedirect, 307)
				for _, target := range []*endortest.Server{s, other} {
					if got := target.Counters().Requests["redirect-target"]; got != 0 {
						t.Errorf("the target was asked %d times", got)
					}
				}
			})
		}
	}
}

// net/http parses where a redirect leads before it asks whether to follow it.
func TestRedirectToNoURL(t *testing.T) {
	t.Parallel()
	asked := 0
	c := newClientAt(t, withToken(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header()["Location"] = []string{"http://[::1%zz"}
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	wantError(t, mustFail(t, c), endor.KindMisconfigured, endor.ReasonRedirect, 307)
	if asked != 1 {
		t.Errorf("asked %d times, want 1", asked)
	}
}

// withToken gives a token to whoever asks for one, and does the rest as told.
func withToken(operations http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/auth/api-key", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"token":"a-token"}`)
	})
	mux.HandleFunc("/", operations)
	return mux
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := signedTLS(t)
	trusting := x509.NewCertPool()
	trusting.AddCert(s.HTTP.Certificate())

	t.Run("an authority that is given", func(t *testing.T) {
		mustSucceed(t, newClient(t, s, func(cfg *endor.Config) { cfg.RootCAs = trusting }))
	})
	t.Run("nobody's authority", func(t *testing.T) {
		s.ResetCounters()
		e := mustFail(t, newClient(t, s, func(cfg *endor.Config) {
			cfg.RootCAs = x509.NewCertPool()
			cfg.Timeout = 150 * time.Millisecond
		}))
		if e.Kind != endor.KindUnavailable || e.Status != 0 {
			t.Errorf("error = %+v, want that nobody could be asked", *e)
		}
		wantRequests(t, s, 0, 0)
	})
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	c := newClient(t, s, func(cfg *endor.Config) { cfg.Timeout = 150 * time.Millisecond })
	s.Close()
	if e := mustFail(t, c); e.Kind != endor.KindUnavailable || e.Status != 0 {
		t.Errorf("error = %+v, want that nobody could be asked", *e)
	}
}

func TestRateExhausted(t *testing.T) {
	t.Parallel()
	s := signed(t, endortest.Config{})
	c := newClient(t, s, func(cfg *endor.Config) {
		cfg.Rate = rate.NewLimiter(rate.Every(time.Hour), 2)
	})
	mustSucceed(t, c) // an exchange and a question
	e := mustFail(t, c)
	wantError(t, e, endor.KindUnavailable, endor.ReasonBusy, 0)
	wantText(t, e.Error(), "endor: verify artifact: busy: too many calls to Endor Labs at once")
	wantRequests(t, s, 1, 1)
}
