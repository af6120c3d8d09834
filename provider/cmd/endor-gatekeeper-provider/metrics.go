// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
)

// newMetrics makes the registry. Each part of the program adds its own metrics;
// here are those of the program itself.
func (p *provider) newMetrics() {
	p.registry = prometheus.NewRegistry()
	p.metrics = prometheus.WrapRegistererWithPrefix("endor_gatekeeper_provider_", p.registry)
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	build := buildinfo.Read()
	f := promauto.With(p.metrics)
	f.NewGauge(prometheus.GaugeOpts{
		Name:        "build_info",
		Help:        "Always 1; which build this is.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "go_version": build.Go},
	}).Set(1)
	f.NewGauge(prometheus.GaugeOpts{
		Name: "api_key_expiry_timestamp_seconds",
		Help: "When the API key expires, in seconds since 1970, as --endor-api-key-expiry says; NaN without it. Endor Labs does not tell.",
	}).Set(timestamp(time.Time(p.cfg.EndorAPIKeyExpiry)))
}

// The tasks that failures are counted by, which are also the sources of expiry.
const (
	serverCertificate = "server certificate"
	clientCA          = "client CA"
	providerObject    = "Provider object"
)

func (b *identityBuilder) registerFailures() {
	b.failures = promauto.With(b.metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "cluster_failures_total",
		Help: "Attempts to read or write the API server's objects that failed, by task. One that fails is tried again.",
	}, []string{"task"})
	for _, task := range []string{serverCertificate, clientCA, providerObject} {
		b.failures.WithLabelValues(task)
	}
}

// registerExpiry tells when what handshakes need is over.
func (b *identityBuilder) registerExpiry() {
	for source, expiry := range map[string]func() time.Time{serverCertificate: b.serverExpiry, clientCA: b.clientExpiry} {
		promauto.With(b.metrics).NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "certificate_expiry_timestamp_seconds",
			Help:        "When the certificate that is served, or the last of the CAs of clients, expires, in seconds since 1970, by source; NaN while there is none.",
			ConstLabels: prometheus.Labels{"source": source},
		}, func() float64 {
			if expiry == nil {
				return math.NaN()
			}
			return timestamp(expiry())
		})
	}
}

func (b *identityBuilder) serverExpiry() time.Time {
	if pair := b.pair(); pair.Leaf != nil {
		return pair.Leaf.NotAfter
	}
	return time.Time{}
}

// timestamp is NaN, with which no comparison is true, if there is no time.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return math.NaN()
	}
	return float64(t.Unix())
}
