// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// call is one call of the API: a POST of a body, or a GET without.
type call struct {
	op      string // for errors
	method  string // default POST
	path    string
	body    any
	bearer  string
	secrets []string // what must not come back in an error's detail
}

// response is a whole response: its body is bounded and read.
type response struct {
	to         call
	status     int
	body       []byte
	retryAfter time.Duration
	date       time.Time // when it was made, by the API's clock; zero if it does not say
}

// failure is the error of a response that holds no decision.
func (r response) failure() *Error {
	e := statusError(r.status, r.body)
	if retryable(r.status) {
		e.RetryAfter = max(r.retryAfter, 0)
	}
	return r.to.failed(e)
}

// authorized makes a call with a token, and once more with a new one if the
// API refuses the first.
func (c *Client) authorized(ctx context.Context, req call) (response, error) {
	got, err := c.withToken(ctx, req)
	if err != nil || got.status != http.StatusUnauthorized {
		return got, err
	}
	c.tokens.drop(got.to.bearer)
	got, err = c.withToken(ctx, req)
	if err == nil && got.status == http.StatusUnauthorized {
		c.tokens.dropCredential(got.to.bearer, got.failure())
	}
	return got, err
}

func (c *Client) withToken(ctx context.Context, req call) (response, error) {
	start := time.Now()
	session, err := c.tokens.get(ctx)
	since(ctx, start, tokenPhase)
	if err != nil {
		return response{}, err
	}
	req.bearer = session.value
	req.secrets = []string{session.value, session.key.Key, session.key.Secret}
	return c.do(ctx, req)
}

// do makes a call, with retries. Its error is an [*Error] and means that there
// was no response; a response of any status is none.
func (c *Client) do(ctx context.Context, req call) (response, error) {
	r, err := c.request(ctx, req)
	if err != nil {
		return response{}, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.userAgent)
	if deadline, ok := ctx.Deadline(); ok {
		// The API's own name for how many seconds its caller is willing to wait.
		r.Header.Set("Request-Timeout", strconv.Itoa(max(1, int(math.Ceil(time.Until(deadline).Seconds())))))
	}
	if req.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+req.bearer)
	}
	resp, err := c.retrying(req).Do(r)
	if err != nil {
		return response{}, req.failed(transportError(err))
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}, req.failed(transportError(err))
	}
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	return response{
		to: req, status: resp.StatusCode, body: read, date: date,
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), c.now()),
	}, nil
}

func (c *Client) request(ctx context.Context, req call) (*retryablehttp.Request, error) {
	var body any // untyped, so that a GET has none
	if req.body != nil {
		encoded, err := json.Marshal(req.body)
		if err != nil {
			return nil, fmt.Errorf("endor: %s: %w", req.op, err)
		}
		body = encoded
	}
	r, err := retryablehttp.NewRequestWithContext(ctx, cmp.Or(req.method, http.MethodPost), c.base+req.path, body)
	if err != nil {
		return nil, req.failed(transportError(err))
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// readBody is the innermost RoundTripper but the transport: it reads the whole
// body, bounded, so that the retry policy can look at it before it looks at
// the status, and so that a connection that breaks within it counts as a
// network error, which may be retried.
type readBody struct {
	next http.RoundTripper
}

func (rt readBody) RoundTrip(req *http.Request) (*http.Response, error) {
	defer since(req.Context(), time.Now(), upstreamPhase)
	resp, err := rt.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	if len(body) > maxBody {
		return nil, &Error{Kind: KindUnavailable, Reason: ReasonBadResponse, Status: resp.StatusCode, Detail: fmt.Sprintf("the body has more than %d bytes", maxBody)}
	}
	// No redirect is followed, and net/http makes an error that quotes the header
	// out of one it cannot parse.
	resp.Header.Del("Location")
	resp.Body = &wholeBody{Reader: bytes.NewReader(body), bytes: body}
	return resp, nil
}

// wholeBody is a body that was read already.
type wholeBody struct {
	*bytes.Reader
	bytes []byte
}

func (*wholeBody) Close() error { return nil }
