// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// receiver takes spans by OTLP over HTTP.
type receiver struct {
	mu    sync.Mutex
	raw   bytes.Buffer
	spans map[string]*tracepb.Span // by id
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, err := io.ReadAll(req.Body)
	var data tracepb.TracesData
	if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(raw, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.raw.Write(raw)
	for _, of := range data.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				r.spans[hex.EncodeToString(s.GetSpanId())] = s
			}
		}
	}
}

// says prints a span: its place, its status, and the attributes that are named.
func (r *receiver) says(s *tracepb.Span, attributes ...string) string {
	way := s.GetName()
	for at := s; ; {
		parent, ok := r.spans[hex.EncodeToString(at.GetParentSpanId())]
		if !ok {
			break
		}
		way, at = parent.GetName()+" > "+way, parent
	}
	for _, name := range attributes {
		for _, a := range s.GetAttributes() {
			if a.GetKey() == name {
				value := a.GetValue().GetStringValue()
				if value == "" {
					value = fmt.Sprint(a.GetValue().GetIntValue())
				}
				way += " " + value
			}
		}
	}
	if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		way += " failed"
	}
	return way
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	callID  = "b7ad6b7169203331" // of Gatekeeper's span
)

// The built program sends what it did when it ends, under the span of whoever
// asked, and names the trace in its decision log.
func TestARequestIsTraced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := &receiver{spans: map[string]*tracepb.Span{}}
	collector := httptest.NewServer(got)
	defer collector.Close()
	decisions := filepath.Join(t.TempDir(), "decisions.log")
	w.start(t, func(cfg *testbed.Config) {
		cfg.Args = []string{"--decision-log=" + decisions}
		cfg.Env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_SERVICE_NAME=admission"}
	})
	digest := func(n int) string { return fmt.Sprintf("@sha256:%064x", n) }
	if err := w.emulator.Sign(endortest.Signing{Image: "ghcr.io/acme/api" + digest(1), Claims: endortest.GitHubClaims("acme", "api", "refs/heads/main")}); err != nil {
		t.Fatal(err)
	}
	if err := w.emulator.Inject(
		endortest.Fault{Kind: endortest.FaultStatus, Status: 503, Times: 1, Artifact: "ghcr.io/acme/busy" + digest(2)},
		endortest.Fault{Kind: endortest.FaultStatus, Status: 407, Artifact: "ghcr.io/acme/proxy" + digest(3)},
	); err != nil {
		t.Fatal(err)
	}
	w.asksWithin(t, "ghcr.io/acme/api"+digest(1), "ghcr.io/acme/busy"+digest(2), "ghcr.io/acme/proxy"+digest(3), "ghcr.io/acme/tag:v1")
	if err := w.running.Stop(); err != nil {
		t.Fatal(err)
	}

	const request = "POST /validate"
	want := map[string]int{
		request + " 200 gateway failed":                                    1, // one key has no answer
		request + " > cache":                                               1,
		request + " > key ghcr.io/acme/api VERIFIED upstream":              1,
		request + " > key ghcr.io/acme/busy NOT_SIGNED upstream":           1,
		request + " > key ghcr.io/acme/proxy MISCONFIGURED gateway failed": 1,
		request + " > key > POST 200":                                      2,
		request + " > key > POST 503 503 failed":                           1,
		request + " > key > POST 407 407 failed":                           1,
		"POST 200":                                                         1, // for a token, when it started
	}
	said := map[string]int{}
	for _, s := range got.spans {
		said[got.says(s, "http.response.status_code", "container.image.name", "endor.code", "endor.source", "error.type")]++
		if s.GetName() == request && (hex.EncodeToString(s.GetTraceId()) != traceID || hex.EncodeToString(s.GetParentSpanId()) != callID) {
			t.Errorf("the request is in trace %x under %x, want those that came with it", s.GetTraceId(), s.GetParentSpanId())
		}
		if strings.HasPrefix(got.says(s), request+" > ") && hex.EncodeToString(s.GetTraceId()) != traceID {
			t.Errorf("%s is in trace %x", got.says(s), s.GetTraceId())
		}
	}
	if diff := gocmp.Diff(want, said); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	for _, secret := range []string{w.emulator.APIKey, w.emulator.APISecret, "Bearer"} {
		if bytes.Contains(got.raw.Bytes(), []byte(secret)) {
			t.Errorf("spans hold %q", secret)
		}
	}
	if !bytes.Contains(got.raw.Bytes(), []byte("admission")) {
		t.Error("OTEL_SERVICE_NAME names no service")
	}

	written, err := os.ReadFile(decisions)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(written)) {
		var d struct {
			Log     string
			Decided bool
			Code    string
			TraceID string `json:"trace_id"`
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(d.Log, " ", d.Decided, " ", d.Code, " ", d.TraceID))
	}
	if diff := gocmp.Diff([]string{
		"decision true VERIFIED " + traceID, "decision true NOT_SIGNED " + traceID,
		"decision false MISCONFIGURED " + traceID, "decision true NO_DIGEST " + traceID,
	}, lines); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// asksWithin posts keys with a span of Gatekeeper's around it.
func (w *world) asksWithin(t *testing.T, keys ...string) {
	t.Helper()
	body, err := json.Marshal(wire.NewProviderRequest(keys))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.running.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Traceparent", "00-"+traceID+"-"+callID+"-01")
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
