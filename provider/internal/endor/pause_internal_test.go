// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

func TestACallTellsOfItsWaitsAndAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newScripted(t, Config{Rate: rate.NewLimiter(1, 1)}, thenSuccess(1, failing(503)))
		var told []string
		start := time.Now()
		tell := func(what string) func() {
			return func() {
				told = append(told, fmt.Sprint(what, " at ", time.Since(start).Round(100*time.Millisecond)))
			}
		}
		ctx := WithPause(WithAttempt(t.Context(), tell("attempt")), tell("pause"))
		if _, err := verifyScripted(ctx, c); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"pause at 0s", "attempt at 0s", // the exchange
			"pause at 0s", "attempt at 1s",
			"pause at 1.1s", "attempt at 2s", // the retry
		}
		if !reflect.DeepEqual(told, want) {
			t.Errorf("told %q\nwant %q", told, want)
		}
	})
}

func TestAnErrorSaysForHowLongTheAPIWantsToBeLeftAlone(t *testing.T) {
	t.Parallel()
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }
	for _, tc := range []struct {
		name   string
		status int
		header func() string
		want   time.Duration
	}{
		{"429 in seconds", 429, func() string { return "3600" }, time.Hour},
		{"503 as a date", 503, func() string { return date(time.Hour) }, time.Hour},
		{"a date that is over", 503, func() string { return date(-time.Hour) }, 0},
		{"not at all", 429, func() string { return "" }, 0},
		{"what is neither", 429, func() string { return "soon" }, 0},
		{"less than nothing", 429, func() string { return "-5" }, 0},
		{"beside a status that is not for waiting", 403, func() string { return "3600" }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := newScripted(t, Config{}, failing(tc.status, "Retry-After", tc.header()))
				_, err := verifyScripted(t.Context(), c)
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Status != tc.status || e.RetryAfter != tc.want {
					t.Errorf("error = %+v, want HTTP %d with RetryAfter %v", e, tc.status, tc.want)
				}
			})
		})
	}
}
