// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// fakeEndor is an Endor Labs whose mood a test changes.
type fakeEndor struct {
	mu    sync.Mutex
	calls int
	mood  func(ctx context.Context) (verify.Verdict, error)
}

func (f *fakeEndor) Verify(ctx context.Context, _ question.Question) (verify.Verdict, error) {
	f.mu.Lock()
	f.calls++
	mood := f.mood
	f.mu.Unlock()
	return mood(ctx)
}

func (f *fakeEndor) becomes(mood func(context.Context) (verify.Verdict, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mood = mood
}

func (f *fakeEndor) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func says(code verify.Code) func(context.Context) (verify.Verdict, error) {
	return func(context.Context) (verify.Verdict, error) {
		return verify.Verdict{Code: code, AskedAt: time.Now()}, nil
	}
}

func fails(code verify.Code, cause verify.Cause) func(context.Context) (verify.Verdict, error) {
	return func(context.Context) (verify.Verdict, error) {
		return verify.Verdict{}, &verify.Undecided{Code: code, Cause: cause}
	}
}

// hangs was reached and does not answer.
func hangs(ctx context.Context) (verify.Verdict, error) {
	endor.Attempted(ctx)
	<-ctx.Done()
	return verify.Verdict{}, ctx.Err()
}

// retries fails again and again until the call's time is over.
func retries(ctx context.Context) (verify.Verdict, error) {
	endor.Attempted(ctx)
	endor.Failed(ctx, &endor.Error{Op: "verify artifact", Kind: endor.KindUnavailable, Reason: endor.ReasonNetwork, Detail: "connection refused"})
	return hangs(ctx)
}

// queues waits for a place of ours and never reaches Endor Labs.
func queues(ctx context.Context) (verify.Verdict, error) {
	<-ctx.Done()
	return verify.Verdict{}, ctx.Err()
}

// scene is a desk before a fakeEndor that says VERIFIED, in a bubble.
func scene(t *testing.T, cfg verify.Config, play func(t *testing.T, desk *verify.Desk, api *fakeEndor)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := &fakeEndor{mood: says(verify.Verified)}
		cfg.Resolver = resolver
		desk, err := verify.New(api, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer desk.Close()
		play(t, desk, api)
	})
}

func one(t *testing.T, desk *verify.Desk) verify.Answer {
	t.Helper()
	return desk.Answers(t.Context(), []string{api})[0]
}

var stale30 = verify.CacheConfig{StaleIfError: 30 * time.Minute}

func TestWhileEndorCannotBeAskedAVerifiedIsGivenPastItsLifeAndMarked(t *testing.T) {
	for _, cause := range []verify.Cause{"network", "timeout", "rate_limited", "server_error", "bad_response"} {
		t.Run(string(cause), func(t *testing.T) {
			scene(t, verify.Config{Cache: stale30}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
				fresh := one(t, desk)
				if fresh.Verdict.Stale {
					t.Fatal("a fresh verdict is marked stale")
				}
				e.becomes(fails(verify.Unavailable, cause))
				time.Sleep(35*time.Minute - time.Nanosecond)
				if got := one(t, desk); !got.Verdict.Verified() || !got.Verdict.Stale || got.Verdict.AskedAt != fresh.Verdict.AskedAt {
					t.Errorf("just before the end: %+v, %v; want the old verdict, marked", got.Verdict, got.Undecided)
				}
				time.Sleep(time.Nanosecond)
				if got := one(t, desk); got.Code() != verify.Unavailable {
					t.Errorf("35 minutes after it was asked: %s, want UNAVAILABLE: serving it stale must not restart its age", got.Code())
				}
			})
		})
	}
}

func TestAHangIsAnOutageToo(t *testing.T) {
	scene(t, verify.Config{Cache: stale30}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		one(t, desk)
		e.becomes(hangs)
		time.Sleep(6 * time.Minute)
		start := time.Now()
		if got := one(t, desk); !got.Verdict.Stale || time.Since(start) != verify.DefaultBudget {
			t.Errorf("%s, stale %v, after %v; want the old verdict at the end of the budget", got.Code(), got.Verdict.Stale, time.Since(start))
		}
	})
}

