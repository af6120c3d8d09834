// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// timesOut answers as the client does when the time of a call is over.
func timesOut(ctx context.Context) (verify.Verdict, error) {
	<-ctx.Done()
	return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: verify.Cause(endor.ReasonTimeout), Err: ctx.Err()}
}

func newBreaker(mood func(context.Context) (verify.Verdict, error)) (*verify.Breaker, *fakeEndor) {
	u := &fakeEndor{mood: mood}
	return verify.NewBreaker(u, verify.BreakerConfig{}), u
}

// of gives the cause for which v does not decide a question about api.
func of(t *testing.T, v verify.Verifier) verify.Cause {
	t.Helper()
	return causeOf(t, v, ask(t, api))
}

func causeOf(t *testing.T, v verify.Verifier, q question.Question) verify.Cause {
	t.Helper()
	_, err := v.Verify(t.Context(), q)
	if err == nil {
		return ""
	}
	u, ok := errors.AsType[*verify.Undecided](err)
	if !ok {
		t.Fatalf("error = %v, want an Undecided", err)
	}
	return u.Cause
}

// inNamespace is ask about api in another Endor namespace.
func inNamespace(t *testing.T, namespace string) question.Question {
	t.Helper()
	q := ask(t, api)
	q.Namespace = namespace
	return q
}

func TestWhatOpensTheBreaker(t *testing.T) {
	t.Parallel()
	for _, cause := range []endor.Reason{
		endor.ReasonNetwork, endor.ReasonTimeout, endor.ReasonRateLimited, endor.ReasonServerError, endor.ReasonBadResponse,
	} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			b, u := newBreaker(fails(verify.Unavailable, verify.Cause(cause)))
			for i := range 10 {
				if got := of(t, b); got != verify.Cause(cause) {
					t.Fatalf("question %d: cause %q, want %q", i, got, cause)
				}
			}
			_, err := b.Verify(t.Context(), ask(t, api))
			got, ok := errors.AsType[*verify.Undecided](err)
			if !ok || got.Code != verify.Unavailable || got.Cause != verify.CauseBreaker || u.asked() != 10 {
				t.Fatalf("after 10 failures in a row: %v, and %d calls; want UNAVAILABLE because of the breaker and 10", err, u.asked())
			}
			if s := got.Sentence(); strings.HasPrefix(s, "Endor Labs could not be asked") {
				t.Errorf("sentence = %q, want one of its own", s)
			}
		})
	}
}

func TestWhatNeverOpensTheBreaker(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		mood func(context.Context) (verify.Verdict, error)
	}{
		{"images that are not signed", says(verify.NotSigned)},
		{"revoked ones", says(verify.Revoked)},
		{"names that Endor refuses", says(verify.RefusedByAPI)},
		{"credentials", fails(verify.Misconfigured, verify.Cause(endor.ReasonCredentials))},
		{"the license", fails(verify.Misconfigured, verify.Cause(endor.ReasonLicense))},
		{"a redirect", fails(verify.Misconfigured, verify.Cause(endor.ReasonRedirect))},
		{"a full queue", fails(verify.Unavailable, verify.CauseQueue)},
		{"our own rate", fails(verify.Unavailable, verify.Cause(endor.ReasonBusy))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, u := newBreaker(tc.mood)
			for range 100 {
				of(t, b)
			}
			u.becomes(says(verify.Verified))
			if cause := of(t, b); cause != "" || u.asked() != 101 {
				t.Errorf("cause %q, %d calls; want that all 101 questions were asked", cause, u.asked())
			}
		})
	}
}

func TestPanicsDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, u := newBreaker(func(context.Context) (verify.Verdict, error) { panic("unexpected") })
		for range 30 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic was hidden")
					}
				}()
				of(t, b)
			}()
		}
		time.Sleep(1700 * time.Millisecond)
		synctest.Wait()
		u.becomes(says(verify.Verified))
		if cause := of(t, b); cause != "" {
			t.Errorf("cause %q, want a verdict", cause)
		}
	})
}

func TestCallersThatLeaveDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, u := newBreaker(timesOut)
		for range 30 {
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, leave)
			if _, err := b.Verify(ctx, ask(t, api)); err == nil {
				t.Fatal("a call that hangs gave a verdict")
			}
		}
		u.becomes(says(verify.Verified))
		if cause := of(t, b); cause != "" {
			t.Errorf("cause %q, want a verdict", cause)
		}
	})
}

