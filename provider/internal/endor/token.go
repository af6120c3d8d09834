// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
)

const (
	// unnamedLifetime is assumed of a token that comes without its expiry. It
	// is far below the four hours of Endor's documents; a 401 corrects it.
	unnamedLifetime = time.Hour

	// maxRenewAhead is how long before its expiry a token is renewed at most;
	// short-lived ones are renewed in the last fifth of their life.
	maxRenewAhead = 30 * time.Minute

	refusalDelay    = 5 * time.Second
	maxRefusalDelay = time.Minute
)

// token is one session with the API.
type token struct {
	value         string
	issued        time.Time // zero if it was given
	renew, expiry time.Time
	key           apiKey // that it was exchanged for
}

func newToken(value string, asked, expiry time.Time) token {
	life := expiry.Sub(asked)
	return token{value: value, issued: asked, renew: expiry.Add(-min(life/5, maxRenewAhead)), expiry: expiry}
}

// staticToken stands for a token that was given and cannot be renewed.
func staticToken(value string) token {
	return token{value: value, renew: forever, expiry: forever}
}

var forever = time.Unix(1<<40, 0)

// tokens keeps the current token. However many callers need a new one, it is
// exchanged once, on a context that belongs to none of them.
type tokens struct {
	credentials Credentials
	exchange    func(context.Context, apiKey) (token, error)
	now         func() time.Time
	timeout     time.Duration // of one exchange

	flight singleflight.Group
	news   news // of the exchange under way

	exchanges *prometheus.CounterVec

	state struct {
		sync.Mutex // protects the fields below
		current    token
		refused    refusal
	}
}

// refusal remembers that the API refused a credential, so that not every
// question asks it again.
type refusal struct {
	key   apiKey
	err   error
	until time.Time
	delay time.Duration
}

// get gives a token that has not expired.
func (t *tokens) get(ctx context.Context) (token, error) {
	if current := t.current(); t.now().Before(current.expiry) {
		return current, nil
	}
	return t.renewed(ctx)
}

func (t *tokens) current() token {
	t.state.Lock()
	defer t.state.Unlock()
	return t.state.current
}

// renewed waits for an exchange, one that is under way or a new one. Whoever
// waits hears how it goes, and not only who began it: to wait for a token is to
// wait for the API.
func (t *tokens) renewed(ctx context.Context) (token, error) {
	var mine atomic.Bool // then its calls tell this caller themselves
	done := t.flight.DoChan("", func() (any, error) {
		mine.Store(true)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout)
		defer cancel()
		defer t.news.forget()
		// Whoever waits counts the whole of it as waiting for a token.
		return t.attempt(WithTimings(t.news.follow(ctx), nil))
	})
	for {
		latest, changed := t.news.read()
		if !mine.Load() {
			latest.tell(ctx)
		}
		select {
		case got := <-done:
			return got.Val.(token), got.Err
		case <-ctx.Done():
			return token{}, call{op: exchangeOp}.failed(transportError(context.Cause(ctx)))
		case <-changed:
		}
	}
}

func (t *tokens) attempt(ctx context.Context) (token, error) {
	// A caller may have seen no token just before the last exchange ended.
	if current := t.current(); t.now().Before(current.renew) {
		return current, nil
	}
	key, err := t.credentials.read()
	if err != nil {
		t.exchanges.WithLabelValues(exchangeUnreadable).Inc()
		e := &Error{Kind: KindMisconfigured, Reason: ReasonCredentials, Detail: err.Error()}
		return token{}, call{op: exchangeOp}.failed(e)
	}
	if err := t.refusalOf(key); err != nil {
		return token{}, err
	}
	got, err := t.obtain(ctx, key)
	t.exchanges.WithLabelValues(exchanged(err)).Inc()
	t.state.Lock()
	defer t.state.Unlock()
	if err == nil {
		got.key = key
		t.state.current = got
		return got, nil
	}
	if e, ok := errors.AsType[*Error](err); ok && !e.Temporary() {
		t.refuse(key, err)
	}
	return token{}, err
}

func (t *tokens) obtain(ctx context.Context, key apiKey) (token, error) {
	if t.credentials.Token != "" {
		return staticToken(t.credentials.Token), nil
	}
	return t.exchange(ctx, key)
}