func TestWhoWaitedInVainIsToldWhatWentWrongSoFar(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		e.becomes(retries)
		if got := one(t, desk); got.Undecided == nil || got.Undecided.Cause != "network" || !strings.Contains(got.Undecided.Error(), "connection refused") {
			t.Errorf("%v, want the failure that is being retried", got.Undecided)
		}
		e.becomes(hangs)
		if got := desk.Answers(t.Context(), []string{"a@" + digest(1)})[0]; got.Undecided == nil || got.Undecided.Cause != verify.CauseBudget {
			t.Errorf("%v, want that there was no answer in time", got.Undecided)
		}
	})
}

func TestNothingElseIsEverGivenPastItsLife(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first verify.Code
		then  func(context.Context) (verify.Verdict, error)
		want  verify.Code
	}{
		{"Endor refuses the credentials", verify.Verified, fails(verify.Misconfigured, "credentials"), verify.Misconfigured},
		{"Endor refuses the namespace", verify.Verified, fails(verify.Misconfigured, "forbidden"), verify.Misconfigured},
		{"the queue is full, which whoever sends many questions can bring about", verify.Verified, fails(verify.Unavailable, verify.CauseQueue), verify.Unavailable},
		{"the rate of calls is used up, likewise", verify.Verified, fails(verify.Unavailable, "busy"), verify.Unavailable},
		{"the question waits in a queue of ours until the budget ends", verify.Verified, queues, verify.Unavailable},
		{"it was revoked", verify.Verified, says(verify.Revoked), verify.Revoked},
		{"Endor answers what nobody knows", verify.Verified, says(verify.UnrecognizedResult), verify.UnrecognizedResult},
		{"it was refused before", verify.NotSigned, fails(verify.Unavailable, "network"), verify.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scene(t, verify.Config{Cache: stale30}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
				e.becomes(says(tc.first))
				one(t, desk)
				e.becomes(tc.then)
				time.Sleep(6 * time.Minute)
				if got := one(t, desk); got.Code() != tc.want || got.Verdict.Stale {
					t.Errorf("%s, stale %v; want %s", got.Code(), got.Verdict.Stale, tc.want)
				}
			})
		})
	}
}

func TestStaleCanBeTurnedOff(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		one(t, desk)
		e.becomes(fails(verify.Unavailable, "network"))
		time.Sleep(5 * time.Minute)
		if got := one(t, desk); got.Code() != verify.Unavailable {
			t.Errorf("%s, want UNAVAILABLE", got.Code())
		}
	})
}

func TestAfterARevocationNothingIsLeftToBeStale(t *testing.T) {
	scene(t, verify.Config{Cache: stale30}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		one(t, desk)
		time.Sleep(6 * time.Minute)
		e.becomes(says(verify.Revoked))
		one(t, desk)
		e.becomes(fails(verify.Unavailable, "network"))
		time.Sleep(time.Minute)
		if got := one(t, desk); got.Code() != verify.Unavailable {
			t.Errorf("%s, want UNAVAILABLE", got.Code())
		}
	})
}

