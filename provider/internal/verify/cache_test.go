// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func newCache(t *testing.T, next verify.Verifier, cfg verify.CacheConfig) *verify.Cache {
	t.Helper()
	c, err := verify.NewCache(next, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// counting answers with code and counts how often it was asked.
func counting(code verify.Code, calls *int) verifierFunc {
	return func(context.Context, question.Question) (verify.Verdict, error) {
		*calls++
		return verify.Verdict{Code: code, AskedAt: time.Now()}, nil
	}
}

func TestAVerdictIsKeptForALifeThatDependsOnIt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		code verify.Code
		life time.Duration
	}{
		{"verified", verify.Verified, 5 * time.Minute},
		{"not signed, so that signing soon helps", verify.NotSigned, 15 * time.Second},
		{"revoked", verify.Revoked, 15 * time.Second},
		{"an answer that nobody knows", verify.UnrecognizedResult, 15 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				c, err := verify.NewCache(counting(tc.code, &calls), verify.CacheConfig{})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				q := ask(t, api)
				for _, step := range []struct {
					wait  time.Duration
					calls int
				}{{0, 1}, {tc.life - 1, 1}, {1, 2}, {tc.life - 1, 2}} {
					time.Sleep(step.wait)
					got, err := c.Verify(t.Context(), q)
					if err != nil || got.Code != tc.code {
						t.Fatalf("Verify = %+v, %v", got, err)
					}
					if calls != step.calls {
						t.Fatalf("after %v: asked %d times, want %d", step.wait, calls, step.calls)
					}
				}
			})
		})
	}
}

func TestAgeCountsFromWhenTheQuestionWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c, err := verify.NewCache(verifierFunc(func(context.Context, question.Question) (verify.Verdict, error) {
			calls++
			v := verified()
			time.Sleep(4 * time.Second) // a slow answer is as old as its question
			return v, nil
		}), verify.CacheConfig{TTL: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		q := ask(t, api)
		for range 2 {
			if _, err := c.Verify(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6 * time.Second)
			if _, ok := c.Peek(q); ok {
				t.Fatal("a verdict was believed 10s after its question")
			}
		}
		if calls != 2 {
			t.Errorf("asked %d times, want 2", calls)
		}
	})
}

func TestWhatIsUndecidedIsNeverKept(t *testing.T) {
	t.Parallel()
	calls := 0
	down := &verify.Undecided{Code: verify.Unavailable, Cause: "network"}
	c := newCache(t, verifierFunc(func(context.Context, question.Question) (verify.Verdict, error) {
		if calls++; calls == 1 {
			return verify.Verdict{}, down
		}
		return verified(), nil
	}), verify.CacheConfig{})
	q := ask(t, api)
	if _, err := c.Verify(t.Context(), q); !errors.Is(err, error(down)) {
		t.Fatalf("error = %v, want the one from behind", err)
	}
	if v, ok := c.Peek(q); ok {
		t.Fatalf("an outage was kept as %+v", v)
	}
	if v, err := c.Verify(t.Context(), q); err != nil || !v.Verified() {
		t.Errorf("Verify = %+v, %v, want the verdict as soon as there is one", v, err)
	}
}

func TestOfTwoVerdictsTheOneAskedForLaterWins(t *testing.T) {
	t.Parallel()
	now := time.Now()
	early := verify.Verdict{Code: verify.Verified, AskedAt: now.Add(-10 * time.Second)}
	late := verify.Verdict{Code: verify.Revoked, AskedAt: now}
	slow := make(chan struct{})
	started := make(chan struct{})
	first := true
	c := newCache(t, verifierFunc(func(context.Context, question.Question) (verify.Verdict, error) {
		if first {
			first = false
			close(started)
			<-slow
			return early, nil
		}
		return late, nil
	}), verify.CacheConfig{})
	q := ask(t, api)
	done := make(chan error)
	go func() {
		_, err := c.Verify(t.Context(), q)
		done <- err
	}()
	<-started
	if _, err := c.Verify(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	close(slow)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if v, ok := c.Peek(q); !ok || v.Code != verify.Revoked {
		t.Errorf("kept %+v, want the revocation, which was asked for later", v)
	}
}

func TestDifferentQuestionsAboutOneImageHaveDifferentVerdicts(t *testing.T) {
	t.Parallel()
	c := newCache(t, verifierFunc(func(_ context.Context, q question.Question) (verify.Verdict, error) {
		v := verified()
		for _, s := range q.Signers.All() {
			if s.SourceRepository != "acme/api" {
				v.Code = verify.WrongSigner
			}
		}
		return v, nil
	}), verify.CacheConfig{})
	right, wrong := ask(t, api, question.Claims{SourceRepository: "acme/api"}), ask(t, api, acmeOnly)
	for range 2 {
		a, errA := c.Verify(t.Context(), right)
		b, errB := c.Verify(t.Context(), wrong)
		if err := errors.Join(errA, errB); err != nil || a.Code != verify.Verified || b.Code != verify.WrongSigner {
			t.Fatalf("verdicts %s and %s, %v", a.Code, b.Code, err)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	calls := 0
	c := newCache(t, counting(verify.Verified, &calls), verify.CacheConfig{Size: 10})
	for i := range 1000 {
		if _, err := c.Verify(t.Context(), ask(t, "a@"+digest(i))); err != nil {
			t.Fatal(err)
		}
	}
	c.CleanUp()
	kept := 0
	for i := range 1000 {
		if _, ok := c.Peek(ask(t, "a@"+digest(i))); ok {
			kept++
		}
	}
	if kept == 0 || kept > 10 {
		t.Errorf("%d verdicts are kept, want 1 to 10", kept)
	}
}

func TestAWrongCacheSizeIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := verify.NewCache(nil, verify.CacheConfig{Size: -1}); err == nil {
		t.Error("a negative size made a cache")
	}
}
