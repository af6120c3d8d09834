// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const metricPrefix = "endor_gatekeeper_provider_"

// withEverything is the program with each part that has metrics.
func withEverything(t *testing.T, w *world) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"url": "redis://127.0.0.1:1", "key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", // a port where no Redis is
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.start(t, func(cfg *testbed.Config) {
		cfg.Args = []string{
			"--redis-url-file=" + filepath.Join(dir, "url"), "--redis-hmac-key-file=" + filepath.Join(dir, "key"),
			"--endor-api-key-expiry=2027-03-31", "--reload-interval=10ms", "--response-budget=300ms", "--upstream-timeout=600ms",
			"--count-constraints-of=endor-gatekeeper-provider", "--kubeconfig=" + clusterWithoutConstraints(t),
		}
	})
}

// clusterWithoutConstraints is a kubeconfig of an API server that knows none.
func clusterWithoutConstraints(t *testing.T) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"constraints.gatekeeper.sh/v1beta1","kind":"K8sEndorSignedImagesList","items":[]}`))
	}))
	t.Cleanup(api.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`, api.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// families are the program's own metrics, by name.
func (w *world) families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	_, text, err := get(w.running.OpsURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(families, func(name string, _ *dto.MetricFamily) bool { return !strings.HasPrefix(name, metricPrefix) })
	return families
}

// series are the names and labels of families.
func series(families map[string]*dto.MetricFamily) []string {
	var list []string
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			list = append(list, name+"{"+strings.Join(labels, ",")+"}")
		}
	}
	slices.Sort(list)
	return list
}

// docs/metrics.md is written from what the program says of itself; -update does.
// What happens then adds no name and no value of a label, so it is complete.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	withEverything(t, w)
	// Those of certificate files begin with the first look at them.
	await(t, func() bool { return w.families(t)[metricPrefix+"certificate_reloads_total"] != nil })
	before := w.families(t)
	file := filepath.Join("..", "..", "..", "docs", "metrics.md")
	page := metricsPage(before)
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(written), page); diff != "" {
		t.Errorf("docs/metrics.md is not what the program says; \"make generate\" writes it (-file +program):\n%s", diff)
	}

	w.goesThroughALot(t)
	after := w.families(t)
	if diff := gocmp.Diff(series(before), series(after)); diff != "" {
		t.Errorf("series that were not there at the start, so without a zero and not in docs/metrics.md (-before +after):\n%s", diff)
	}
	for _, moved := range []string{
		"requests_total", "verdicts_total", "undecided_total", "budget_overruns_total", "cache_requests_total", "shared_cache_requests_total",
		"upstream_requests_total", "upstream_retries_total", "upstream_breaker_transitions_total", "token_exchanges_total",
		"tls_handshake_failures_total", "certificate_reloads_total", "decision_log_lines_total", "log_lines_total",
		"request_keys", "request_duration_seconds", "upstream_request_duration_seconds", "upstream_rate_wait_seconds", "upstream_wait_seconds",
		"shared_cache_request_duration_seconds",
	} {
		if sum(after[metricPrefix+moved]) == 0 {
			t.Errorf("%s does not move, whatever happens", moved)
		}
	}
}

// sum is what is counted, or how often something was measured.
func sum(f *dto.MetricFamily) (n float64) {
	for _, m := range f.GetMetric() {
		n += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return n
}

func await(t *testing.T, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to that within 30 seconds")
		}
	}
}

