// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	waited   prometheus.Histogram // for Config.Rate
}

// The operations of the API, as metrics name them.
const (
	verifyOperation = "verify"
	tokenOperation  = "token"
)

func operationOf(path string) string {
	if strings.HasSuffix(path, exchangePath) {
		return tokenOperation
	}
	return verifyOperation
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "upstream_requests_total",
			Help: "Attempts to call the Endor Labs API, by operation and outcome (HTTP status, 2xx to 5xx where it is not one of its own, or error where there was none).",
		}, []string{"operation", "outcome"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "upstream_request_duration_seconds",
			Help:    "Time of one attempt to call the Endor Labs API until its response headers.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"operation"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "upstream_retries_total",
			Help: "Attempts that failed and were repeated, by operation.",
		}, []string{"operation"}),
		waited: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "upstream_rate_wait_seconds",
			Help:    "Time that attempts waited for their turn within --upstream-qps, whether or not they got it.",
			Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}),
	}
	// An alert needs a zero to rise from.
	for _, operation := range []string{verifyOperation, tokenOperation} {
		m.seconds.WithLabelValues(operation)
		m.retries.WithLabelValues(operation)
		for _, outcome := range outcomes {
			m.requests.WithLabelValues(operation, outcome)
		}
	}
	return m
}

// measured counts attempts.
type measured struct {
	next    http.RoundTripper
	metrics *metrics
}

func (rt measured) RoundTrip(req *http.Request) (*http.Response, error) {
	operation := operationOf(req.URL.Path)
	Attempted(req.Context())
	start := time.Now()
	resp, err := rt.next.RoundTrip(req)
	rt.metrics.seconds.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	rt.metrics.requests.WithLabelValues(operation, outcome(resp, err)).Inc()
	return resp, err
}

// outcomes are all that outcome gives.
var outcomes = []string{"200", "2xx", "3xx", "401", "403", "404", "429", "4xx", "5xx", noOutcome}

const noOutcome = "error"

// outcome is a label of few values: the statuses that call for different
// actions by name, the others by class.
func outcome(resp *http.Response, err error) string {
	if err != nil {
		return noOutcome
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return strconv.Itoa(resp.StatusCode)
	default:
		if class := resp.StatusCode / 100; class >= 2 && class <= 5 {
			return strconv.Itoa(class) + "xx"
		}
		return noOutcome
	}
}
