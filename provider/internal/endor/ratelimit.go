// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// rateLimited takes a token of the limiter for each attempt, retries included.
type rateLimited struct {
	next    http.RoundTripper
	limiter *rate.Limiter
	waited  prometheus.Observer
}

func (rt rateLimited) RoundTrip(req *http.Request) (*http.Response, error) {
	Paused(req.Context())
	start := time.Now()
	err := rt.limiter.Wait(req.Context())
	rt.waited.Observe(time.Since(start).Seconds())
	since(req.Context(), start, ratePhase)
	if err != nil {
		// The wait would outlast the deadline, or the caller left. This is no
		// failure of the API, and trying again would only wait again.
		return nil, &Error{Kind: KindUnavailable, Reason: ReasonBusy, Detail: "too many calls to Endor Labs at once"}
	}
	return rt.next.RoundTrip(req)
}