// refusalOf is the error of the last exchange while it is too early to repeat
// it. Credentials that changed since may be tried at once.
func (t *tokens) refusalOf(key apiKey) error {
	t.state.Lock()
	defer t.state.Unlock()
	r := t.state.refused
	if r.err != nil && r.key == key && t.now().Before(r.until) {
		return r.err
	}
	return nil
}

// refuse needs the state's lock. A refusal that comes long after the last one
// does not continue it. An exchange that went well in between changes nothing:
// the token it gave may be what is refused.
func (t *tokens) refuse(key apiKey, err error) {
	delay := refusalDelay
	if r := t.state.refused; r.err != nil && r.key == key && t.now().Sub(r.until) < maxRefusalDelay {
		delay = min(2*r.delay, maxRefusalDelay)
	}
	t.state.refused = refusal{key: key, err: err, until: t.now().Add(delay), delay: delay}
}

// drop forgets a token that the API refused, unless somebody renewed it already.
func (t *tokens) drop(value string) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.state.current.value == value {
		t.state.current = token{}
	}
}

// dropCredential is drop for a token that was renewed a moment ago: it was not
// too old, so the credential is the cause, and asking for yet another token
// with each question would help nobody. Many callers may find out at once; that
// is one refusal.
func (t *tokens) dropCredential(value string, err error) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.state.current.value == value {
		t.refuse(t.state.current.key, err)
		t.state.current = token{}
	}
}

// run renews the token ahead of its expiry, and sooner while it has none.
func (t *tokens) run(ctx context.Context, attempt func(error)) error {
	for {
		wait := refusalDelay
		_, err := t.renewed(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if attempt != nil {
			attempt(err)
		}
		if err == nil {
			wait = t.untilRenewal()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (t *tokens) untilRenewal() time.Duration {
	return max(t.current().renew.Sub(t.now()), time.Second)
}

// exchangeOp names the exchange in errors.
const exchangeOp = "exchange API key"

const exchangePath = "/v1/auth/api-key"

// exchange asks for a token. Any refusal belongs to the credential.
func (c *Client) exchange(ctx context.Context, key apiKey) (token, error) {
	asked := c.tokens.now()
	got, err := c.do(ctx, call{op: exchangeOp, path: exchangePath, body: key, secrets: []string{key.Key, key.Secret}})
	if err != nil {
		return token{}, err
	}
	if got.status != http.StatusOK {
		e := got.failure()
		if e.Kind == KindRefused {
			e.Kind, e.Reason = KindMisconfigured, ReasonCredentials
		}
		return token{}, e
	}
	return decodeToken(got.body, asked)
}

// decodeToken reads the answer to an exchange. Endor's sources spell the
// expiry in two ways: its Backstage plugin reads expirationTime, its OpenAPI
// document says expiration_time.
func decodeToken(body []byte, asked time.Time) (token, error) {
	var got struct {
		Token      string    `json:"token"`
		CamelCase  looseTime `json:"expirationTime"`
		Underscore looseTime `json:"expiration_time"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Token == "" || !fitsHeader(got.Token) {
		return token{}, &Error{Op: exchangeOp, Kind: KindUnavailable, Reason: ReasonBadResponse, Status: http.StatusOK, Detail: "the response holds no token"}
	}
	for _, expiry := range []looseTime{got.CamelCase, got.Underscore} {
		// An expiry in the past says that one of two clocks is wrong, and nothing
		// of the token. Believed, it would mean an exchange for each question.
		if expiry.After(asked) {
			return newToken(got.Token, asked, expiry.Time), nil
		}
	}
	return newToken(got.Token, asked, asked.Add(unnamedLifetime)), nil
}

// looseTime is zero where it cannot be read: a token is as good without it.
type looseTime struct{ time.Time }

// UnmarshalJSON reads what [time.Time] reads, and takes the rest for none.
func (t *looseTime) UnmarshalJSON(b []byte) error {
	err := t.Time.UnmarshalJSON(b)
	// Not everything that can be read can be written again.
	if t.Time = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 {
		t.Time = time.Time{}
	}
	return nil
}
