// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// asked is a request to the API.
type asked struct {
	command  string // empty for a login
	artifact string
	metaName string
	path     string
	claims   question.Claims
	revoked  bool // something was, before
}

// told is what is answered, to be made a lie of.
type told struct {
	status int
	header http.Header
	body   map[string]any
}

func (a *told) result(result string) {
	a.status = http.StatusOK
	response, ok := a.body["response"].(map[string]any)
	if !ok {
		response = map[string]any{}
		a.body = map[string]any{"response": response}
	}
	response["result"] = "ARTIFACT_OPERATION_RESULT_" + result
}

// set changes a field of the signature that is shown, if one is.
func (a *told) set(name string, value any) {
	response, _ := a.body["response"].(map[string]any)
	if signature, ok := response["artifact_signature"].(map[string]any); ok {
		signature["spec"].(map[string]any)[name] = value
	}
}

// tell serves an emulator whose answers lie may change.
func tell(t *testing.T, e *endortest.Emulator, lie func(*asked, *told)) string {
	t.Helper()
	var mu sync.Mutex
	revoked := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client left
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		q := readAsked(r.URL.Path, body)
		q.revoked = revoked
		revoked = revoked || q.command == commandRevoke
		recorder := httptest.NewRecorder()
		e.Handler().ServeHTTP(recorder, r)
		answer := &told{status: recorder.Code, header: recorder.Header()}
		if err := json.Unmarshal(recorder.Body.Bytes(), &answer.body); err != nil {
			t.Errorf("the emulator answers %q", recorder.Body)
		}
		if lie != nil {
			lie(q, answer)
		}
		maps.Copy(w.Header(), answer.header)
		w.WriteHeader(answer.status)
		_ = json.NewEncoder(w).Encode(answer.body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func readAsked(path string, body []byte) *asked {
	var got struct {
		Meta struct {
			Name string `json:"name"`
		} `json:"meta"`
		Spec struct {
			Command    string          `json:"command"`
			Artifact   string          `json:"artifact_name"`
			Extensions question.Claims `json:"extensions"`
		} `json:"spec"`
	}
	_ = json.Unmarshal(body, &got) // what is no operation has no command
	return &asked{
		command:  strings.TrimPrefix(got.Spec.Command, "ARTIFACT_OPERATION_COMMAND_"),
		artifact: got.Spec.Artifact, metaName: got.Meta.Name, path: path, claims: got.Spec.Extensions,
	}
}

// ofSigned says that VERIFY is asked of the image that is signed.
func (q *asked) ofSigned() bool {
	return q.command == commandVerify && strings.HasPrefix(q.artifact, prefix) && !strings.Contains(q.artifact, "-copy@")
}

func (q *asked) ofUnknown() bool {
	return q.command == commandVerify && strings.HasPrefix(q.artifact, "conformance.invalid/")
}

func (q *asked) ref() string { return q.claims.SourceRepositoryRef }

// lies are, for each check, an API that does not do what is assumed.
var lies = map[string]func(*asked, *told){
	"expiry": func(q *asked, a *told) {
		if q.command == "" {
			delete(a.body, "expirationTime")
		}
	},
	"clock": func(_ *asked, a *told) {
		a.header.Set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
	},
	"unknown-artifact": func(q *asked, a *told) {
		if q.ofUnknown() {
			a.status, a.body = http.StatusNotFound, map[string]any{"code": 5}
		}
	},
	"code-13": func(q *asked, a *told) {
		if q.ofUnknown() {
			a.status, a.body = http.StatusInternalServerError, map[string]any{"code": 13, "message": "Unable to verify certificate: no matching signatures"}
		}
	},
	"client-unsigned": func(q *asked, a *told) {
		if q.ofUnknown() {
			a.result("NOTHING_FOUND")
		}
	},
	"issuer-omitted": func(q *asked, a *told) {
		if q.ofUnknown() && q.claims == (question.Claims{}) {
			a.status, a.body = http.StatusBadRequest, map[string]any{"code": 3}
		}
	},
	"long-meta-name": func(q *asked, a *told) {
		if len(q.metaName) > 63 {
			a.result("NO_ARTIFACT")
		}
	},
	"tag-alone": func(q *asked, a *told) {
		if q.ofUnknown() && !strings.Contains(q.artifact, "@") {
			a.result("NO_ARTIFACT")
		}
	},
	"tag-beside-digest": func(q *asked, a *told) {
		if q.ofUnknown() && strings.Contains(q.artifact, ":v1@") {
			a.result("NO_ARTIFACT")
		}
	},
	"other-namespace": func(_ *asked, a *told) {
		if a.status == http.StatusForbidden {
			a.result("NO_ARTIFACT")
		}
	},
	"redirect": func(q *asked, a *told) {
		if q.ofUnknown() {
			a.status = http.StatusPermanentRedirect
			a.header.Set("Location", "https://elsewhere.invalid/")
		}
	},
	"sign": func(q *asked, a *told) {
		if q.command == commandSign {
			a.status, a.body = http.StatusForbidden, map[string]any{"code": 7}
		}
	},
	"exact": func(q *asked, a *told) {
		if q.ofSigned() {
			a.result(mismatch)
		}
	},
	// Only the newest signature is looked at, or only the oldest.
	"several": func(q *asked, a *told) {
		if q.ofSigned() && q.ref() == "refs/tags/v1.0.0" {
			a.result(mismatch)
		}
	},
	"several-by-issuer": func(q *asked, a *told) {
		if q.ofSigned() && q.ref() == "" {
			a.set("provenance", map[string]any{})
		}
	},
	"client-signed": func(_ *asked, a *told) {
		if response, ok := a.body["response"].(map[string]any); ok {
			response["artifact_signature"] = nil
		}
	},
	"name":       func(_ *asked, a *told) { a.set("artifact_name", "x@y") },
	"digest":     func(_ *asked, a *told) { a.set("artifact_digest", strings.Repeat("0", 64)) },
	"provenance": func(_ *asked, a *told) { a.set("provenance", nil) },
	"timestamp":  func(_ *asked, a *told) { a.set("timestamp", "yesterday") },
	"claims": func(q *asked, a *told) {
		if q.ofSigned() && q.claims.RunnerEnvironment == "https://other.invalid" {
			a.result(success)
		}
	},
	"patterns": func(q *asked, a *told) {
		if q.ofSigned() && q.ref() == "refs/heads/*" {
			a.result(success)
		}
	},
	"issuer-of-signed": func(q *asked, a *told) {
		if q.ofSigned() && q.claims.CertificateOIDCIssuer == "" {
			a.result(mismatch)
		}
	},
	"other-name": func(q *asked, a *told) {
		if strings.Contains(q.artifact, "-copy@") {
			a.result(success)
		}
	},
	"other-digest": func(q *asked, a *told) {
		if q.ofSigned() && strings.HasSuffix(toldResult(a), "NO_SIGNATURE") {
			a.result(success)
		}
	},
	"normalized": func(q *asked, a *told) {
		if strings.HasPrefix(q.artifact, "library/") {
			a.result(success)
		}
	},
	"child": func(q *asked, a *told) {
		if strings.Contains(q.path, child) {
			a.result(success)
		}
	},
	"revoked": func(q *asked, a *told) {
		if q.ofSigned() && q.revoked {
			a.result(success)
		}
	},
	"other-stands": func(q *asked, a *told) {
		if q.ofSigned() && q.revoked {
			a.result("REVOKED_SIGNATURE")
		}
	},
	"all-revoked": func(q *asked, a *told) {
		if q.ofSigned() && strings.HasSuffix(toldResult(a), "REVOKED_SIGNATURE") {
			a.result("NO_SIGNATURE")
		}
	},
}

func toldResult(a *told) string {
	response, _ := a.body["response"].(map[string]any)
	result, _ := response["result"].(string)
	return result
}

// neverTested are checks that nobody can fail, since they try nothing.
var neverTested = []string{"read-only", "create-only", "keyless", "statuses", "license", "retry-after"}

func TestEachCheckFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	for _, c := range checks {
		lie, ok := lies[c.id]
		if !ok {
			if !slices.Contains(neverTested, c.id) {
				t.Errorf("no API is known that fails %s", c.id)
			}
			continue
		}
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			env := environment(tell(t, emulator(t), lie))
			s, err := readSettings(nil, func(name string) string { return env[name] }, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			w, err := newWorld(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.client.Close)
			findings := w.look(t.Context(), checks)
			at := slices.IndexFunc(findings, func(f finding) bool { return f.id == c.id })
			if got := findings[at]; got.outcome != differs || got.seen == "" {
				t.Errorf("it says %s, seen %q", got.outcome, got.seen)
			}
			var b bytes.Buffer
			printFindings(&b, findings)
			if !strings.Contains(b.String(), "\n"+c.assumption+"\n  "+c.otherwise+"\n") {
				t.Errorf("it does not say what that means:\n%s", &b)
			}
			if status := summarize(io.Discard, findings); status != statusDiffers {
				t.Errorf("status %d", status)
			}
		})
	}
	for id := range lies {
		if !slices.ContainsFunc(checks, func(c check) bool { return c.id == id }) {
			t.Errorf("%s is no check", id)
		}
	}
}
