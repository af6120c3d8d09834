// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestFiftyCallersOfOneQuestionShareOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := verify.NewCoalesce(verifierFunc(func(context.Context, question.Question) (verify.Verdict, error) {
			calls++
			time.Sleep(time.Second)
			return verified(), nil
		}), verify.CoalesceConfig{Timeout: time.Minute})
		defer c.Close()
		q := ask(t, api)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if v, err := c.Verify(t.Context(), q); err != nil || !v.Verified() {
					t.Errorf("Verify = %+v, %v", v, err)
				}
			})
		}
		wg.Wait()
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

func TestTheFirstCallerLeavesAndTheCallGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := verify.NewCoalesce(verifierFunc(func(ctx context.Context, _ question.Question) (verify.Verdict, error) {
			calls++
			select {
			case <-time.After(10 * time.Second):
				return verified(), nil
			case <-ctx.Done():
				return verify.Verdict{}, ctx.Err()
			}
		}), verify.CoalesceConfig{})
		defer c.Close()
		q := ask(t, api)

		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Verify(hurried, q)
		u, ok := errors.AsType[*verify.Undecided](err)
		if !ok || u.Code != verify.Unavailable || u.Cause != verify.CauseQueue {
			t.Fatalf("error = %v, want UNAVAILABLE, and that Endor was not reached", err)
		}
		start := time.Now()
		if v, err := c.Verify(t.Context(), q); err != nil || !v.Verified() {
			t.Fatalf("Verify = %+v, %v, want the verdict of the call that the first caller left", v, err)
		}
		if waited := time.Since(start); calls != 1 || waited != 9*time.Second {
			t.Errorf("%d calls, the second caller waited %v; want 1 and 9s", calls, waited)
		}
	})
}

func TestACallTakesAtMostItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := verify.NewCoalesce(verifierFunc(func(ctx context.Context, _ question.Question) (verify.Verdict, error) {
			<-ctx.Done()
			return verify.Verdict{}, ctx.Err()
		}), verify.CoalesceConfig{})
		defer c.Close()
		start := time.Now()
		_, err := c.Verify(t.Context(), ask(t, api))
		if u, ok := errors.AsType[*verify.Undecided](err); !ok || u.Code != verify.Unavailable {
			t.Errorf("error = %v, want UNAVAILABLE", err)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("took %v, want 15s", took)
		}
	})
}

func TestAPanicIsUndecidedForItsOwnQuestionOnly(t *testing.T) {
	t.Parallel()
	c := verify.NewCoalesce(verifierFunc(func(_ context.Context, q question.Question) (verify.Verdict, error) {
		if strings.HasSuffix(q.Image.Name(), "evil") {
			panic("unexpected")
		}
		return verified(), nil
	}), verify.CoalesceConfig{Timeout: time.Minute})
	defer c.Close()
	_, err := c.Verify(t.Context(), ask(t, "evil@"+digest(1)))
	if u, ok := errors.AsType[*verify.Undecided](err); !ok || u.Cause != verify.CausePanic || u.Code != verify.Unavailable {
		t.Errorf("error = %v, want UNAVAILABLE because of a panic", err)
	}
	if v, err := c.Verify(t.Context(), ask(t, api)); err != nil || !v.Verified() {
		t.Errorf("Verify = %+v, %v of another question", v, err)
	}
}

func TestCloseEndsCallsAndWaitsForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := false
		c := verify.NewCoalesce(verifierFunc(func(ctx context.Context, _ question.Question) (verify.Verdict, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return verify.Verdict{}, ctx.Err()
		}), verify.CoalesceConfig{Timeout: time.Minute})
		left, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Verify(left, ask(t, api)); err == nil {
			t.Fatal("a call that hangs gave a verdict")
		}
		c.Close()
		if !ended {
			t.Error("Close returned before the call ended")
		}
		if _, err := c.Verify(t.Context(), ask(t, api)); err == nil {
			t.Error("a question after Close was answered")
		}
	})
}

func TestCallsThatNobodyWaitsForAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := verify.NewCoalesce(verifierFunc(hangsFor), verify.CoalesceConfig{Timeout: 10 * time.Second, MaxCalls: 3})
		defer c.Close()
		left, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		cause := func(ctx context.Context, n int) verify.Cause {
			_, err := c.Verify(ctx, ask(t, "a@"+digest(n)))
			u, _ := errors.AsType[*verify.Undecided](err)
			if u == nil {
				t.Fatalf("question %d: %v", n, err)
			}
			return u.Cause
		}
		for n := range 3 {
			cause(left, n)
		}
		if got := cause(t.Context(), 3); got != verify.CauseQueue {
			t.Errorf("a fourth call while three go on: %q, want that there are too many", got)
		}
		time.Sleep(10 * time.Second)
		if got := cause(t.Context(), 4); got == verify.CauseQueue {
			t.Error("after they ended there is still no room")
		}
	})
}

// hangsFor is an Endor Labs that answers nobody before their time is over.
func hangsFor(ctx context.Context, _ question.Question) (verify.Verdict, error) { return hangs(ctx) }