func TestAShareOfFailuresOpensTheBreaker(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name          string
		failures, all int // of each all questions, the last failures fail
		pause         time.Duration
		open          bool
	}{
		{"two of three", 2, 3, 0, true},
		{"a half", 1, 2, 0, false},
		{"one of three", 1, 3, 0, false},
		{"two of three, but fewer than 20 in 10s", 2, 3, time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, u := newBreaker(says(verify.Verified))
				opened := false
				for i := range 60 {
					u.becomes(says(verify.Verified))
					if i%tc.all >= tc.all-tc.failures {
						u.becomes(fails(verify.Unavailable, "server_error"))
					}
					opened = opened || of(t, b) == verify.CauseBreaker
					time.Sleep(tc.pause)
				}
				if opened != tc.open {
					t.Errorf("opened: %t, want %t", opened, tc.open)
				}
			})
		})
	}
}

// askAtOnce asks n questions and returns when all are on their way.
func askAtOnce(ctx context.Context, t *testing.T, v verify.Verifier, n int) {
	t.Helper()
	for i := range n {
		go func() { _, _ = v.Verify(ctx, ask(t, "a@"+digest(i))) }()
	}
	synctest.Wait()
}

func TestAHangOpensTheBreakerByOverruns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &fakeEndor{mood: timesOut}
		b := verify.NewBreaker(verify.NewLimit(u, 32), verify.BreakerConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		askAtOnce(ctx, t, b, 10)
		time.Sleep(1700*time.Millisecond - 1)
		synctest.Wait()
		askAtOnce(ctx, t, b, 1)
		if got := u.asked(); got != 11 {
			t.Fatalf("%d questions were asked before the end of the budget, want all 11", got)
		}
		time.Sleep(1)
		synctest.Wait()
		start := time.Now()
		if cause := of(t, b); cause != verify.CauseBreaker || time.Since(start) != 0 {
			t.Errorf("at the end of the budget: cause %q after %v, want the breaker at once", cause, time.Since(start))
		}
		time.Sleep(15 * time.Second)
	})
}

func TestAnOverrunCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Six calls that overrun and then fail are six failures, not twelve.
		b, u := newBreaker(func(context.Context) (verify.Verdict, error) {
			time.Sleep(3 * time.Second)
			return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: "server_error"}
		})
		askAtOnce(t.Context(), t, b, 6)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		u.becomes(says(verify.Verified))
		if cause := of(t, b); cause != "" {
			t.Errorf("cause %q, want a verdict", cause)
		}
	})
}

func TestWaitingWithinTheProviderIsNoOverrun(t *testing.T) {
	t.Parallel()
	t.Run("for a slot", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			// A flood that takes 10 s in all, though Endor answers within 100 ms.
			u := &fakeEndor{mood: func(context.Context) (verify.Verdict, error) {
				time.Sleep(100 * time.Millisecond)
				return verify.Verdict{Code: verify.NotSigned}, nil
			}}
			b := verify.NewBreaker(verify.NewLimit(u, 2), verify.BreakerConfig{})
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					if cause := causeOf(t, b, ask(t, "a@"+digest(i))); cause != "" {
						t.Errorf("question %d: cause %q, want a verdict", i, cause)
					}
				})
			}
			wg.Wait()
		})
	})
	t.Run("for the rate", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			// Sixteen signers, each asked for 100 ms after a wait of 1 s.
			b, _ := newBreaker(func(ctx context.Context) (verify.Verdict, error) {
				for range 16 {
					endor.Paused(ctx)
					time.Sleep(time.Second)
					endor.Attempted(ctx)
					time.Sleep(100 * time.Millisecond)
				}
				return verify.Verdict{Code: verify.WrongSigner}, nil
			})
			for range 2 {
				askAtOnce(t.Context(), t, b, 20)
				time.Sleep(time.Minute)
			}
			if cause := of(t, b); cause != "" {
				t.Errorf("cause %q, want a verdict", cause)
			}
		})
	})
	t.Run("what Endor itself takes adds up", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, u := newBreaker(func(ctx context.Context) (verify.Verdict, error) {
				for range 2 {
					endor.Paused(ctx)
					time.Sleep(time.Second)
					endor.Attempted(ctx)
					time.Sleep(900 * time.Millisecond)
				}
				return verified(), nil
			})
			askAtOnce(t.Context(), t, b, 10)
			time.Sleep(3700*time.Millisecond - 1)
			synctest.Wait()
			askAtOnce(t.Context(), t, b, 1)
			if u.asked() != 11 {
				t.Error("it overran before its 1.7 s")
			}
			time.Sleep(1)
			synctest.Wait()
			if cause := of(t, b); cause != verify.CauseBreaker {
				t.Errorf("cause %q after 2 s of waiting and 1.7 s with Endor, want the breaker", cause)
			}
			time.Sleep(4 * time.Second)
		})
	})
}

