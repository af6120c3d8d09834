// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/tracing"
)

func newTracing(t *testing.T, env map[string]string, change func(*tracing.Config)) (*tracing.Tracing, error) {
	t.Helper()
	cfg := tracing.Config{
		Service: "provider", Version: "v1.2.3", Getenv: func(name string) string { return env[name] },
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
	change(&cfg)
	return tracing.New(cfg)
}

func asItIs(*tracing.Config) {}

func TestSpansAreMadeOnlyIfAVariableAsksForThem(t *testing.T) {
	t.Parallel()
	const endpoint = "http://127.0.0.1:1"
	for _, tc := range []struct {
		name string
		env  map[string]string
		on   bool
	}{
		{"nothing", nil, false},
		{"only a name", map[string]string{"OTEL_SERVICE_NAME": "x"}, false},
		{"an exporter", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, true},
		{"an endpoint of traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}, true},
		{"an endpoint of metrics", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint}, false},
		{"no exporter in spite of an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"}, false},
		{"a disabled SDK", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "true"}, false},
	} {
		got, err := newTracing(t, tc.env, asItIs)
		if err != nil || (got != nil) != tc.on || (got.Tracer() != nil) != tc.on {
			t.Errorf("%s: spans are made: %v, %v; want %v", tc.name, got != nil, err, tc.on)
		}
		if err := got.Close(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestWithoutSpansAHandlerStaysAsItIs(t *testing.T) {
	t.Parallel()
	var off *tracing.Tracing
	mux := http.NewServeMux()
	if got := off.Handler("/validate", mux); got != http.Handler(mux) {
		t.Errorf("the handler is wrapped in a %T", got)
	}
}

func TestEveryVariableThatIsWrongIsNamedAndNoneIsRepeatedThatIsSecret(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, value string }{
		{"OTEL_TRACES_EXPORTER", "jaeger"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "user:hunter2@collector:4318"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://user:hunter2@collector"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "authorization hunter2"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%zz"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0Aevil: x"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%7F"},
		// What is written as a header is all name, up to the padding of its base64.
		{"OTEL_EXPORTER_OTLP_HEADERS", "Authorization: Basic hunter2=="},
		{"OTEL_TRACES_SAMPLER", "sometimes"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
		// The SDK would end the program with a stack trace, as if there were no room.
		{"OTEL_BSP_MAX_QUEUE_SIZE", "-1"},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "50000000000"},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "65537"},
		// It would look for spans without a pause, also where the time overflows.
		{"OTEL_BSP_SCHEDULE_DELAY", "0"},
		{"OTEL_BSP_SCHEDULE_DELAY", "-5"},
		{"OTEL_BSP_SCHEDULE_DELAY", "9223372036854775807"},
		{"OTEL_BSP_EXPORT_TIMEOUT", "0"},
		// It would take its default, and say so to nobody.
		{"OTEL_BSP_MAX_QUEUE_SIZE", "many"},
		{"OTEL_BSP_SCHEDULE_DELAY", "5s"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent"},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/nonexistent"},
	} {
		env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
		env[tc.name] = tc.value
		_, err := newTracing(t, env, asItIs)
		name := strings.Replace(tc.name, "_TRACES_PROTOCOL", "_PROTOCOL", 1)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: %v", tc.name, tc.value, err)
		}
	}
	// The SDK would trace everything instead.
	for _, share := range []string{"ten", "10", "-1", "NaN"} {
		_, err := newTracing(t, map[string]string{
			"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": share,
		}, asItIs)
		if err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER_ARG") {
			t.Errorf("a share of %s: %v", share, err)
		}
	}
	_, err := newTracing(t, map[string]string{
		"OTEL_TRACES_EXPORTER": "jaeger", "OTEL_EXPORTER_OTLP_TIMEOUT": "0", "OTEL_EXPORTER_OTLP_COMPRESSION": "lz4",
	}, asItIs)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three variables are wrong, and told is: %v", err)
	}
}

