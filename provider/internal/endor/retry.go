// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = 2 * time.Second

	// maxRetries ends what the deadline does not: with the pauses above it is
	// never reached within the default timeout.
	maxRetries = 16
)

// newHTTPClient stacks what belongs to every attempt. The innermost comes
// first: transport, metrics, reading the body, spans, rate.
func newHTTPClient(cfg Config, m *metrics, transport http.RoundTripper) *http.Client {
	var rt http.RoundTripper = measured{next: transport, metrics: m}
	rt = readBody{next: rt}
	if cfg.Tracer != nil {
		rt = traced{next: rt, tracer: cfg.Tracer}
	}
	if cfg.Rate != nil {
		rt = rateLimited{next: rt, limiter: cfg.Rate, waited: m.waited}
	}
	return &http.Client{
		Transport: rt,
		// A redirect would send token and question to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// retrying makes the attempts of one call.
func (c *Client) retrying(of call) *retryablehttp.Client {
	r := &retries{now: c.now, of: of, counter: c.metrics.retries.WithLabelValues(operationOf(of.path))}
	return &retryablehttp.Client{
		HTTPClient:   c.http,
		RetryMax:     maxRetries,
		CheckRetry:   r.check,
		Backoff:      r.pause,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// retries is the policy of one call. check chooses the pause before the next
// attempt, because where the deadline comes first there will be none: the call
// then ends at once, and with the failure at hand instead of a timeout that
// hides it.
type retries struct {
	now     func() time.Time
	of      call
	counter prometheus.Counter
	count   int
	next    time.Duration
}

// check says whether to try again.
func (r *retries) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if !worthRetrying(resp, err) {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	r.next = r.choose(resp)
	if deadline, bounded := ctx.Deadline(); bounded && r.next >= time.Until(deadline) {
		return false, nil
	}
	r.counter.Inc()
	Failed(ctx, r.failure(resp, err))
	return true, nil
}

// failure is the error that the call would have if this were its last attempt.
func (r *retries) failure(resp *http.Response, err error) *Error {
	if err != nil {
		return r.of.failed(transportError(err))
	}
	whole, _ := resp.Body.(*wholeBody)
	return r.of.failed(statusError(resp.StatusCode, whole.bytes))
}

// pause gives what check chose.
func (r *retries) pause(time.Duration, time.Duration, int, *http.Response) time.Duration {
	return r.next
}

// choose doubles from 100 ms to 2 s, less up to a half at random so that
// callers that failed together do not return together. The API may ask for more.
func (r *retries) choose(resp *http.Response) time.Duration {
	wait := min(firstRetry<<min(r.count, 10), maxRetry)
	if r.count > 0 {
		wait -= rand.N(wait / 2)
	}
	r.count++
	if resp != nil {
		wait = max(wait, retryAfter(resp.Header.Get("Retry-After"), r.now()))
	}
	return wait
}

// worthRetrying is false after a decision, whatever the status beside it.
func worthRetrying(resp *http.Response, err error) bool {
	if err != nil {
		_, final := errors.AsType[*Error](err)
		return !final
	}
	if whole, ok := resp.Body.(*wholeBody); ok {
		if _, decided := decodeAnswer(resp.StatusCode, whole.bytes); decided {
			return false
		}
	}
	return retryable(resp.StatusCode)
}

func retryable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return true
	case http.StatusNotImplemented:
		return false
	default:
		return status >= 500
	}
}

// retryAfter reads a Retry-After header, which holds seconds or a date; what is
// neither asks for nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return date.Sub(now)
	}
	return 0
}
