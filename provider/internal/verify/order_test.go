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

func TestALateAnswerIsNotGivenWhereALaterQuestionIsAnswered(t *testing.T) {
	pair(t, newCommons(), func(t *testing.T, a, b *verify.Desk, _ *commons, e *fakeEndor) {
		e.becomes(func(ctx context.Context) (verify.Verdict, error) {
			v, err := says(verify.Verified)(ctx)
			time.Sleep(time.Second)
			return v, err
		})
		var late verify.Answer
		var waiting sync.WaitGroup
		waiting.Go(func() { late = one(t, a) })
		time.Sleep(100 * time.Millisecond)
		e.becomes(says(verify.Revoked))
		one(t, b)
		if got := one(t, a); got.Code() != verify.Revoked {
			t.Fatalf("%s, want the revocation that the other replica heard", got.Code())
		}
		waiting.Wait()
		if late.Code() != verify.Revoked {
			t.Errorf("%s was given after the replica knew of the revocation", late.Code())
		}
	})
}

func TestARefusalThatIsOverStillOutranksWhatWasAskedBefore(t *testing.T) {
	pair(t, newCommons(), func(t *testing.T, a, _ *verify.Desk, shared *commons, e *fakeEndor) {
		one(t, a)
		e.becomes(says(verify.Revoked))
		time.Sleep(4 * time.Minute)
		one(t, a) // asks again behind the answer
		synctest.Wait()
		shared.becomes("shared replays")
		time.Sleep(20 * time.Second)
		if got := one(t, a); got.Code() != verify.Revoked || got.Cached() {
			t.Errorf("%s, cached %v; want that Endor is asked again, and not that what was asked before the revocation is believed", got.Code(), got.Cached())
		}
	})
}

func TestWhatOneReplicaRenewedTheOthersNeedNotRenew(t *testing.T) {
	pair(t, newCommons(), func(t *testing.T, a, b *verify.Desk, _ *commons, e *fakeEndor) {
		one(t, a)
		one(t, b)
		time.Sleep(4 * time.Minute)
		for _, desk := range []*verify.Desk{a, b} {
			one(t, desk)
			synctest.Wait()
		}
		if n := e.asked(); n != 2 {
			t.Errorf("Endor asked %d times, want once at first and once to renew", n)
		}
		time.Sleep(3 * time.Minute)
		if got := one(t, b); !got.Cached() || e.asked() != 2 {
			t.Errorf("what the other replica renewed is not kept for a life of its own")
		}
	})
}

func TestARefreshAsksWhereTheSharedCacheHasNothingNewer(t *testing.T) {
	pair(t, newCommons(), func(t *testing.T, a, _ *verify.Desk, _ *commons, e *fakeEndor) {
		one(t, a)
		e.becomes(fails(verify.Unavailable, "network"))
		time.Sleep(4 * time.Minute)
		for range 40 {
			one(t, a)
			synctest.Wait()
			time.Sleep(250 * time.Millisecond)
		}
		if n := e.asked(); n != 3 {
			t.Errorf("asked %d times, want once and then every 5s of 10", n)
		}
	})
}