// What passes the look at the variables does not make the SDK, which reads them
// from the environment, panic, spin or hang. Not parallel, since they are set there.
//
//nolint:paralleltest // see above
func TestNumbersAtTheirBoundsLoseNoSpan(t *testing.T) {
	limits := []string{
		"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
	}
	for _, tc := range []struct{ name, size, delay, timeout, limit string }{
		{"the least", "1", "1", "5000", "-9223372036854775808"},
		{"the most", "65536", "2147483647", "2147483647", "9223372036854775807"},
		{"nothing of an attribute", "", "", "", "0"},
		{"no numbers", "", "", "", "many"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCollector(t)
			env := map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": c.url, "OTEL_EXPORTER_OTLP_TIMEOUT": tc.timeout,
				"OTEL_BSP_MAX_QUEUE_SIZE": tc.size, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": tc.size,
				"OTEL_BSP_SCHEDULE_DELAY": tc.delay, "OTEL_BSP_EXPORT_TIMEOUT": tc.timeout,
			}
			for _, limit := range limits {
				env[limit] = tc.limit
			}
			for name, value := range env {
				t.Setenv(name, value)
			}
			tr, err := newTracing(t, env, asItIs)
			if err != nil {
				t.Fatal(err)
			}
			span(t, tr)
			if got := c.spans(); len(got) != 1 {
				t.Errorf("%d spans, want 1", len(got))
			}
		})
	}
}

// span makes one and ends all.
func span(t *testing.T, tr *tracing.Tracing) {
	t.Helper()
	_, s := tr.Tracer().Start(context.Background(), "work", trace.WithAttributes(attribute.String("a", "b")))
	s.End()
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheExporterDoesAsItsVariablesSay(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tr, err := newTracing(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":       c.url + "/base/",
		"OTEL_EXPORTER_OTLP_HEADERS":        "authorization=Basic%20aGVsbG8=, X-Scope = acme",
		"OTEL_EXPORTER_OTLP_COMPRESSION":    "gzip",
		"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "5000",
	}, asItIs)
	if err != nil {
		t.Fatal(err)
	}
	span(t, tr)
	if len(c.requests) != 1 {
		t.Fatalf("%d requests, want the span in one", len(c.requests))
	}
	r := c.requests[0]
	if r.URL.Path != "/base/v1/traces" || r.Header.Get("Authorization") != "Basic aGVsbG8=" || r.Header.Get("X-Scope") != "acme" ||
		r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%s with %v", r.URL.Path, r.Header)
	}
	if got := c.spans(); len(got) != 1 || got[0].GetName() != "work" {
		t.Errorf("spans = %v", got)
	}
	about := map[string]string{}
	for _, a := range c.received[0].GetResource().GetAttributes() {
		about[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if about["service.name"] != "provider" || about["service.version"] != "v1.2.3" || about["telemetry.sdk.language"] != "go" {
		t.Errorf("resource = %v", about)
	}
}

func TestTheEndpointOfTracesIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tr, err := newTracing(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": c.url + "/only"}, asItIs)
	if err != nil {
		t.Fatal(err)
	}
	span(t, tr)
	if len(c.requests) != 1 || c.requests[0].URL.Path != "/only" {
		t.Errorf("requests = %v", c.requests)
	}
}

func TestACollectorWithACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	server := httptest.NewTLSServer(c)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, certs.EncodePEM(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := newTracing(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE": ca}, asItIs)
	if err != nil {
		t.Fatal(err)
	}
	span(t, tr)
	if len(c.spans()) != 1 {
		t.Errorf("%d spans, want 1", len(c.spans()))
	}
}

func TestACollectorThatAsksForACertificate(t *testing.T) {
	t.Parallel()
	authority, err := certs.NewAuthority("collectors", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(time.Hour, "provider")
	if err != nil {
		t.Fatal(err)
	}
	c := newCollector(t)
	server := httptest.NewUnstartedServer(c)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: certs.Pool([]*x509.Certificate{authority.Certificate()})}
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL}
	for variable, content := range map[string][]byte{
		"CERTIFICATE": certs.EncodePEM(server.Certificate()), "CLIENT_CERTIFICATE": pair.Cert, "CLIENT_KEY": pair.Key,
	} {
		file := filepath.Join(dir, variable)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		env["OTEL_EXPORTER_OTLP_"+variable] = file
	}
	tr, err := newTracing(t, env, asItIs)
	if err != nil {
		t.Fatal(err)
	}
	span(t, tr)
	if len(c.spans()) != 1 {
		t.Errorf("%d spans, want 1", len(c.spans()))
	}
}

func TestACollectorThatIsBusyIsAskedAgain(t *testing.T) {
	t.Parallel()
	c := newCollector(t, http.StatusServiceUnavailable)
	tr, err := newTracing(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.url}, asItIs)
	if err != nil {
		t.Fatal(err)
	}
	span(t, tr)
	if len(c.spans()) != 1 {
		t.Errorf("%d spans, want 1", len(c.spans()))
	}
}

