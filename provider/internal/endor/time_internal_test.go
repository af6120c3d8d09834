// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// These tests move time. Sockets do not sit in a bubble, so the API is a function
// below the client's own layers.

// scripted is an API that answers the n-th VERIFY, counted from 0, as it is told.
type scripted struct {
	began    time.Time
	asked    []time.Duration // when, since it began
	exchange []time.Duration
	answer   func(n int, req *http.Request) (*http.Response, error)
}

const (
	tokenBody   = `{"token":"a-token"}`
	successBody = `{"response":{"result":"ARTIFACT_OPERATION_RESULT_SUCCESS"}}`
)

func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	_ = req.Body.Close()
	at := time.Since(s.began)
	if strings.HasSuffix(req.URL.Path, "/auth/api-key") {
		s.exchange = append(s.exchange, at)
		return reply(http.StatusOK, tokenBody), nil
	}
	s.asked = append(s.asked, at)
	return s.answer(len(s.asked)-1, req)
}

func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func failing(status int, header ...string) func(int, *http.Request) (*http.Response, error) {
	return func(int, *http.Request) (*http.Response, error) {
		return reply(status, `{"code":14,"message":"try later"}`, header...), nil
	}
}

// thenSuccess fails as often as it is told.
func thenSuccess(times int, fail func(int, *http.Request) (*http.Response, error)) func(int, *http.Request) (*http.Response, error) {
	return func(n int, req *http.Request) (*http.Response, error) {
		if n < times {
			return fail(n, req)
		}
		return reply(http.StatusOK, successBody), nil
	}
}

func disconnected(int, *http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

// newScripted makes a client of a scripted API; call it in a bubble.
func newScripted(t *testing.T, cfg Config, answer func(int, *http.Request) (*http.Response, error)) (*Client, *scripted) {
	t.Helper()
	cfg.BaseURL = "https://api.example.com"
	cfg.Credentials = Credentials{Key: "endr+key", Secret: "endr+secret"}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	api := &scripted{began: time.Now(), answer: answer}
	cfg.Now = time.Now
	c.http = newHTTPClient(cfg, c.metrics, api)
	return c, api
}

func verifyScripted(ctx context.Context, c *Client) (Answer, error) {
	ref, err := imageref.Parse("ghcr.io/acme/api@sha256:" + strings.Repeat("1a2b", 16))
	if err != nil {
		return Answer{}, err
	}
	return c.Verify(ctx, "acme", ref, question.Claims{SourceRepository: "acme/api"})
}

func TestRetriesUntilTheAPIAnswers(t *testing.T) {
	t.Parallel()
	within := func(least, most time.Duration) [2]time.Duration { return [2]time.Duration{least, most} }
	exactly := func(d time.Duration) [2]time.Duration { return within(d, d) }
	for _, tc := range []struct {
		name   string
		answer func(int, *http.Request) (*http.Response, error)
		pauses [][2]time.Duration // before each further attempt
	}{
		{name: "503 once: 100 ms", answer: thenSuccess(1, failing(503)), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "500 without a decision", answer: thenSuccess(1, failing(500)), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "429 without a Retry-After", answer: thenSuccess(1, failing(429)), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "408", answer: thenSuccess(1, failing(408)), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "no connection", answer: thenSuccess(1, disconnected), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "pauses double to 2 s, less up to a half", answer: thenSuccess(7, failing(503)), pauses: [][2]time.Duration{
			exactly(100 * time.Millisecond),
			within(100*time.Millisecond, 200*time.Millisecond),
			within(200*time.Millisecond, 400*time.Millisecond),
			within(400*time.Millisecond, 800*time.Millisecond),
			within(800*time.Millisecond, 1600*time.Millisecond),
			within(time.Second, 2*time.Second),
			within(time.Second, 2*time.Second),
		}},
		{name: "Retry-After in seconds", answer: thenSuccess(2, failing(429, "Retry-After", "3")), pauses: [][2]time.Duration{exactly(3 * time.Second), exactly(3 * time.Second)}},
		{name: "Retry-After beside a 503", answer: thenSuccess(1, failing(503, "Retry-After", "7")), pauses: [][2]time.Duration{exactly(7 * time.Second)}},
		{name: "Retry-After as a date", answer: thenSuccess(1, func(int, *http.Request) (*http.Response, error) {
			// Dates have no fractions of a second, and neither has the bubble's clock yet.
			return reply(429, "", "Retry-After", time.Now().Add(4*time.Second).UTC().Format(http.TimeFormat)), nil
		}), pauses: [][2]time.Duration{exactly(4 * time.Second)}},
		{name: "Retry-After 0 does not hammer", answer: thenSuccess(1, failing(429, "Retry-After", "0")), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "Retry-After in the past does not hammer", answer: thenSuccess(1, failing(429, "Retry-After", "Fri, 01 Jan 1999 00:00:00 GMT")), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "Retry-After that is neither", answer: thenSuccess(1, failing(429, "Retry-After", "soon")), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
		{name: "Retry-After that is negative", answer: thenSuccess(1, failing(429, "Retry-After", "-5")), pauses: [][2]time.Duration{exactly(100 * time.Millisecond)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, api := newScripted(t, Config{}, tc.answer)
				got, err := verifyScripted(t.Context(), c)
				if err != nil || got.Result != ResultSuccess {
					t.Fatalf("Verify = %s, error %v; want SUCCESS", got.Result, err)
				}
				if len(api.asked) != len(tc.pauses)+1 {
					t.Fatalf("asked at %v, want %d attempts", api.asked, len(tc.pauses)+1)
				}
				for i, want := range tc.pauses {
					if pause := api.asked[i+1] - api.asked[i]; pause < want[0] || pause > want[1] {
						t.Errorf("pause %d is %v, want %v to %v", i+1, pause, want[0], want[1])
					}
				}
			})
		})
	}
}