func TestAHitInTheLastQuarterAsksAgainBehindTheAnswer(t *testing.T) {
	reg := prometheus.NewRegistry()
	scene(t, verify.Config{Registerer: reg}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		one(t, desk)
		time.Sleep(3*time.Minute + 44*time.Second)
		one(t, desk)
		synctest.Wait()
		if e.asked() != 1 {
			t.Fatalf("asked %d times before the last quarter, want once", e.asked())
		}
		e.becomes(func(ctx context.Context) (verify.Verdict, error) {
			time.Sleep(time.Second)
			return says(verify.Verified)(ctx)
		})
		time.Sleep(time.Second)
		start := time.Now()
		for range 10 {
			if got := one(t, desk); !got.Verdict.Verified() || !got.Cached() {
				t.Fatalf("%+v, want the kept verdict", got)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("a hit waited %v for the refresh", time.Since(start))
		}
		time.Sleep(2 * time.Second)
		if e.asked() != 2 {
			t.Errorf("asked %d times, want one refresh for ten hits", e.asked())
		}
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
			# HELP cache_refreshes_total Verdicts that were asked for again in the last quarter of their life.
			# TYPE cache_refreshes_total counter
			cache_refreshes_total 1
		`), "cache_refreshes_total"); err != nil {
			t.Error(err)
		}
		time.Sleep(4 * time.Minute)
		if got := one(t, desk); !got.Cached() {
			t.Error("the renewed verdict is not kept for a life of its own")
		}
	})
}

func TestARefreshReplacesALiveVerifiedOnlyByAKnownVerdict(t *testing.T) {
	for _, tc := range []struct {
		name string
		then func(context.Context) (verify.Verdict, error)
		want verify.Code
	}{
		{"a revocation takes effect at once", says(verify.Revoked), verify.Revoked},
		{"a broken gateway's answer does not", says(verify.UnrecognizedResult), verify.Verified},
		{"an outage does not", fails(verify.Unavailable, "network"), verify.Verified},
		{"refused credentials do not", fails(verify.Misconfigured, "credentials"), verify.Verified},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
				one(t, desk)
				e.becomes(tc.then)
				time.Sleep(4 * time.Minute)
				one(t, desk)
				synctest.Wait()
				if got := one(t, desk); got.Code() != tc.want || !got.Cached() {
					t.Errorf("%s, cached %v; want %s, kept", got.Code(), got.Cached(), tc.want)
				}
			})
		})
	}
}

func TestAFailedRefreshIsNotRepeatedWithEachHit(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		one(t, desk)
		e.becomes(fails(verify.Unavailable, "network"))
		time.Sleep(4 * time.Minute)
		for range 100 {
			one(t, desk)
			time.Sleep(100 * time.Millisecond)
		}
		if n := e.asked(); n != 3 {
			t.Errorf("asked %d times in 10s of hits, want once and then every 5s", n)
		}
	})
}

func TestAWrongSignerLivesAsLongAsTheVerifiedOfTheSameImage(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		right := question.Question{Image: mustParse(t, api), Signers: mustSigners(t, question.Claims{SourceRepository: "acme/api"})}.Key()
		wrong := question.Question{Image: mustParse(t, api), Signers: mustSigners(t, question.Claims{SourceRepository: "acme/web"})}.Key()
		elsewhere := question.Question{Image: mustParse(t, "ghcr.io/acme/web@"+digest(1)), Signers: mustSigners(t, question.Claims{SourceRepository: "acme/db"})}.Key()
		desk.Answers(t.Context(), []string{right})
		e.becomes(says(verify.WrongSigner))
		desk.Answers(t.Context(), []string{wrong, elsewhere})
		time.Sleep(time.Minute)
		got := desk.Answers(t.Context(), []string{wrong, elsewhere})
		if !got[0].Cached() || got[1].Cached() {
			t.Errorf("after a minute: kept %v for the image that somebody signed, %v for the other; want true and false", got[0].Cached(), got[1].Cached())
		}
	})
}

func TestWhileDegradedRequestsWaitOnlyShortly(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		timed := func(keys ...string) (time.Duration, []verify.Answer) {
			start := time.Now()
			answers := desk.Answers(t.Context(), keys)
			return time.Since(start), answers
		}
		e.becomes(hangs)
		if took, _ := timed("a@" + digest(1)); took != verify.DefaultBudget {
			t.Fatalf("the first request waited %v, want the budget", took)
		}
		if took, _ := timed("a@" + digest(2)); took != verify.DefaultDegradedWait {
			t.Errorf("the next request waited %v, want the degraded wait", took)
		}
		if took, got := timed("a@" + digest(1)); took != 0 || got[0].Code() != verify.Unavailable {
			t.Errorf("a question under way for longer than the budget: %s after %v, want UNAVAILABLE at once", got[0].Code(), took)
		}
		// An answer of ours does not end it, one of Endor does.
		if took, _ := timed("no-digest", "a@"+digest(3)); took != verify.DefaultDegradedWait {
			t.Errorf("a verdict that Endor was not asked for ended it: waited %v", took)
		}
		e.becomes(says(verify.NotSigned))
		if took, got := timed("a@" + digest(4)); took != 0 || got[0].Code() != verify.NotSigned {
			t.Fatalf("%s after %v", got[0].Code(), took)
		}
		e.becomes(hangs)
		if took, _ := timed("a@" + digest(5)); took != verify.DefaultBudget {
			t.Errorf("after Endor answered a request waited %v, want the budget", took)
		}
	})
}

func TestACallerThatHangsUpIsNoSignOfAnOutage(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		e.becomes(hangs)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		desk.Answers(ctx, []string{"a@" + digest(1)})
		start := time.Now()
		desk.Answers(t.Context(), []string{"a@" + digest(2)})
		if took := time.Since(start); took != verify.DefaultBudget {
			t.Errorf("the next request waited %v, want the budget", took)
		}
	})
}

func TestAThousandQuestionsWaitAndNoMore(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		e.becomes(hangs)
		var keys []string
		for i := range 250 {
			keys = append(keys, fmt.Sprintf("a@%s", digest(i)))
		}
		var wg sync.WaitGroup
		for range 4 { // all wait for the same calls
			wg.Go(func() { desk.Answers(t.Context(), keys) })
		}
		synctest.Wait()
		start := time.Now()
		if got := desk.Answers(t.Context(), []string{"b@" + digest(1)})[0]; got.Undecided == nil || got.Undecided.Cause != verify.CauseQueue || time.Since(start) != 0 {
			t.Errorf("%v after %v, want undecided at once because too many wait", got.Undecided, time.Since(start))
		}
		wg.Wait()
	})
}

// Whoever can create Pods could otherwise have others' images undecided, which a
// constraint may let pass.
func TestManyQuestionsOfAFewLeaveOthersTheirPlace(t *testing.T) {
	scene(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		e.becomes(func(ctx context.Context) (verify.Verdict, error) {
			endor.Attempted(ctx)
			v := verify.Verdict{Code: verify.Verified, AskedAt: time.Now()}
			time.Sleep(320 * time.Millisecond)
			return v, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		var floods sync.WaitGroup
		for flood := range 4 {
			floods.Go(func() {
				for round := 0; ctx.Err() == nil; round++ {
					var keys []string
					for i := range 256 {
						keys = append(keys, fmt.Sprintf("flood-%d-%d@%s", flood, round, digest(i)))
					}
					desk.Answers(ctx, keys)
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		time.Sleep(4 * time.Second) // all of its lines are full
		undecided := 0
		for i := range 60 {
			time.Sleep(487 * time.Millisecond)
			if got := desk.Answers(t.Context(), []string{"other@" + digest(i)})[0]; got.Undecided != nil {
				undecided++
			}
		}
		stop()
		floods.Wait()
		if undecided > 3 {
			t.Errorf("%d of 60 requests with one image each were undecided beside four with 256", undecided)
		}
	})
}

func TestAVerdictIsNotGivenThatIsOverWhenItComes(t *testing.T) {
	scene(t, verify.Config{Budget: 20 * time.Second, Cache: verify.CacheConfig{TTL: 5 * time.Second}}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		e.becomes(func(context.Context) (verify.Verdict, error) {
			v := verify.Verdict{Code: verify.Verified, AskedAt: time.Now()}
			time.Sleep(14 * time.Second)
			return v, nil
		})
		if got := one(t, desk); got.Code() != verify.Unavailable {
			t.Errorf("%s of age %v, want UNAVAILABLE: its life is 5s", got.Code(), time.Since(got.Verdict.AskedAt))
		}
	})
}

func TestVerdictsAgeWhileTheMachineSleeps(t *testing.T) {
	t.Parallel()
	if now := verify.WallClock(); now != now.Round(0) {
		t.Errorf("%v carries the reading of a clock that stands still while the machine sleeps", now)
	}
}

func TestInAHangWhatWaitsForASlotIsGivenStaleOnceTheBreakerIsOpen(t *testing.T) {
	scene(t, verify.Config{Cache: stale30}, func(t *testing.T, desk *verify.Desk, e *fakeEndor) {
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprintf("a@%s", digest(i)))
		}
		desk.Answers(t.Context(), keys)
		time.Sleep(6 * time.Minute)
		e.becomes(hangs)
		desk.Answers(t.Context(), keys) // overruns its budget
		for range 5 {
			time.Sleep(2 * time.Second)
			stale := 0
			for _, got := range desk.Answers(t.Context(), keys) {
				if got.Verdict.Verified() && got.Verdict.Stale {
					stale++
				}
			}
			if stale < 99 { // one is let through to see whether Endor Labs is back
				t.Errorf("%d of 100 are given stale", stale)
			}
		}
	})
}
