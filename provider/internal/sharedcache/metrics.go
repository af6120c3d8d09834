// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// outcome is what became of a write. It is a label of few values.
type outcome string

const (
	stored  outcome = "stored"
	older   outcome = "older"   // one is kept that was asked for later
	refused outcome = "refused" // undecided, over or too long
	dropped outcome = "dropped" // the queue is full
	skipped outcome = "skipped" // the Redis is left alone
	failed  outcome = "error"
)

// metrics has no labels for images, names or addresses.
type metrics struct {
	hits, misses, skipped, failed prometheus.Counter

	rejected *prometheus.CounterVec
	writes   *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	requests := f.NewCounterVec(prometheus.CounterOpts{
		Name: "shared_cache_requests_total",
		Help: "Questions that the shared cache was asked, by result (hit, miss, error, or skipped while the Redis is left alone).",
	}, []string{"result"})
	m := &metrics{
		hits: requests.WithLabelValues("hit"), misses: requests.WithLabelValues("miss"),
		failed: requests.WithLabelValues("error"), skipped: requests.WithLabelValues("skipped"),
		rejected: f.NewCounterVec(prometheus.CounterOpts{
			Name: "shared_cache_rejected_total",
			Help: "Entries of the shared cache that were not believed, by reason.",
		}, []string{"reason"}),
		writes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "shared_cache_writes_total",
			Help: "Verdicts for the shared cache, by result (stored, older than the one that is kept, refused, dropped because too many wait, skipped while the Redis is left alone, or error).",
		}, []string{"result"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "shared_cache_request_duration_seconds",
			Help:    "Time of one read of the shared cache, for all questions of a request.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05},
		}),
	}
	// An alert needs a zero to rise from.
	for _, reason := range rejections {
		m.rejected.WithLabelValues(string(reason))
	}
	for _, result := range []outcome{stored, older, refused, dropped, skipped, failed} {
		m.writes.WithLabelValues(string(result))
	}
	return m
}

func (m *metrics) wrote(result outcome, n int) {
	m.writes.WithLabelValues(string(result)).Add(float64(n))
}