// Where waiting cannot help, the call ends at once and says what the API said.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		answer     func(int, *http.Request) (*http.Response, error)
		wantKind   Kind
		wantReason Reason
		wantStatus int
		wantDetail string
		least      time.Duration // how long it tries
		most       time.Duration
	}{
		{name: "Retry-After beyond the deadline", answer: failing(429, "Retry-After", "16"),
			wantKind: KindUnavailable, wantReason: ReasonRateLimited, wantStatus: 429, wantDetail: "try later"},
		{name: "Retry-After of years", answer: failing(503, "Retry-After", "2000000000"),
			wantKind: KindUnavailable, wantReason: ReasonServerError, wantStatus: 503, wantDetail: "try later"},
		{name: "Retry-After with a date beyond the deadline", answer: func(int, *http.Request) (*http.Response, error) {
			return reply(503, "", "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), nil
		}, wantKind: KindUnavailable, wantReason: ReasonServerError, wantStatus: 503},
		{name: "501 will not pass", answer: failing(501),
			wantKind: KindMisconfigured, wantReason: ReasonNotFound, wantStatus: 501, wantDetail: "try later"},
		{name: "503 for good is told as such, not as a timeout", answer: failing(503),
			wantKind: KindUnavailable, wantReason: ReasonServerError, wantStatus: 503, wantDetail: "try later", least: 12 * time.Second, most: 15 * time.Second},
		{name: "429 for good", answer: failing(429),
			wantKind: KindUnavailable, wantReason: ReasonRateLimited, wantStatus: 429, wantDetail: "try later", least: 12 * time.Second, most: 15 * time.Second},
		{name: "no connection for good", answer: disconnected,
			wantKind: KindUnavailable, wantReason: ReasonNetwork, wantDetail: "connection refused", least: 12 * time.Second, most: 15 * time.Second},
		{name: "an API that hangs", answer: func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}, wantKind: KindUnavailable, wantReason: ReasonTimeout, least: 15 * time.Second, most: 15 * time.Second},
		{name: "503, then an API that hangs", answer: func(n int, req *http.Request) (*http.Response, error) {
			if n == 0 {
				return reply(503, ""), nil
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		}, wantKind: KindUnavailable, wantReason: ReasonTimeout, least: 15 * time.Second, most: 15 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, api := newScripted(t, Config{}, tc.answer)
				_, err := verifyScripted(t.Context(), c)
				took := time.Since(api.began)
				e, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("Verify error = %v, want an *Error", err)
				}
				t.Logf("Got expected error after %v and %d attempts: %v", took, len(api.asked), err)
				if e.Op != "verify artifact" || e.Kind != tc.wantKind || e.Reason != tc.wantReason || e.Status != tc.wantStatus || !strings.Contains(e.Detail, tc.wantDetail) {
					t.Errorf("error = %+v, want %s, %s, HTTP %d, %q", *e, tc.wantKind, tc.wantReason, tc.wantStatus, tc.wantDetail)
				}
				if took < tc.least || took > tc.most {
					t.Errorf("gave up after %v, want %v to %v", took, tc.least, tc.most)
				}
			})
		})
	}
}

func TestCallerEndsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, api := newScripted(t, Config{}, failing(429, "Retry-After", "10"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		_, err := verifyScripted(ctx, c)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != KindUnavailable || e.Reason != ReasonTimeout {
			t.Errorf("Verify error = %v, want a timeout", err)
		}
		t.Logf("Got expected error: %v", err)
		if took := time.Since(api.began); took != 3*time.Second || len(api.asked) != 1 {
			t.Errorf("gave up after %v and %d attempts, want 3s and 1", took, len(api.asked))
		}
	})
}

func TestTheCallersDeadlineIsSentInSeconds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		timeout time.Duration // of the client
		budget  time.Duration // of the caller; 0: none
		want    string
	}{
		{name: "the client's timeout", timeout: 15 * time.Second, want: "15"},
		{name: "the caller's, if it is shorter", timeout: 15 * time.Second, budget: 4 * time.Second, want: "4"},
		{name: "rounded up", timeout: 1700 * time.Millisecond, want: "2"},
		{name: "never 0", timeout: 10 * time.Millisecond, want: "1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got string
				c, _ := newScripted(t, Config{Timeout: tc.timeout}, func(_ int, req *http.Request) (*http.Response, error) {
					got = req.Header.Get("Request-Timeout")
					return reply(http.StatusOK, successBody), nil
				})
				ctx := t.Context()
				if tc.budget > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.budget)
					defer cancel()
				}
				if _, err := verifyScripted(ctx, c); err != nil {
					t.Fatal(err)
				}
				if got != tc.want {
					t.Errorf("Request-Timeout: %q, want %q", got, tc.want)
				}
			})
		})
	}
}

func TestRateCountsRetriesAndExchanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, api := newScripted(t, Config{Rate: rate.NewLimiter(1, 1)}, thenSuccess(2, failing(503)))
		if _, err := verifyScripted(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{0}; !reflect.DeepEqual(api.exchange, want) {
			t.Errorf("exchanges at %v, want %v", api.exchange, want)
		}
		for i := range api.asked {
			api.asked[i] = api.asked[i].Round(time.Millisecond) // the limiter computes in floating point
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}; !reflect.DeepEqual(api.asked, want) {
			t.Errorf("attempts at %v, want %v", api.asked, want)
		}
	})
}

// ledger is an exchange that is told how to end and remembers when it was asked.
type ledger struct {
	began time.Time
	at    []time.Duration
	end   func(n int) (token, error)
}

func (l *ledger) exchange(context.Context, apiKey) (token, error) {
	l.at = append(l.at, time.Since(l.began))
	return l.end(len(l.at) - 1)
}

func lasting(life time.Duration) func(int) (token, error) {
	return func(int) (token, error) {
		return newToken("t", time.Now(), time.Now().Add(life)), nil
	}
}

func newLedger(end func(int) (token, error)) (*tokens, *ledger) {
	l := &ledger{began: time.Now(), end: end}
	t := &tokens{credentials: Credentials{Key: "k", Secret: "s"}, exchange: l.exchange, now: time.Now, timeout: time.Second}
	t.register(nil)
	return t, l
}

func TestRunRenewsAheadOfExpiry(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		life time.Duration
		want []time.Duration // when, within three lives
	}{
		{name: "half an hour before the end of four hours", life: 4 * time.Hour,
			want: []time.Duration{0, 210 * time.Minute, 420 * time.Minute, 630 * time.Minute}},
		{name: "in the last fifth of ten minutes", life: 10 * time.Minute,
			want: []time.Duration{0, 8 * time.Minute, 16 * time.Minute, 24 * time.Minute}},
		{name: "not more than once a second", life: time.Second,
			want: []time.Duration{0, time.Second, 2 * time.Second}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tok, exchanges := newLedger(lasting(tc.life))
				ctx, cancel := context.WithTimeout(t.Context(), 3*tc.life-time.Millisecond)
				defer cancel()
				if err := tok.run(ctx, nil); err != nil {
					t.Errorf("run = %v, want nil", err)
				}
				if !reflect.DeepEqual(exchanges.at, tc.want) {
					t.Errorf("exchanged at %v, want %v", exchanges.at, tc.want)
				}
			})
		})
	}
}

