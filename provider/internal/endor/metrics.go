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
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "upstream_requests_total",
			Help: "Attempts to call the Endor Labs API, by operation and outcome (HTTP status, 1xx to 5xx where it is not one of its own, or error).",
		}, []string{"operation", "outcome"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "upstream_request_duration_seconds",
			Help:    "Time of one attempt to call the Endor Labs API until its response headers.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"operation"}),
	}
}

// measured counts attempts.
type measured struct {
	next    http.RoundTripper
	metrics *metrics
}

func (rt measured) RoundTrip(req *http.Request) (*http.Response, error) {
	operation := "verify"
	if strings.HasSuffix(req.URL.Path, "/auth/api-key") {
		operation = "token"
	}
	Attempted(req.Context())
	start := time.Now()
	resp, err := rt.next.RoundTrip(req)
	rt.metrics.seconds.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	rt.metrics.requests.WithLabelValues(operation, outcome(resp, err)).Inc()
	return resp, err
}

// outcome is a label of few values: the statuses that call for different
// actions by name, the others by class.
func outcome(resp *http.Response, err error) string {
	if err != nil {
		return "error"
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return strconv.Itoa(resp.StatusCode)
	default:
		return strconv.Itoa(resp.StatusCode/100) + "xx"
	}
}