// goesThroughALot has the program meet everything that a test can bring about.
func (w *world) goesThroughALot(t *testing.T) {
	t.Helper()
	n := 0
	image := func() string {
		n++
		return fmt.Sprintf("ghcr.io/acme/api@sha256:%064x", n)
	}
	signed := image()
	if err := w.emulator.Sign(endortest.Signing{Image: signed, Claims: endortest.GitHubClaims("acme", "api", "refs/heads/main")}); err != nil {
		t.Fatal(err)
	}
	w.asks(t, signed, "ghcr.io/acme/api:v1", "not a reference", "image="+url.QueryEscape(signed)+"&unknown=1")
	w.asks(t, signed, image())
	for _, who := range []string{"nobody", "stranger", "other-name", "tls12"} {
		client, err := w.as(who)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := post(client, w.running.URL, []string{signed}); err == nil {
			t.Errorf("%s got an answer", who)
		}
		client.CloseIdleConnections()
	}
	w.knocks(t, "GET / HTTP/1.0\r\n\r\n")
	w.knocks(t, "")
	if resp, err := w.client.Post(w.running.URL, "application/json", strings.NewReader("{")); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	for _, result := range []endortest.Result{"NO_SIGNATURE", "REVOKED_SIGNATURE", "CLAIMS_MISMATCH", "UNKNOWN_CA", "TIME_MISMATCH", "INVALID_SIGNATURE", "SOMETHING_ELSE"} {
		w.meets(t, image(), endortest.Fault{Kind: endortest.FaultResult, Result: "ARTIFACT_OPERATION_RESULT_" + result})
	}
	// A namespace that is refused is not asked about for a while, so each has its own.
	for _, status := range []int{http.StatusFound, 400, 402, 403, 404, 407, 418, 429, 500, 503} {
		key := fmt.Sprintf("image=%s&namespace=acme.s%d", url.QueryEscape(image()), status)
		w.meets(t, key, endortest.Fault{Kind: endortest.FaultStatus, Status: status, Endpoint: endortest.EndpointOperations})
	}
	for _, kind := range []endortest.FaultKind{endortest.FaultReset, endortest.FaultHTML, endortest.FaultEmpty, endortest.FaultNoResponse, endortest.FaultHang} {
		w.meets(t, image(), endortest.Fault{Kind: kind})
	}
	cert, _ := w.certs.ServerFiles()
	if err := os.WriteFile(cert, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.emulator.Inject(endortest.Fault{Kind: endortest.FaultReset}); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { // that the circuit opens
		w.asks(t, image())
		return sum(w.families(t)[metricPrefix+"upstream_breaker_transitions_total"]) > 0
	})
	w.asks(t, image())
	await(t, func() bool {
		return sum(w.families(t)[metricPrefix+"certificate_reloads_total"]) > 0
	})
}

// meets asks about an image while Endor Labs does something wrong.
func (w *world) meets(t *testing.T, image string, fault endortest.Fault) {
	t.Helper()
	if err := w.emulator.Inject(fault); err != nil {
		t.Fatal(err)
	}
	w.asks(t, image)
	w.emulator.ClearFaults()
}

// knocks sends what is no TLS, and leaves.
func (w *world) knocks(t *testing.T, text string) {
	t.Helper()
	address := strings.TrimSuffix(strings.TrimPrefix(w.running.URL, "https://"), "/validate")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Error(err)
	}
}

// metricsPage is docs/metrics.md.
func metricsPage(families map[string]*dto.MetricFamily) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by "make generate" from what the program says at /metrics. -->

# Metrics

` + "`--ops-address`" + ` serves them at ` + "`/metrics`" + `, with those of the Go runtime (` + "`go_*`" + `) and of the process (` + "`process_*`" + `). Each
name begins with ` + "`" + metricPrefix + "`" + `, which is left out below.

Labels hold the values that are listed and no others, never a name of an image, a namespace or a host. Every series is there from
the start, counters at zero, so that an alert sees the first of anything. A time or a number that is not known is NaN, with
which no comparison is true. Some are there only with what they are about: those of ` + "`shared_cache_`" + ` with
` + "`--redis-url-file`" + `, ` + "`certificate_reloads_total`" + ` with certificates in files, ` + "`decision_log_lines_total`" + ` unless
` + "`--decision-log=off`" + `, and those of ` + "`constraints`" + ` with ` + "`--count-constraints-of`" + `, which the chart sets.

What to be warned of first. The chart has these and more as alerts (` + "`prometheusRule.enabled`" + `), with expressions and thresholds in
[alerts.yaml](../charts/endor-gatekeeper-provider/files/alerts.yaml), and a Grafana dashboard (` + "`dashboard.enabled`" + `):