func TestWhoAsksIsToldOfAttemptsThroughTheBreaker(t *testing.T) {
	t.Parallel()
	b, _ := newBreaker(func(ctx context.Context) (verify.Verdict, error) {
		endor.Attempted(ctx)
		return verified(), nil
	})
	told := 0
	if _, err := b.Verify(endor.WithAttempt(t.Context(), func() { told++ }), ask(t, api)); err != nil || told != 1 {
		t.Errorf("told %d times, %v; want once", told, err)
	}
}

func TestWhoWaitsForASlotWhenTheBreakerOpensIsNotAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &fakeEndor{mood: func(context.Context) (verify.Verdict, error) {
			time.Sleep(3 * time.Second)
			return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: "server_error"}
		}}
		b := verify.NewBreaker(verify.NewLimit(u, 10), verify.BreakerConfig{})
		askAtOnce(t.Context(), t, b, 10)
		start := time.Now()
		if cause := of(t, b); cause != verify.CauseBreaker || time.Since(start) != verify.DefaultBudget {
			t.Errorf("cause %q after %v, want the breaker as soon as it opens, after the budget", cause, time.Since(start))
		}
		if got := u.asked(); got != 10 {
			t.Errorf("%d questions were asked, want the first 10", got)
		}
		time.Sleep(3 * time.Second) // until those have ended
	})
}

func TestTheBreakerClosesByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, u := newBreaker(fails(verify.Unavailable, "network"))
		for range 10 {
			of(t, b)
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		if pass(5 * time.Second); of(t, b) != verify.CauseBreaker {
			t.Error("it was asked within the 5 s that the breaker is open")
		}
		if pass(1); of(t, b) != "network" {
			t.Error("after 5 s no question was let through")
		}
		if of(t, b) != verify.CauseBreaker || u.asked() != 11 {
			t.Errorf("after a question failed the breaker is not open; %d calls, want 11", u.asked())
		}

		// Of several questions at the same time one is let through.
		release := make(chan struct{})
		u.becomes(func(context.Context) (verify.Verdict, error) {
			<-release
			return verify.Verdict{Code: verify.NotSigned}, nil
		})
		pass(5*time.Second + 1)
		askAtOnce(t.Context(), t, b, 20)
		if got := u.asked(); got != 12 {
			t.Errorf("%d calls, want a single one more than 11", got)
		}
		close(release)
		synctest.Wait()
		u.becomes(says(verify.Verified))
		for range 20 {
			if cause := of(t, b); cause != "" {
				t.Fatalf("after a verdict: cause %q", cause)
			}
		}
	})
}

func TestAProbeThatSaysNothingLetsTheNextOneThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, u := newBreaker(fails(verify.Unavailable, "network"))
		for range 10 {
			of(t, b)
		}
		time.Sleep(5*time.Second + 1)
		u.becomes(fails(verify.Misconfigured, verify.Cause(endor.ReasonForbidden)))
		if cause := causeOf(t, b, inNamespace(t, "other")); cause != verify.Cause(endor.ReasonForbidden) {
			t.Fatalf("cause %q, want what Endor says", cause)
		}
		u.becomes(says(verify.Verified))
		if cause := of(t, b); cause != "" {
			t.Errorf("cause %q, want a verdict", cause)
		}
	})
}