// The process has one place for what the SDK says, so this is not parallel.
//
//nolint:paralleltest // see above
func TestACollectorThatRefusesIsSaidWithoutItsAddress(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		endpoint   string
	}{
		{"a refusal", "HTTP 401", strings.Replace(newCollector(t, 401, 401).url, "http://", "http://user:hunter2@", 1)},
		{"nobody", "cannot be reached", "http://user:hunter2@127.0.0.1:1"},
	} {
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		tr, err := newTracing(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": tc.endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "300"}, func(c *tracing.Config) {
			c.Log, c.Registerer = slog.New(slog.NewTextHandler(&log, nil)), reg
		})
		if err != nil {
			t.Fatal(err)
		}
		_, s := tr.Tracer().Start(context.Background(), "work")
		s.End()
		_ = tr.Close() // says that spans are lost, or not, as the SDK likes
		if !strings.Contains(log.String(), tc.want) || strings.Contains(log.String(), "hunter2") {
			t.Errorf("%s: the log says %s", tc.name, &log)
		}
		const want = `# HELP trace_exports_total Batches of spans for the collector, by result (ok, or error if it did not take them in time).
# TYPE trace_exports_total counter
trace_exports_total{result="error"} 1
trace_exports_total{result="ok"} 0
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestARequestsSpan(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tr, err := newTracing(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.url}, asItIs)
	if err != nil {
		t.Fatal(err)
	}
	h := tr.Handler("/validate", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !trace.SpanFromContext(r.Context()).IsRecording() {
			t.Error("there is no span in the request's context")
		}
		if r.Method == "BREW" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	for _, method := range []string{http.MethodPost, "BREW"} {
		r := httptest.NewRequestWithContext(t.Context(), method, "/validate?secret=hunter2", nil)
		r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	got := c.spans()
	if len(got) != 2 {
		t.Fatalf("%d spans, want 2", len(got))
	}
	post, brew := got[0], got[1]
	if post.GetName() != "POST /validate" || brew.GetName() != "HTTP /validate" || post.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("spans are called %q and %q, %v", post.GetName(), brew.GetName(), post.GetKind())
	}
	if fmt.Sprintf("%x", post.GetTraceId()) != "0af7651916cd43dd8448eb211c80319c" || fmt.Sprintf("%x", post.GetParentSpanId()) != "b7ad6b7169203331" {
		t.Errorf("trace %x, parent %x; want those that came", post.GetTraceId(), post.GetParentSpanId())
	}
	if post.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_UNSET || brew.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("statuses %v and %v", post.GetStatus(), brew.GetStatus())
	}
	if strings.Contains(fmt.Sprint(got), "hunter2") {
		t.Error("a span holds the query")
	}
}
