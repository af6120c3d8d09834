// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package externaldata_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/externaldata"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const sum = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// byName decides by the last word of an image's name, and says nothing of time.
type byName struct{}

func (byName) Verify(_ context.Context, q question.Question) (verify.Verdict, error) {
	name := q.Image.Name()
	switch word := name[strings.LastIndex(name, "/")+1:]; word {
	case "good":
		return verify.Verdict{
			Code: verify.Verified, Signer: question.Claims{SourceRepository: "acme/good"},
			SignedAt: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), AskedAt: time.Now(),
		}, nil
	case "down":
		return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: "network", Err: io.ErrUnexpectedEOF}
	case "forbidden":
		return verify.Verdict{}, &verify.Undecided{Code: verify.Misconfigured, Cause: "forbidden"}
	default:
		return verify.Verdict{Code: verify.NotSigned, AskedAt: time.Now()}, nil
	}
}

func newHandler(t testing.TB, cfg externaldata.Config) http.Handler {
	t.Helper()
	desk, err := verify.New(byName{}, verify.Config{Resolver: verify.Resolver{Namespace: "acme"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(desk.Close)
	cfg.Answerer = desk
	return externaldata.NewHandler(cfg)
}

func image(word string) string { return "ghcr.io/acme/" + word + "@" + sum }

func request(t testing.TB, keys ...string) string {
	t.Helper()
	b, err := json.Marshal(wire.NewProviderRequest(keys))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func post(t testing.TB, h http.Handler, body io.Reader) wire.ProviderResponse {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/validate", body))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("HTTP %d, %q; want 200 and JSON whatever happened", w.Code, w.Header().Get("Content-Type"))
	}
	var got wire.ProviderResponse
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("response %s: %v", w.Body, err)
	}
	if got.APIVersion != "externaldata.gatekeeper.sh/v1beta1" || got.Kind != wire.ProviderResponseKind || !got.Response.Idempotent {
		t.Errorf("response %+v, want v1beta1, ProviderResponse and idempotent", got)
	}
	return got
}

func TestAVerifiedImageIsAValue(t *testing.T) {
	t.Parallel()
	got := post(t, newHandler(t, externaldata.Config{}), strings.NewReader(request(t, image("good"))))
	want := []wire.Item{{Key: image("good"), Value: map[string]any{
		"verified": true, "code": "VERIFIED", "image": "ghcr.io/acme/good", "digest": sum, "namespace": "acme",
		"signer": map[string]any{"source_repository": "acme/good"}, "signed_at": "2026-11-01T12:00:00Z", "stale": false,
	}}}
	if diff := cmp.Diff(want, got.Response.Items); diff != "" || got.Response.SystemError != "" {
		t.Errorf("system error %q, items (-want +got):\n%s", got.Response.SystemError, diff)
	}
}

func TestEveryDistinctKeyIsAccountedFor(t *testing.T) {
	t.Parallel()
	keys := []string{
		image("good"), image("bad"), image("down"), image("bad"), "ghcr.io/acme/good:v1", "", "x\x7f",
		"image=" + image("good"), strings.Repeat("k", 9000), image("good"), "ghcr.io/acme/good@sha512:" + strings.Repeat("ab", 64),
	}
	got := post(t, newHandler(t, externaldata.Config{}), strings.NewReader(request(t, keys...)))
	codes := map[string]string{}
	var order []string
	for _, item := range got.Response.Items {
		code, _, _ := strings.Cut(item.Error, ":")
		if item.Error == "" {
			code = item.Value.(map[string]any)["code"].(string)
		}
		codes[item.Key] = code
		order = append(order, item.Key)
	}
	want := map[string]string{
		image("good"): "VERIFIED", image("bad"): "NOT_SIGNED", "ghcr.io/acme/good:v1": "NO_DIGEST", "": "BAD_KEY", "x\x7f": "BAD_KEY",
		"image=" + image("good"): "BAD_KEY", keys[8]: "BAD_KEY", keys[10]: "BAD_REFERENCE",
	}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	var first []string
	for _, key := range keys {
		if _, ok := want[key]; ok && !slices.Contains(first, key) {
			first = append(first, key)
		}
	}
	if diff := cmp.Diff(first, order); diff != "" {
		t.Errorf("items, in order of first appearance (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(got.Response.SystemError, "UNAVAILABLE: ") {
		t.Errorf("system error = %q, want the reason why one key has no item", got.Response.SystemError)
	}
}

func TestTheReasonThatOnlyTheOperatorCanMendComesFirst(t *testing.T) {
	t.Parallel()
	h := newHandler(t, externaldata.Config{})
	for _, keys := range [][]string{{image("down"), image("forbidden")}, {image("forbidden"), image("down")}} {
		got := post(t, h, strings.NewReader(request(t, keys...)))
		if len(got.Response.Items) != 0 || !strings.HasPrefix(got.Response.SystemError, "MISCONFIGURED: ") {
			t.Errorf("%d items, system error %q; want none and MISCONFIGURED", len(got.Response.Items), got.Response.SystemError)
		}
	}
}

func TestSentencesAreTheSameForTheSameCauseAndGiveNothingAway(t *testing.T) {
	t.Parallel()
	h := newHandler(t, externaldata.Config{})
	one := post(t, h, strings.NewReader(request(t, image("down")))).Response.SystemError
	two := post(t, h, strings.NewReader(request(t, "other/down@"+sum, image("good")))).Response.SystemError
	if one != two {
		t.Errorf("%q and %q", one, two)
	}
	if strings.Contains(one, io.ErrUnexpectedEOF.Error()) {
		t.Errorf("%q repeats what happened inside", one)
	}
}

// nested is a body of n arrays within each other.
func nested(n int) string {
	return `{"request":{"keys":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`
}

func manyKeys(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("ghcr.io/acme/a%d@%s", i, sum))
	}
	return keys
}

func TestARequestThatCannotBeReadIsRefusedWhole(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, body string }{
		{"no JSON", "keys"},
		{"no body", ""},
		{"half a body", request(t, image("good"))[:40]},
		{"something behind the body", request(t, image("good")) + "{}"},
		{"an object without a request", "{}"},
		{"no keys", `{"request":{}}`},
		{"keys of a wrong type", `{"request":{"keys":[1]}}`},
		{"keys that are no list", `{"request":{"keys":"a"}}`},
		{"a list", `[]`},
		{"100,000 arrays within each other", nested(100_000)},
		{"257 keys", request(t, manyKeys(257)...)},
		{"more than 4 MiB", request(t, strings.Repeat("a", 5<<20))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := post(t, newHandler(t, externaldata.Config{}), strings.NewReader(tc.body))
			if len(got.Response.Items) != 0 || !strings.HasPrefix(got.Response.SystemError, "BAD_REQUEST: ") {
				t.Errorf("%d items, system error %q; want none and BAD_REQUEST", len(got.Response.Items), got.Response.SystemError)
			}
		})
	}
}

