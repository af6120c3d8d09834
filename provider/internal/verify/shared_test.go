// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// replicas is what several desks share.
type replicas struct {
	mu   sync.Mutex
	kept map[verify.ID]verify.Verdict
	gets int
	down bool
}

func (r *replicas) Get(_ context.Context, ids []verify.ID) map[verify.ID]verify.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gets++
	found := map[verify.ID]verify.Verdict{}
	for _, id := range ids {
		if v, ok := r.kept[id]; ok && !r.down {
			found[id] = v
		}
	}
	return found
}

func (r *replicas) Put(id verify.ID, v verify.Verdict, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.down {
		r.kept[id] = v
	}
}

func newReplicas() *replicas { return &replicas{kept: map[verify.ID]verify.Verdict{}} }

// pair is two desks with one shared cache, before one Endor Labs that says
// VERIFIED.
func pair[S verify.Shared](t *testing.T, shared S, play func(t *testing.T, a, b *verify.Desk, shared S, e *fakeEndor)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEndor{mood: says(verify.Verified)}
		var desks [2]*verify.Desk
		for i := range desks {
			desk, err := verify.New(e, verify.Config{Resolver: resolver, Shared: shared})
			if err != nil {
				t.Fatal(err)
			}
			defer desk.Close()
			desks[i] = desk
		}
		play(t, desks[0], desks[1], shared, e)
	})
}

func TestWhatOneReplicaHeardTheOthersNeedNotAsk(t *testing.T) {
	pair(t, newReplicas(), func(t *testing.T, a, b *verify.Desk, shared *replicas, e *fakeEndor) {
		one(t, a)
		if got := one(t, b); !got.Verdict.Verified() || !got.Cached() || e.asked() != 1 {
			t.Errorf("%s, cached %v, Endor asked %d times; want the shared verdict", got.Code(), got.Cached(), e.asked())
		}
		gets := shared.gets
		if one(t, b); shared.gets != gets {
			t.Error("what is in memory was looked up in the shared cache again")
		}
	})
}

func TestARequestLooksOnceIntoTheSharedCache(t *testing.T) {
	pair(t, newReplicas(), func(t *testing.T, a, _ *verify.Desk, shared *replicas, _ *fakeEndor) {
		a.Answers(t.Context(), []string{"a@" + digest(1), "a@" + digest(2), "a@" + digest(3), "no-digest"})
		if shared.gets != 1 {
			t.Errorf("%d look-ups for one request, want 1", shared.gets)
		}
	})
}

func TestTheAgeOfASharedVerdictGoesOn(t *testing.T) {
	pair(t, newReplicas(), func(t *testing.T, a, b *verify.Desk, _ *replicas, e *fakeEndor) {
		one(t, a)
		time.Sleep(3 * time.Minute)
		one(t, b)
		time.Sleep(2 * time.Minute)
		if got := one(t, b); got.Cached() || e.asked() != 2 {
			t.Errorf("five minutes after it was asked a verdict is kept (%v) because it was copied at three", got.Cached())
		}
	})
}

func TestTheLossOfTheSharedCacheCostsOnlyCalls(t *testing.T) {
	pair(t, newReplicas(), func(t *testing.T, a, b *verify.Desk, shared *replicas, e *fakeEndor) {
		shared.down = true
		if x, y := one(t, a), one(t, b); !x.Verdict.Verified() || !y.Verdict.Verified() || e.asked() != 2 {
			t.Errorf("%s and %s, Endor asked %d times; want VERIFIED twice and two calls", x.Code(), y.Code(), e.asked())
		}
	})
}

func TestAVerdictFromTheFutureIsNotBelieved(t *testing.T) {
	pair(t, newReplicas(), func(t *testing.T, a, b *verify.Desk, shared *replicas, _ *fakeEndor) {
		one(t, a)
		for id, v := range shared.kept {
			v.AskedAt = v.AskedAt.Add(5*time.Second + time.Nanosecond)
			shared.kept[id] = v
		}
		if got := one(t, b); got.Cached() {
			t.Errorf("a verdict asked for more than five seconds from now was taken from the shared cache")
		}
	})
}
