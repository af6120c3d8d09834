// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAWatchTellsOnlyChangesUntilItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("the API server is away")
		rounds := []struct {
			report *Report
			err    error
		}{
			{report: of(monday, true, "a", "VERIFIED")},
			{report: of(monday, true, "a", "VERIFIED")},
			{err: broken},
			{report: of(monday, true, "a", "UNAVAILABLE")},
			{report: of(monday, true, "a", "REVOKED")},
			{report: of(monday, true, "a", "REVOKED", "b", "VERIFIED")},
		}
		ctx, interrupt := context.WithCancel(t.Context())
		start := time.Now()
		var got []string
		say := func(format string, args ...any) {
			got = append(got, fmt.Sprintf("%s "+format, append([]any{time.Since(start)}, args...)...))
		}
		err := Watch(ctx, 5*time.Minute, func(context.Context) (*Report, error) {
			if len(rounds) == 0 {
				interrupt()
				return of(monday, false), nil // what an interruption leaves
			}
			next := rounds[0]
			rounds = rounds[1:]
			return next.report, next.err
		}, func(r *Report) { say("begins with %d", len(r.Images)) }, func(r *Report) {
			say("revoked %v new %v gone %v", r.Changes.NewlyRevoked, r.Changes.New, r.Changes.Gone)
		}, func(err error) { say("%v", err) })
		want := []string{
			"0s begins with 1", "10m0s the API server is away", "20m0s revoked [{a VERIFIED REVOKED}] new [] gone []",
			"25m0s revoked [] new [{b  VERIFIED}] gone []",
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestAWatchThatCannotBeginIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("no cluster")
	err := Watch(t.Context(), time.Minute, func(context.Context) (*Report, error) { return nil, broken }, nil, nil, nil)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
