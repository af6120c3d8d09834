// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// metricsText prints everything that a registry would show.
func metricsText(t *testing.T, g prometheus.Gatherer) string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// counts gives the value of each series that counts and has done so, by its name
// and labels.
func counts(t *testing.T, g prometheus.Gatherer) map[string]uint64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if n := uint64(m.GetCounter().GetValue()) + m.GetHistogram().GetSampleCount(); n > 0 {
				got[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = n
			}
		}
	}
	return got
}

func TestMetricsCountAttempts(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := signed(t, endortest.Config{})
	c := newClient(t, s, func(cfg *endor.Config) { cfg.Registerer = registry })
	inject(t, s,
		endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointAuth, Status: 503, Times: 1},
		endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: 429, Times: 1},
	)
	mustSucceed(t, c)
	want := map[string]uint64{
		"upstream_requests_total{operation=token,outcome=5xx}":  1,
		"upstream_requests_total{operation=token,outcome=200}":  1,
		"upstream_requests_total{operation=verify,outcome=429}": 1,
		"upstream_requests_total{operation=verify,outcome=200}": 1,
		"upstream_request_duration_seconds{operation=token}":    2,
		"upstream_request_duration_seconds{operation=verify}":   2,
		"upstream_retries_total{operation=token}":               1,
		"upstream_retries_total{operation=verify}":              1,
		"token_exchanges_total{result=ok}":                      1,
	}
	if got := counts(t, registry); !maps.Equal(got, want) {
		t.Errorf("metrics = %v, want %v", got, want)
	}
}

// Labels come from a closed set, whatever the API sends and whoever is asked about.
func TestMetricsLabelsAreAClosedSet(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := signed(t, endortest.Config{})
	c := newClient(t, s, func(cfg *endor.Config) { cfg.Registerer = registry })
	mustSucceed(t, c)
	for status := 200; status <= 599; status++ {
		if status == http.StatusUnauthorized {
			continue // asks for a token, and ends the test's questions
		}
		inject(t, s, endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: status, RetryAfter: "3600", Times: 1})
		mustFail(t, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	inject(t, s, endortest.Fault{Kind: endortest.FaultHang})
	if _, err := c.Verify(ctx, "acme.nobody", mustParse("ghcr.io/stranger/app@"+apiDigest), apiClaims); err == nil {
		t.Error("an API that hangs answered")
	}
	s.ClearFaults()
	s.RevokeTokens()
	mustSucceed(t, c)

	outcomes := map[string]bool{}
	for series := range counts(t, registry) {
		_, outcome, ok := strings.Cut(strings.TrimSuffix(series, "}"), "operation=verify,outcome=")
		if ok {
			outcomes[outcome] = true
		}
	}
	got := slices.Sorted(maps.Keys(outcomes))
	if want := []string{"200", "2xx", "3xx", "401", "403", "404", "429", "4xx", "5xx", "error"}; !slices.Equal(got, want) {
		t.Errorf("outcomes are %v, want %v", got, want)
	}
	for _, word := range []string{"ghcr.io", "acme", "sha256", s.URL, "127.0.0.1"} {
		if strings.Contains(metricsText(t, registry), word) {
			t.Errorf("metrics hold %q", word)
		}
	}
}

func gauge(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestMetricsTellTheTokensAgeAndWhatBecameOfTheCredentials(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := signed(t, endortest.Config{})
	c := newClient(t, s, func(cfg *endor.Config) { cfg.Registerer = registry })
	if got := gauge(t, registry, "token_expiry_timestamp_seconds"); !math.IsNaN(got) {
		t.Errorf("without a token its expiry is %v, want NaN", got)
	}
	before := float64(time.Now().Unix())
	mustSucceed(t, c)
	issued, expiry := gauge(t, registry, "token_issued_timestamp_seconds"), gauge(t, registry, "token_expiry_timestamp_seconds")
	if now := float64(time.Now().Unix()); issued < before || issued > now+1 || expiry < now {
		t.Errorf("issued at %v and expires at %v; it is %v", issued, expiry, now)
	}
	if got := gauge(t, registry, "credentials_refused"); got != 0 {
		t.Errorf("credentials_refused = %v with a token", got)
	}

	s.SetCredentials("endr+rotated", "endr+rotated-secret")
	s.RevokeTokens()
	mustFail(t, c)
	if got := gauge(t, registry, "credentials_refused"); got != 1 {
		t.Errorf("credentials_refused = %v after a refusal", got)
	}
	if got := counts(t, registry)["token_exchanges_total{result=refused}"]; got != 1 {
		t.Errorf("%d exchanges were refused, want 1", got)
	}
}
