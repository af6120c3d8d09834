// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecodeAnswer(t *testing.T) {
	t.Parallel()
	const prefix = "ARTIFACT_OPERATION_RESULT_"
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   Answer
		wantOK bool
	}{
		{name: "a success", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS"}}`, want: Answer{Result: ResultSuccess}, wantOK: true},
		{name: "members that are not set are null", status: 200, body: `{"uuid":null,"response":{"result":"` + prefix + `SUCCESS","artifact_signature":null}}`, want: Answer{Result: ResultSuccess}, wantOK: true},
		{name: "a signature without a spec", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifact_signature":{}}}`, want: Answer{Result: ResultSuccess}, wantOK: true},
		{name: "a success beside 201 does not count", status: 201, body: `{"response":{"result":"` + prefix + `SUCCESS"}}`},
		{name: "a success beside 500 does not count", status: 500, body: `{"response":{"result":"` + prefix + `SUCCESS"}}`},
		{name: "a success whose signature cannot be compared does not count", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifact_signature":{"spec":{"artifact_name":7}}}}`},
		{name: "a success without the API's prefix is a result that nobody knows", status: 200, body: `{"response":{"result":"SUCCESS"}}`, want: Answer{Result: `"SUCCESS"`}, wantOK: true},
		{name: "a success of another kind is, too", status: 200, body: `{"response":{"result":"VERIFICATION_RESULT_SUCCESS"}}`, want: Answer{Result: `"VERIFICATION_RESULT_SUCCESS"`}, wantOK: true},
		{name: "a refusal", status: 200, body: `{"response":{"result":"` + prefix + `REVOKED_SIGNATURE"}}`, want: Answer{Result: ResultRevokedSignature}, wantOK: true},
		{name: "a refusal counts beside any status", status: 503, body: `{"response":{"result":"` + prefix + `REVOKED_SIGNATURE"}}`, want: Answer{Result: ResultRevokedSignature}, wantOK: true},
		{name: "a refusal counts though its signature cannot be read", status: 200, body: `{"response":{"result":"` + prefix + `REVOKED_SIGNATURE","artifact_signature":{"spec":{"revoked":"yes"}}}}`, want: Answer{Result: ResultRevokedSignature}, wantOK: true},
		{name: "a success counts though its time cannot be read", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifact_signature":{"spec":{"timestamp":""}}}}`, want: Answer{Result: ResultSuccess, Signature: &Signature{}}, wantOK: true},
		{name: "yes beside an error's code", status: 200, body: `{"code":13,"message":"no matching signatures","response":{"result":"` + prefix + `SUCCESS"}}`},
		{name: "yes and no under one name", status: 200, body: `{"response":{"result":"` + prefix + `NO_SIGNATURE","result":"` + prefix + `SUCCESS"}}`},
		{name: "no, and yes under a name in capitals", status: 200, body: `{"response":{"result":"` + prefix + `NO_SIGNATURE","RESULT":"` + prefix + `SUCCESS"}}`, want: Answer{Result: ResultNoSignature}, wantOK: true},
		{name: "two responses", status: 200, body: `{"response":{"result":"` + prefix + `REVOKED_SIGNATURE"},"response":{"result":"` + prefix + `SUCCESS"}}`},
		{name: "revoked and not revoked", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifact_signature":{"spec":{"revoked":true,"revoked":false}}}}`},
		{name: "a signature in another spelling, which would say nothing", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifactSignature":{"spec":{"revoked":true}}}}`},
		{name: "a digest in another spelling", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifact_signature":{"spec":{"artifactDigest":"sha256:00"}}}}`},
		{name: "a claim that would fill the cache", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifact_signature":{"spec":{"provenance":{"source_repository":"` + strings.Repeat("a", maxClaim+1) + `"}}}}}`},
		{name: "a time that cannot be written again", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS","artifact_signature":{"spec":{"timestamp":"9999-12-31T23:59:59-01:00"}}}}`, want: Answer{Result: ResultSuccess, Signature: &Signature{}}, wantOK: true},
		{name: "an unknown result is kept as it is", status: 200, body: `{"response":{"result":"` + prefix + `QUANTUM_DECAY"}}`, want: Answer{Result: "QUANTUM_DECAY"}, wantOK: true},
		{name: "the zero value", status: 200, body: `{"response":{"result":"` + prefix + `UNSPECIFIED"}}`, want: Answer{Result: "UNSPECIFIED"}, wantOK: true},
		{name: "a number", status: 200, body: `{"response":{"result":1}}`, want: Answer{Result: "1"}, wantOK: true},
		{name: "a list", status: 200, body: `{"response":{"result":["` + prefix + `SUCCESS"]}}`, want: Answer{Result: `["` + prefix + `SUCCESS"]`}, wantOK: true},
		{name: "null", status: 200, body: `{"response":{"result":null}}`, want: Answer{Result: "null"}, wantOK: true},
		{name: "a response without a result", status: 200, body: `{"response":{}}`, wantOK: true},
		{name: "a gateway's own response is no decision", status: 503, body: `{"response":{"result":"error"}}`, want: Answer{Result: `"error"`}},
		{name: "an empty response beside 503 is no decision", status: 503, body: `{"response":{}}`},
		{name: "no response", status: 200, body: `{"uuid":"1"}`, want: Answer{Result: ResultNoSignature}},
		{name: "a null response", status: 200, body: `{"response":null}`, want: Answer{Result: ResultNoSignature}},
		{name: "a response that is a list", status: 200, body: `{"response":[]}`},
		{name: "an empty object", status: 200, body: `{}`, want: Answer{Result: ResultNoSignature}},
		{name: "not signed, until May 2024", status: 500, body: `{"code":13,"message":"Unable to verify certificate: no matching signatures","details":[]}`, want: Answer{Result: ResultNoSignature}, wantOK: true},
		{name: "another code", status: 500, body: `{"code":14,"message":"Unable to verify certificate: no matching signatures"}`, want: Answer{Result: ResultNoSignature}},
		{name: "another message", status: 500, body: `{"code":13,"message":"database is down"}`, want: Answer{Result: ResultNoSignature}},
		{name: "another status", status: 503, body: `{"code":13,"message":"no matching signatures"}`, want: Answer{Result: ResultNoSignature}},
		{name: "truncated", status: 200, body: `{"response":{"result":"` + prefix + `SUCC`},
		{name: "garbage behind it", status: 200, body: `{"response":{"result":"` + prefix + `SUCCESS"}} {}`},
		{name: "HTML", status: 200, body: `<!DOCTYPE html>`},
		{name: "empty", status: 200},
		{name: "nested 100,000 deep", status: 200, body: strings.Repeat(`{"response":`, 100_000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, ok := decodeAnswer(tc.status, []byte(tc.body))
			if ok != tc.wantOK {
				t.Fatalf("decodeAnswer(%d, …) = %+v, %t; want %t", tc.status, got, ok, tc.wantOK)
			}
			if ok && !reflect.DeepEqual(got, tc.want) {
				t.Errorf("decodeAnswer(%d, …) = %+v, want %+v", tc.status, got, tc.want)
			}
		})
	}
}

func TestDecodeToken(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, body string
		want       time.Duration // how long it lives
	}{
		{name: "expirationTime", body: `{"token":"t","expirationTime":"2026-03-01T16:00:00Z"}`, want: 4 * time.Hour},
		{name: "expiration_time", body: `{"token":"t","expiration_time":"2026-03-01T13:30:00.5+01:00"}`, want: 30*time.Minute + 500*time.Millisecond},
		{name: "both: expirationTime is what Endor's plugin reads", body: `{"token":"t","expiration_time":"2026-03-01T13:00:00Z","expirationTime":"2026-03-01T16:00:00Z"}`, want: 4 * time.Hour},
		{name: "one of both is null", body: `{"token":"t","expiration_time":"2026-03-01T13:00:00Z","expirationTime":null}`, want: time.Hour},
		{name: "one of both cannot be read", body: `{"token":"t","expiration_time":"2026-03-01T14:00:00Z","expirationTime":""}`, want: 2 * time.Hour},
		{name: "none", body: `{"token":"t","unknown":{"field":1}}`, want: time.Hour},
		{name: "a number", body: `{"token":"t","expirationTime":1772380800}`, want: time.Hour},
		{name: "words", body: `{"token":"t","expirationTime":"in four hours"}`, want: time.Hour},
		{name: "now", body: `{"token":"t","expirationTime":"2026-03-01T12:00:00Z"}`, want: time.Hour},
		{name: "years ago", body: `{"token":"t","expirationTime":"0001-01-01T00:00:00Z"}`, want: time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeToken([]byte(tc.body), asked)
			if err != nil {
				t.Fatal(err)
			}
			if life := got.expiry.Sub(asked); got.value != "t" || life != tc.want {
				t.Errorf("decodeToken = %q for %v, want t for %v", got.value, life, tc.want)
			}
		})
	}
}

// Whatever comes back, a success is one that the API said in its own words beside
// HTTP 200, and a body that says otherwise is never one.
func FuzzDecodeAnswer(f *testing.F) {
	for _, body := range []string{
		successBody,
		`{"response":{"result":"ARTIFACT_OPERATION_RESULT_NO_SIGNATURE"}}`,
		`{"response":{"result":"SUCCESS"}}`,
		`{"response":{"result":1}}`,
		`{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS","artifact_signature":{"spec":{"artifact_name":"a","revoked":true,"timestamp":"2026-03-01T12:00:00Z","provenance":{"source_repository":"acme/api"}}}}}`,
		`{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS","artifact_signature":{"spec":[]}}}`,
		`{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS","Result":"ARTIFACT_OPERATION_RESULT_NO_ARTIFACT"}}`,
		`{"response":{"result":"ARTIFACT_OPERATION_RESULT_\u0053UCCESS"}}`,
		`{"response":null}`, `{"response":{}}`, `{}`, `null`, `[]`, ``, `<html>`, successBody + successBody, successBody[:40],
		`{"code":13,"message":"Unable to verify certificate: no matching signatures","details":[]}`,
	} {
		for _, status := range []int{200, 201, 401, 500} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got, ok := decodeAnswer(status, body)
		if again, okAgain := decodeAnswer(status, body); ok != okAgain || !reflect.DeepEqual(got, again) {
			t.Errorf("two answers from one body: %+v, %t and %+v, %t", got, ok, again, okAgain)
		}
		if !ok || got.Result != ResultSuccess {
			return
		}
		if status != http.StatusOK {
			t.Errorf("HTTP %d is a success", status)
		}
		// The word may be spelled with escapes.
		if !strings.Contains(string(body), "SUCCESS") && !strings.Contains(string(body), `\u`) {
			t.Errorf("a success that nobody said: %q", body)
		}
		if _, refused := decodeAnswer(http.StatusInternalServerError, body); refused {
			t.Errorf("the same body is a decision beside HTTP 500: %q", body)
		}
	})
}

// A token that is accepted can be sent, is good for a while, and is renewed in time.
func FuzzDecodeToken(f *testing.F) {
	asked := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for _, body := range []string{
		tokenBody,
		`{"token":"t","expirationTime":"2026-03-01T16:00:00Z"}`,
		`{"token":"t","expiration_time":"2026-03-01T16:00:00Z"}`,
		`{"token":"t","expirationTime":"9999-12-31T23:59:59Z"}`,
		`{"token":"t","expirationTime":"0000-01-01T00:00:00Z"}`,
		`{"token":"t","expirationTime":7}`,
		`{"token":"a\nb"}`, `{"token":""}`, `{"token":7}`, `{}`, `null`, ``, `<html>`, tokenBody + tokenBody,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeToken(body, asked)
		if err != nil {
			if got != (token{}) {
				t.Errorf("decodeToken = %+v beside an error", got)
			}
			return
		}
		if got.value == "" || !fitsHeader(got.value) {
			t.Errorf("the token %q cannot be sent", got.value)
		}
		if !got.expiry.After(asked) || got.renew.After(got.expiry) || got.renew.Before(asked) {
			t.Errorf("asked %v, renewed %v, expires %v", asked, got.renew, got.expiry)
		}
	})
}
