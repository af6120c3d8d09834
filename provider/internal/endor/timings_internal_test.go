// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

func TestTimingsTellWhatACallWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// One attempt at once, and the next a second later.
		c, _ := newScripted(t, Config{Rate: rate.NewLimiter(1, 1)}, thenSuccess(1, func(n int, req *http.Request) (*http.Response, error) {
			time.Sleep(3 * time.Second)
			return failing(http.StatusServiceUnavailable)(n, req)
		}))
		exchange := c.tokens.exchange
		c.tokens.exchange = func(ctx context.Context, key apiKey) (token, error) {
			time.Sleep(2 * time.Second)
			return exchange(ctx, key)
		}
		var timings Timings
		start := time.Now()
		if _, err := verifyScripted(WithTimings(t.Context(), &timings), c); err != nil {
			t.Fatal(err)
		}
		// The attempt for the token takes the first place; that for the question waits a second.
		if timings.Token() != 2*time.Second || timings.Rate() != time.Second || timings.Upstream() != 3*time.Second {
			t.Errorf("token %v, rate %v, upstream %v; want 2s, 1s and 3s", timings.Token(), timings.Rate(), timings.Upstream())
		}
		if took, pause := time.Since(start), firstRetry; took != 6*time.Second+pause {
			t.Errorf("the call took %v, want 6s and a pause of %v", took, pause)
		}
	})
}