func TestAsManyKeysAsAPolicyMaySendAreAnswered(t *testing.T) {
	t.Parallel()
	got := post(t, newHandler(t, externaldata.Config{}), strings.NewReader(request(t, manyKeys(256)...)))
	if len(got.Response.Items) != 256 || got.Response.SystemError != "" {
		t.Errorf("%d items, system error %q; want 256 and none", len(got.Response.Items), got.Response.SystemError)
	}
}

func TestRepeatedKeysCountOnce(t *testing.T) {
	t.Parallel()
	got := post(t, newHandler(t, externaldata.Config{}), strings.NewReader(request(t, slices.Repeat([]string{image("good")}, 5000)...)))
	if len(got.Response.Items) != 1 {
		t.Errorf("%d items, want 1", len(got.Response.Items))
	}
}

func TestAHeaderAloneCostsLittleMemory(t *testing.T) {
	t.Parallel()
	h := newHandler(t, externaldata.Config{})
	grown := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/validate", strings.NewReader("{"))
			r.ContentLength = 4 << 20
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
	if got := grown.AllocedBytesPerOp(); got > 1<<20 { // far below 4 MiB, also with the race detector
		t.Errorf("a request that says it has 4 MiB and sends 1 byte costs %d bytes", got)
	}
}

func TestAnEmptyListOfKeysIsAnsweredWithNothing(t *testing.T) {
	t.Parallel()
	got := post(t, newHandler(t, externaldata.Config{}), strings.NewReader(`{"request":{"keys":[]}}`))
	if len(got.Response.Items) != 0 || got.Response.SystemError != "" {
		t.Errorf("response %+v, want an empty one", got.Response)
	}
}

func TestOnlyPOST(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	newHandler(t, externaldata.Config{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/validate", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost {
		t.Errorf("GET: HTTP %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// broken fails to write, as when the peer hung up.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAPeerThatHangsUpHarmsNobody(t *testing.T) {
	t.Parallel()
	h := newHandler(t, externaldata.Config{})
	h.ServeHTTP(broken{httptest.NewRecorder()}, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/validate", strings.NewReader(request(t, image("good")))))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/validate", io.MultiReader(strings.NewReader(`{"req`), brokenReader{})))
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestOneLineAndOneCountForEachRequest(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	h := newHandler(t, externaldata.Config{Log: slog.New(slog.NewJSONHandler(&log, nil)), Registerer: reg})
	post(t, h, strings.NewReader(request(t, image("good"), image("bad"))))
	post(t, h, strings.NewReader(request(t, image("down"))))
	post(t, h, strings.NewReader("{"))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []map[string]any{
		{"level": "INFO", "msg": "answered", "keys": 2.0, "verified": 1.0, "rejected": 1.0, "undecided": 0.0, "cached": 0.0},
		{"level": "WARN", "msg": "answered", "keys": 1.0, "undecided": 1.0, "error": "UNAVAILABLE: network: unexpected EOF"},
		{"level": "WARN", "msg": "refused a request"},
	} {
		if len(lines) != 3 {
			t.Fatalf("%d lines:\n%s\nwant 3", len(lines), log.String())
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("line %d: %s = %v, want %v", i, k, got[k], v)
			}
		}
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP requests_total Requests of Gatekeeper, by outcome (decided, undecided, bad_request).
		# TYPE requests_total counter
		requests_total{outcome="bad_request"} 1
		requests_total{outcome="decided"} 1
		requests_total{outcome="undecided"} 1
	`), "requests_total"); err != nil {
		t.Error(err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":["` + image("good") + `"]}}`))
	f.Add([]byte(`{"request":{"keys":["","x","` + image("down") + `"]}}`))
	f.Add([]byte(`{"request":{"keys":null}}`))
	f.Add([]byte(`[[[[`))
	h := newHandler(f, externaldata.Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		got := post(t, h, bytes.NewReader(body))
		for _, item := range got.Response.Items {
			value, verified := item.Value.(map[string]any)
			if (item.Error == "") != verified || verified && !strings.Contains(item.Key, "good") || verified && value["digest"] == "" {
				t.Fatalf("%q: item %+v", body, item)
			}
		}
	})
}