func TestANamespaceThatIsRefusedIsNotAskedForAWhile(t *testing.T) {
	t.Parallel()
	for _, cause := range []verify.Cause{verify.Cause(endor.ReasonForbidden), verify.Cause(endor.ReasonNotFound)} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, u := newBreaker(fails(verify.Misconfigured, cause))
				for i, pause := range []time.Duration{5, 10, 20, 40, 60, 60} {
					asked := u.asked()
					for range 50 {
						_, err := b.Verify(t.Context(), ask(t, api))
						got, ok := errors.AsType[*verify.Undecided](err)
						if !ok || got.Code != verify.Misconfigured || got.Cause != cause {
							t.Fatalf("error = %v, want the same answer as Endor gave", err)
						}
					}
					time.Sleep(pause*time.Second - 1)
					if of(t, b); u.asked() != asked+1 {
						t.Fatalf("it was asked %d times in pause %d of %ds, want once", u.asked()-asked, i, pause)
					}
					time.Sleep(1)
				}
				u.becomes(says(verify.Verified))
				of(t, b)
				u.becomes(fails(verify.Misconfigured, cause))
				asked := u.asked()
				of(t, b)
				if time.Sleep(5 * time.Second); of(t, b) != cause || u.asked() != asked+2 {
					t.Error("a verdict did not begin the pauses anew")
				}
			})
		})
	}
}

func TestManyQuestionsRefusedAtTheSameTimeAreOneRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, u := newBreaker(func(context.Context) (verify.Verdict, error) {
			time.Sleep(rand.N(5 * time.Second))
			return verify.Verdict{}, &verify.Undecided{Code: verify.Misconfigured, Cause: verify.Cause(endor.ReasonForbidden)}
		})
		askAtOnce(t.Context(), t, b, 50)
		time.Sleep(10 * time.Second) // the first ended within 5 s, and its pause is 5 s
		synctest.Wait()
		u.becomes(says(verify.Verified))
		if cause := of(t, b); cause != "" {
			t.Errorf("cause %q, want that it is asked again", cause)
		}
	})
}

func TestARefusalLongAfterTheLastBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, u := newBreaker(fails(verify.Misconfigured, verify.Cause(endor.ReasonForbidden)))
		for _, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 5 * time.Minute} {
			of(t, b)
			time.Sleep(wait)
		}
		of(t, b)
		time.Sleep(5 * time.Second)
		if of(t, b); u.asked() != 5 {
			t.Errorf("asked %d times, want 5: the pause did not begin anew with 5s", u.asked())
		}
	})
}

func TestOneNamespaceIsNobodyElsesOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := verify.NewBreaker(verifierFunc(func(_ context.Context, q question.Question) (verify.Verdict, error) {
			if strings.HasPrefix(q.Namespace, "typo") {
				return verify.Verdict{}, &verify.Undecided{Code: verify.Misconfigured, Cause: verify.Cause(endor.ReasonNotFound)}
			}
			return verified(), nil
		}), verify.BreakerConfig{})
		// More of them than are remembered, too.
		for i := range 3000 {
			if cause := causeOf(t, b, inNamespace(t, fmt.Sprintf("typo%d", i))); cause != verify.Cause(endor.ReasonNotFound) {
				t.Fatalf("cause %q of a namespace that is not known", cause)
			}
			if cause := of(t, b); cause != "" {
				t.Fatalf("cause %q in another namespace, want a verdict", cause)
			}
		}
	})
}

func TestNamespacesThatAreRefusedAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		b := verify.NewBreaker(&fakeEndor{mood: fails(verify.Misconfigured, verify.Cause(endor.ReasonNotFound))}, verify.BreakerConfig{Registerer: reg})
		wantRefusing := func(n int) {
			t.Helper()
			if err := testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
				# HELP upstream_refusing_namespaces Endor namespaces that are not asked for a while because Endor Labs refused them.
				# TYPE upstream_refusing_namespaces gauge
				upstream_refusing_namespaces %d
			`, n)), "upstream_refusing_namespaces"); err != nil {
				t.Error(err)
			}
		}
		for i := range 3000 {
			causeOf(t, b, inNamespace(t, fmt.Sprintf("typo%d", i)))
		}
		wantRefusing(1024)
		time.Sleep(5 * time.Second)
		wantRefusing(0)
	})
}

func TestARefusedExchangeIsOfNoNamespace(t *testing.T) {
	t.Parallel()
	server := endortest.Start(t, endortest.Config{})
	sign(t, server, api, ofAPI)
	inject(endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointAuth, Status: http.StatusForbidden, Times: 1})(t, server)
	b := verify.NewBreaker(verifierFunc(func(ctx context.Context, q question.Question) (verify.Verdict, error) {
		// A new client each time does not remember the refusal itself.
		return verify.NewEndor(newClientOf(t, server), nil).Verify(ctx, q)
	}), verify.BreakerConfig{})
	if cause := of(t, b); cause != verify.Cause(endor.ReasonForbidden) {
		t.Fatalf("cause %q, want forbidden", cause)
	}
	if cause := of(t, b); cause != "" {
		t.Errorf("with another credential: cause %q, want a verdict", cause)
	}
}

// pleads fails and asks to be left alone.
func pleads(reason endor.Reason, status int, d time.Duration) func(context.Context) (verify.Verdict, error) {
	return func(context.Context) (verify.Verdict, error) {
		err := &endor.Error{Op: "verify artifact", Kind: endor.KindUnavailable, Reason: reason, Status: status, RetryAfter: d}
		return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: verify.Cause(reason), Err: err}
	}
}

func TestCallsAreHeldForAsLongAsEndorAsks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		asked, held time.Duration
	}{
		{"30s", 30 * time.Second, 30 * time.Second},
		{"an hour is cut to a minute", time.Hour, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, u := newBreaker(pleads(endor.ReasonRateLimited, 429, tc.asked))
				of(t, b)
				u.becomes(says(verify.Verified))
				for _, namespace := range []string{"acme", "other"} {
					start := time.Now()
					if cause := causeOf(t, b, inNamespace(t, namespace)); cause != verify.Cause(endor.ReasonRateLimited) || time.Since(start) != 0 {
						t.Errorf("cause %q after %v, want what Endor said, at once", cause, time.Since(start))
					}
				}
				time.Sleep(tc.held - 1)
				if of(t, b) == "" {
					t.Error("Endor was asked too early")
				}
				if time.Sleep(1); of(t, b) != "" {
					t.Error("Endor was not asked in time")
				}
			})
		})
	}
}

func TestOfTwoHoldsTheLongerOneCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, u := newBreaker(func(ctx context.Context) (verify.Verdict, error) {
			time.Sleep(time.Millisecond)
			return pleads(endor.ReasonServerError, 503, 30*time.Second)(ctx)
		})
		askAtOnce(t.Context(), t, b, 1)
		u.becomes(func(ctx context.Context) (verify.Verdict, error) {
			time.Sleep(time.Second)
			return pleads(endor.ReasonRateLimited, 429, time.Second)(ctx)
		})
		askAtOnce(t.Context(), t, b, 1)
		time.Sleep(2 * time.Second)
		u.becomes(says(verify.Verified))
		if cause := of(t, b); cause != verify.Cause(endor.ReasonServerError) {
			t.Errorf("cause %q, want the hold of 30s", cause)
		}
	})
}

func TestWhoWaitsForASlotWhenAHoldBeginsIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &fakeEndor{mood: func(ctx context.Context) (verify.Verdict, error) {
			time.Sleep(time.Second)
			return pleads(endor.ReasonRateLimited, 429, 30*time.Second)(ctx)
		}}
		b := verify.NewBreaker(verify.NewLimit(u, 1), verify.BreakerConfig{Failures: 3, OpenFor: time.Hour})
		askAtOnce(t.Context(), t, b, 5)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := u.asked(); got != 1 {
			t.Errorf("%d questions were asked, want one", got)
		}
		// Those that were held did not count, and did not make it longer.
		time.Sleep(30 * time.Second)
		u.becomes(says(verify.Verified))
		if cause := of(t, b); cause != "" {
			t.Errorf("cause %q, want a verdict", cause)
		}
	})
}

func TestMetricsOfTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		u := &fakeEndor{mood: fails(verify.Unavailable, "network")}
		b := verify.NewBreaker(u, verify.BreakerConfig{Registerer: reg})
		want := func(closed, halfOpen, open, toClosed, toHalfOpen, toOpen, hold int) {
			t.Helper()
			if err := testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
				# HELP upstream_breaker_state 1 for the state that the circuit breaker before Endor Labs is in, 0 for the others.
				# TYPE upstream_breaker_state gauge
				upstream_breaker_state{state="closed"} %d
				upstream_breaker_state{state="half_open"} %d
				upstream_breaker_state{state="open"} %d
				# HELP upstream_breaker_transitions_total Changes of the circuit breaker before Endor Labs, by the state it came to.
				# TYPE upstream_breaker_transitions_total counter
				upstream_breaker_transitions_total{to="closed"} %d
				upstream_breaker_transitions_total{to="half_open"} %d
				upstream_breaker_transitions_total{to="open"} %d
				# HELP upstream_hold_seconds How long calls are still held because Endor Labs asked for it with Retry-After; 0 if they are not.
				# TYPE upstream_hold_seconds gauge
				upstream_hold_seconds %d
			`, closed, halfOpen, open, toClosed, toHalfOpen, toOpen, hold)),
				"upstream_breaker_state", "upstream_breaker_transitions_total", "upstream_hold_seconds"); err != nil {
				t.Error(err)
			}
		}
		want(1, 0, 0, 0, 0, 0, 0)
		for range 10 {
			of(t, b)
		}
		want(0, 0, 1, 0, 0, 1, 0)
		time.Sleep(5*time.Second + 1)
		u.becomes(pleads(endor.ReasonServerError, 503, 20*time.Second))
		of(t, b)
		want(0, 0, 1, 0, 1, 2, 20)
		time.Sleep(20 * time.Second)
		u.becomes(says(verify.Verified))
		of(t, b)
		want(1, 0, 0, 1, 2, 2, 0)
	})
}

