// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

// Kind says what an error is good for.
type Kind string

// The kinds of errors.
const (
	// KindUnavailable: nobody could be asked; asking again later can help.
	KindUnavailable Kind = "unavailable"
	// KindMisconfigured: Endor will not answer until somebody changes the
	// configuration: credentials, permissions, license, address.
	KindMisconfigured Kind = "misconfigured"
	// KindRefused: Endor refuses this very question and will refuse it again.
	KindRefused Kind = "refused"
)

// Reason is the cause of an error, of a closed set, for messages and metrics.
type Reason string

// The reasons of errors, grouped by kind.
const (
	ReasonNetwork     Reason = "network"      // no connection, or one that broke
	ReasonTimeout     Reason = "timeout"      // the time for the operation was over
	ReasonRateLimited Reason = "rate_limited" // HTTP 429
	ReasonServerError Reason = "server_error" // HTTP 5xx or 408
	ReasonBadResponse Reason = "bad_response" // HTTP 2xx that holds no answer
	ReasonBusy        Reason = "busy"         // more calls at once than [Config.Rate] allows; the API was not asked

	ReasonCredentials Reason = "credentials" // HTTP 401, or credentials that cannot be read
	ReasonLicense     Reason = "license"     // HTTP 402
	ReasonForbidden   Reason = "forbidden"   // HTTP 403
	ReasonNotFound    Reason = "not_found"   // HTTP 404, 405, 501
	ReasonRedirect    Reason = "redirect"    // HTTP 3xx
	ReasonGateway     Reason = "gateway"     // HTTP 407, 421, 426, 451

	ReasonRefused Reason = "refused" // any other HTTP 4xx
)

// Error says why the Endor Labs API gave no answer.
type Error struct {
	Op     string // what was tried: "verify artifact" or "exchange API key"
	Kind   Kind
	Reason Reason
	Status int    // of HTTP; 0 if there was no response
	Detail string // at most 256 printable characters, for logs; no secrets

	// RetryAfter is for how long the API asks to be left alone; 0 if it does
	// not. The caller has to bound it.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "endor: %s: %s", e.Op, e.Reason)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	return b.String()
}

// Temporary says whether asking again can help.
func (e *Error) Temporary() bool { return e.Kind == KindUnavailable }

// OfCredential says that the provider's credential was not exchanged for a
// token, so that what was asked with it never came up.
func (e *Error) OfCredential() bool { return e.Op == exchangeOp }

// rpcStatus is google.rpc.Status, the body of every error of the API.
type rpcStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

const maxDetail = 256

// failed completes an error of a call: its detail, which may be anybody's text
// and may repeat what was sent, loses the call's secrets before it is cut.
func (req call) failed(e *Error) *Error {
	// The longest first: a secret may begin with another one.
	longestFirst := func(a, b string) int { return len(b) - len(a) }
	for _, secret := range slices.SortedFunc(slices.Values(req.secrets), longestFirst) {
		if secret != "" {
			e.Detail = strings.ReplaceAll(e.Detail, secret, redacted)
		}
	}
	if slices.ContainsFunc(req.secrets, func(secret string) bool { return partOf(secret, e.Detail) }) {
		e.Detail = redacted
	}
	e.Op, e.Detail = req.op, printable.Cut(e.Detail, maxDetail)
	return e
}

// partOf says whether text holds a piece of secret that is too long for chance,
// as when somebody cut what was sent before he repeated it.
func partOf(secret, text string) bool {
	const piece = 8
	for i := 0; i+piece <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+piece]) {
			return true
		}
	}
	return false
}

// Statuses of whatever stands before the API, and which nobody who writes a
// manifest can bring about: 407 to 451 until a person acts, and those with
// which nginx, Google and AWS say that a connection ended.
var (
	ofGateways      = []int{http.StatusProxyAuthRequired, http.StatusMisdirectedRequest, http.StatusUpgradeRequired, http.StatusUnavailableForLegalReasons}
	ofLoadBalancers = []int{http.StatusTooEarly, 444, 460, 499}
)

// statusError classifies an HTTP response that holds no decision.
func statusError(status int, body []byte) *Error {
	e := &Error{Status: status, Detail: detailOf(body)}
	switch {
	case status == http.StatusTooManyRequests:
		e.Kind, e.Reason = KindUnavailable, ReasonRateLimited
	case status == http.StatusRequestTimeout:
		e.Kind, e.Reason = KindUnavailable, ReasonServerError
	case status == http.StatusUnauthorized:
		e.Kind, e.Reason = KindMisconfigured, ReasonCredentials
	case status == http.StatusPaymentRequired:
		e.Kind, e.Reason = KindMisconfigured, ReasonLicense
	case status == http.StatusForbidden:
		e.Kind, e.Reason = KindMisconfigured, ReasonForbidden
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		e.Kind, e.Reason = KindMisconfigured, ReasonNotFound
	case slices.Contains(ofGateways, status):
		e.Kind, e.Reason = KindMisconfigured, ReasonGateway
	case status >= 500, slices.Contains(ofLoadBalancers, status):
		e.Kind, e.Reason = KindUnavailable, ReasonServerError
	case status >= 400:
		e.Kind, e.Reason = KindRefused, ReasonRefused
	case status >= 300:
		e.Kind, e.Reason = KindMisconfigured, ReasonRedirect
	default:
		e.Kind, e.Reason = KindUnavailable, ReasonBadResponse
	}
	return e
}

// detailOf takes the message out of an error's body. A body that is not the
// API's own is not repeated: it may be anybody's page.
func detailOf(body []byte) string {
	var s rpcStatus
	if json.Unmarshal(body, &s) != nil {
		return ""
	}
	return html.UnescapeString(s.Message)
}

// transportError classifies a request that got no response. The URL that
// net/http puts in front is dropped: it may hold user info.
func transportError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	e := &Error{Kind: KindUnavailable, Reason: ReasonNetwork, Detail: err.Error()}
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &netErr) && netErr.Timeout() {
		e.Reason = ReasonTimeout
	}
	return e
}
