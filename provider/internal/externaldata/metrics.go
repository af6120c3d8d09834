// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package externaldata

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// outcome is a closed set of labels.
type outcome string

const (
	decided    outcome = "decided"     // every key has a verdict
	undecided  outcome = "undecided"   // some key has none
	badRequest outcome = "bad_request" // the request could not be read
)

func outcomeOf(worst *verify.Undecided) outcome {
	if worst == nil {
		return decided
	}
	return undecided
}

type metrics struct {
	requests *prometheus.CounterVec
	keys     prometheus.Histogram
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "requests_total",
			Help: "Requests of Gatekeeper, by outcome (decided, undecided, bad_request).",
		}, []string{"outcome"}),
		keys: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "request_keys",
			Help:    "Distinct keys of a request.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "request_duration_seconds",
			Help:    "Time from the first byte of a request's body to the end of its answer, by outcome.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.7, 2, 3},
		}, []string{"outcome"}),
	}
	for _, o := range []outcome{decided, undecided, badRequest} {
		m.requests.WithLabelValues(string(o))
		m.seconds.WithLabelValues(string(o))
	}
	return m
}

func (m *metrics) observe(o outcome, keys int, took time.Duration) {
	m.requests.WithLabelValues(string(o)).Inc()
	m.seconds.WithLabelValues(string(o)).Observe(took.Seconds())
	if o != badRequest {
		m.keys.Observe(float64(keys))
	}
}