| what | by | runbook |
|---|---|---|
| the share of keys that nobody but the operator can mend | ` + "`undecided_total`" + ` | [EndorProviderMisconfigured](runbooks/EndorProviderMisconfigured.md) |
| the API key is refused | ` + "`credentials_refused`" + ` | [EndorProviderCredentialsRefused](runbooks/EndorProviderCredentialsRefused.md) |
| the API key expires | ` + "`api_key_expiry_timestamp_seconds`" + ` | [EndorProviderAPIKeyExpiring](runbooks/EndorProviderAPIKeyExpiring.md) |
| a certificate expires | ` + "`certificate_expiry_timestamp_seconds`" + ` | [EndorProviderCertificateExpiring](runbooks/EndorProviderCertificateExpiring.md) |
| verdicts past their life are given | ` + "`stale_answers_total`" + ` | [EndorProviderStaleAnswers](runbooks/EndorProviderStaleAnswers.md) |
| Endor Labs does not answer in time | ` + "`degraded`" + ` | [EndorProviderDegraded](runbooks/EndorProviderDegraded.md) |
| whoever reaches the port is answered | ` + "`insecure_no_client_auth`" + ` | [EndorProviderNoClientAuthentication](runbooks/EndorProviderNoClientAuthentication.md) |
| Gatekeeper is turned away | ` + "`tls_handshake_failures_total`" + ` | [EndorProviderHandshakesFail](runbooks/EndorProviderHandshakesFail.md) |
| images are admitted unchecked, for an emergency | ` + "`constraints_in_break_glass`" + ` | [EndorConstraintsInBreakGlass](runbooks/EndorConstraintsInBreakGlass.md) |
| decisions are missing in the log | ` + "`decision_log_lines_total`" + ` | [EndorProviderDecisionsNotLogged](runbooks/EndorProviderDecisionsNotLogged.md) |
| nobody reads the program's own log | ` + "`log_lines_total`" + ` | [EndorProviderLogLinesLost](runbooks/EndorProviderLogLinesLost.md) |

Entries and bytes of a shared cache are its Redis' own metrics. Stale answers and refreshes come from memory alone.

| name | type | labels | meaning |
|---|---|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		kind := strings.ToLower(f.GetType().String())
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", strings.TrimPrefix(name, metricPrefix), kind, labelsOf(f), strings.ReplaceAll(f.GetHelp(), "|", `\|`))
	}
	return b.String()
}

// labelsOf lists labels with their values; those that a build has are not listed.
func labelsOf(f *dto.MetricFamily) string {
	values := map[string][]string{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if !slices.Contains(values[l.GetName()], l.GetValue()) {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if f.GetName() == metricPrefix+"build_info" {
			list = append(list, "`"+name+"`")
			continue
		}
		slices.Sort(values[name])
		list = append(list, "`"+name+"`: `"+strings.Join(values[name], "`, `")+"`")
	}
	return cmp.Or(strings.Join(list, "<br>"), "-")
}

func TestMetricsOfTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(t, func(cfg *testbed.Config) { cfg.Args = []string{"--endor-api-key-expiry=2027-03-31"} })
	families := w.families(t)
	at := func(name string, i int) float64 {
		return families[metricPrefix+name].GetMetric()[i].GetGauge().GetValue()
	}
	now := float64(time.Now().Unix())
	if got := at("api_key_expiry_timestamp_seconds", 0); got != 1806451200 {
		t.Errorf("the key expires at %v", got)
	}
	for i := range 2 { // the server's certificate, and the client CA
		if got := at("certificate_expiry_timestamp_seconds", i); math.Abs(got-now-24*60*60) > 60 {
			t.Errorf("a certificate of a day expires in %v seconds", got-now)
		}
	}
	if got := at("token_expiry_timestamp_seconds", 0); got <= now {
		t.Errorf("the token expires at %v, and it is %v", got, now)
	}
}
