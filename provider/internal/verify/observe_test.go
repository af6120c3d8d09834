// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// audience remembers what it was told, a line each.
type audience struct {
	mu    sync.Mutex
	heard []string
}

func (a *audience) observe(_ context.Context, answer *verify.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	what := string(answer.Code()) + " " + string(answer.Source)
	if answer.Undecided != nil {
		what = string(answer.Code()) + " because of " + string(answer.Undecided.Cause)
	}
	if answer.Background {
		what += " in the background"
	}
	a.heard = append(a.heard, what)
}

// next gives what was heard since the last time.
func (a *audience) next() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	heard := a.heard
	a.heard = nil
	return heard
}

// watched is a desk before an Endor Labs, and who hears of its answers.
func watched(t *testing.T, cfg verify.Config, play func(t *testing.T, desk *verify.Desk, e *fakeEndor, heard func(want ...string))) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, a := &fakeEndor{mood: says(verify.Verified)}, &audience{}
		cfg.Resolver, cfg.Observe = resolver, a.observe
		desk, err := verify.New(e, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer desk.Close()
		play(t, desk, e, func(want ...string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, a.next()); diff != "" {
				t.Errorf("heard (-want +got):\n%s", diff)
			}
		})
	})
}

func TestEachAnswerSaysWhereItIsFrom(t *testing.T) {
	shared := newReplicas()
	watched(t, verify.Config{Shared: shared}, func(t *testing.T, desk *verify.Desk, e *fakeEndor, heard func(...string)) {
		one(t, desk)
		heard("VERIFIED upstream")
		one(t, desk)
		heard("VERIFIED memory")
		desk.Answers(t.Context(), []string{"ghcr.io/acme/api:v1"})
		heard("NO_DIGEST key")

		other := ask(t, "ghcr.io/acme/other@"+digest(1))
		shared.Put(verify.Identify(other), verified(), time.Time{})
		desk.Answers(t.Context(), []string{"ghcr.io/acme/other@" + digest(1)})
		heard("VERIFIED redis")

		e.becomes(fails(verify.Unavailable, "network"))
		desk.Answers(t.Context(), []string{"ghcr.io/acme/third@" + digest(1)})
		heard("UNAVAILABLE because of network")
	})
}

func TestAStaleAnswerSaysSo(t *testing.T) {
	watched(t, verify.Config{Cache: verify.CacheConfig{StaleIfError: time.Hour}}, func(t *testing.T, desk *verify.Desk, e *fakeEndor, heard func(...string)) {
		one(t, desk)
		heard("VERIFIED upstream")
		time.Sleep(6 * time.Minute)
		e.becomes(fails(verify.Unavailable, "network"))
		one(t, desk)
		heard("VERIFIED stale")
	})
}

// Without this a verdict that overran its budget would reach Gatekeeper as a hit,
// and no log would ever hold it.
func TestAVerdictThatComesTooLateIsHeardOfOnce(t *testing.T) {
	watched(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor, heard func(...string)) {
		e.becomes(func(ctx context.Context) (verify.Verdict, error) {
			endor.Attempted(ctx)
			time.Sleep(3 * time.Second)
			return says(verify.NotSigned)(ctx)
		})
		one(t, desk)
		heard("UNAVAILABLE because of budget")
		time.Sleep(2 * time.Second)
		heard("NOT_SIGNED upstream in the background")
		one(t, desk)
		heard("NOT_SIGNED memory")
	})
}

func TestWhatARefreshFindsIsHeardOf(t *testing.T) {
	watched(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor, heard func(...string)) {
		one(t, desk)
		heard("VERIFIED upstream")
		time.Sleep(4 * time.Minute)
		e.becomes(says(verify.Revoked))
		one(t, desk)
		heard("VERIFIED memory", "REVOKED upstream in the background")
	})
}

func TestARequestThatSharesACallHearsItItself(t *testing.T) {
	watched(t, verify.Config{}, func(t *testing.T, desk *verify.Desk, e *fakeEndor, heard func(...string)) {
		e.becomes(func(ctx context.Context) (verify.Verdict, error) {
			time.Sleep(time.Second)
			return says(verify.Verified)(ctx)
		})
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { one(t, desk) })
		}
		both.Wait()
		heard("VERIFIED upstream", "VERIFIED upstream")
	})
}

func TestPhasesTellWhatAnAnswerWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		desk := newDesk(t, func(context.Context, question.Question) (verify.Verdict, error) {
			time.Sleep(500 * time.Millisecond)
			return verified(), nil
		}, verify.Config{Resolver: resolver, Concurrency: 1})
		defer desk.Close()
		answers := desk.Answers(t.Context(), []string{"a@" + digest(1), "a@" + digest(2), "a@" + digest(3), "a:v1"})
		var got []string
		for _, a := range answers[:3] {
			got = append(got, fmt.Sprintf("%v of %v", a.Phases.Queue, a.Phases.Total))
		}
		slices.Sort(got)
		if want := "0s of 500ms, 1s of 1.5s, 500ms of 1s"; strings.Join(got, ", ") != want {
			t.Errorf("queued %q, want %q", got, want)
		}
		if refused := answers[3].Phases; refused.Queue != 0 || refused.Total != 1500*time.Millisecond {
			t.Errorf("what was refused at once has %+v, want the request's time alone", refused)
		}
	})
}