func TestQuestionsUseTheOldTokenWhileItIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tok, _ := newLedger(func(n int) (token, error) {
			if n > 0 {
				time.Sleep(10 * time.Second)
			}
			return newToken([]string{"old", "new"}[n], time.Now(), time.Now().Add(time.Hour)), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- tok.run(ctx, nil) }()
		for _, tc := range []struct {
			after time.Duration
			want  string
		}{
			{after: time.Minute, want: "old"},
			{after: 47*time.Minute + 5*time.Second, want: "old"}, // renewal began at 48m
			{after: 10 * time.Second, want: "new"},
		} {
			time.Sleep(tc.after)
			asked := time.Now()
			got, err := tok.get(ctx)
			if err != nil || got.value != tc.want || time.Since(asked) != 0 {
				t.Errorf("get = %q, error %v, after %v; want %q at once", got.value, err, time.Since(asked), tc.want)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run = %v, want nil", err)
		}
	})
}

func TestRunBacksOffFromRefusedCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := &Error{Op: exchangeOp, Kind: KindMisconfigured, Reason: ReasonCredentials, Status: http.StatusUnauthorized}
		tok, exchanges := newLedger(func(int) (token, error) { return token{}, refused })
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		told := 0
		if err := tok.run(ctx, func(err error) {
			told++
			if !errors.Is(err, refused) {
				t.Errorf("attempt was told %v, want %v", err, refused)
			}
		}); err != nil {
			t.Errorf("run = %v, want nil", err)
		}
		want := []time.Duration{0, 5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second, 135 * time.Second, 195 * time.Second}
		if !reflect.DeepEqual(exchanges.at, want) {
			t.Errorf("exchanged at %v, want %v", exchanges.at, want)
		}
		if told < len(want) {
			t.Errorf("attempt was told %d times, want at least %d", told, len(want))
		}
	})
}

// Ahead of expiry there is time to try again, and questions do not notice.
func TestRunOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := &Error{Op: exchangeOp, Kind: KindUnavailable, Reason: ReasonNetwork}
		tok, exchanges := newLedger(func(n int) (token, error) {
			if 1 <= n && n <= 3 {
				return token{}, down
			}
			return newToken("t", time.Now(), time.Now().Add(time.Hour)), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var told []error
		if err := tok.run(ctx, func(err error) {
			told = append(told, err)
			if _, err := tok.get(ctx); err != nil {
				t.Errorf("get = %v while the old token is good", err)
			}
		}); err != nil {
			t.Errorf("run = %v, want nil", err)
		}
		begin := 48 * time.Minute
		want := []time.Duration{0, begin, begin + 5*time.Second, begin + 10*time.Second, begin + 15*time.Second}
		if !reflect.DeepEqual(exchanges.at, want) {
			t.Errorf("exchanged at %v, want %v", exchanges.at, want)
		}
		if want := []error{nil, down, down, down, nil}; !reflect.DeepEqual(told, want) {
			t.Errorf("attempt was told %v, want %v", told, want)
		}
	})
}

func TestRunHasNothingToDoForAStaticToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tok, exchanges := newLedger(nil)
		tok.credentials = Credentials{Token: "t"}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		told := 0
		if err := tok.run(ctx, func(err error) {
			told++
			if err != nil {
				t.Errorf("attempt was told %v", err)
			}
		}); err != nil {
			t.Errorf("run = %v, want nil", err)
		}
		if told != 1 || len(exchanges.at) != 0 {
			t.Errorf("%d attempts and %d exchanges in a day, want 1 and 0", told, len(exchanges.at))
		}
	})
}

// Between a caller's look at the token and its wait for a new one, the exchange that
// others waited for may end.
func TestLateCallerDoesNotExchangeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tok, exchanges := newLedger(lasting(time.Hour))
		for range 2 {
			if got, err := tok.renewed(t.Context()); err != nil || got.value != "t" {
				t.Errorf("renewed = %q, error %v", got.value, err)
			}
		}
		if len(exchanges.at) != 1 {
			t.Errorf("exchanged at %v, want once", exchanges.at)
		}
	})
}

// A refusal long after the last one is not its continuation.
func TestBackOffBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := &Error{Op: exchangeOp, Kind: KindMisconfigured, Reason: ReasonCredentials}
		tok, exchanges := newLedger(func(int) (token, error) { return token{}, refused })
		for _, wait := range []time.Duration{0, 5 * time.Second, time.Hour, 5 * time.Second} {
			time.Sleep(wait)
			if _, err := tok.get(t.Context()); !errors.Is(err, refused) {
				t.Errorf("get = %v, want %v", err, refused)
			}
		}
		if len(exchanges.at) != 4 {
			t.Errorf("exchanged at %v, want 4 times", exchanges.at)
		}
	})
}