// newClientOf makes a client that has seen nothing yet.
func newClientOf(t *testing.T, server *endortest.Server) *endor.Client {
	t.Helper()
	client, err := endor.New(endor.Config{
		BaseURL:     server.URL,
		Credentials: endor.Credentials{Key: server.APIKey, Secret: server.APISecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestTheBreakerBeforeTheRealClient(t *testing.T) {
	t.Parallel()
	other := "ghcr.io/acme/api@" + digest(2)
	const retryLater = "3600" // past the deadline, so that nobody waits for a retry
	t.Run("429 with Retry-After holds calls", func(t *testing.T) {
		t.Parallel()
		core, server := newEndor(t)
		inject(endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: 429, RetryAfter: retryLater, Times: 1})(t, server)
		b := verify.NewBreaker(core, verify.BreakerConfig{})
		for range 3 {
			if cause := of(t, b); cause != verify.Cause(endor.ReasonRateLimited) {
				t.Fatalf("cause %q, want rate_limited", cause)
			}
		}
		if got := server.Counters().Requests["operations"]; got != 1 {
			t.Errorf("Endor was asked %d times, want once", got)
		}
	})
	t.Run("500s open it, and it recovers", func(t *testing.T) {
		t.Parallel()
		core, server := newEndor(t)
		b := verify.NewBreaker(core, verify.BreakerConfig{Failures: 2, OpenFor: 200 * time.Millisecond})
		inject(endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Status: 500})(t, server)
		for range 2 {
			// Sooner than the first retry, which so is none.
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Millisecond)
			if _, err := b.Verify(ctx, ask(t, api)); err == nil {
				t.Fatal("HTTP 500 gave a verdict")
			}
			cancel()
		}
		if cause := of(t, b); cause != verify.CauseBreaker {
			t.Fatalf("cause %q after two failures, want the breaker", cause)
		}
		server.ClearFaults()
		for of(t, b) == verify.CauseBreaker {
			time.Sleep(10 * time.Millisecond) // until it lets one through
		}
		if cause := of(t, b); cause != "" {
			t.Errorf("cause %q once Endor answers again, want a verdict", cause)
		}
	})
	t.Run("not signed as HTTP 500 never opens it", func(t *testing.T) {
		t.Parallel()
		core, server := newEndor(t)
		inject(endortest.Fault{Kind: endortest.FaultLegacyUnsigned})(t, server)
		b := verify.NewBreaker(core, verify.BreakerConfig{Failures: 2})
		for range 30 {
			if got, err := b.Verify(t.Context(), ask(t, other)); err != nil || got.Code != verify.NotSigned {
				t.Fatalf("Verify = %+v, %v; want NOT_SIGNED", got, err)
			}
		}
	})
	t.Run("403 in one namespace is nothing to another", func(t *testing.T) {
		t.Parallel()
		core, server := newEndor(t)
		inject(endortest.Fault{Kind: endortest.FaultStatus, Endpoint: endortest.EndpointOperations, Namespace: "typo", Status: 403})(t, server)
		b := verify.NewBreaker(core, verify.BreakerConfig{Failures: 2})
		for range 30 {
			if cause := causeOf(t, b, inNamespace(t, "typo")); cause != verify.Cause(endor.ReasonForbidden) {
				t.Fatalf("cause %q, want forbidden", cause)
			}
			if cause := of(t, b); cause != "" {
				t.Fatalf("cause %q in another namespace, want a verdict", cause)
			}
		}
		if got := server.Counters().Requests["operations"]; got != 31 {
			t.Errorf("Endor was asked %d times, want 30 and one more", got)
		}
	})
}
