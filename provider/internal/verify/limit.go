// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"

	"golang.org/x/sync/semaphore"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// Limit bounds how many questions are with Endor Labs at the same time. A
// question holds its place while it waits to be retried.
type Limit struct {
	next  Verifier
	slots *semaphore.Weighted
}

var _ Verifier = (*Limit)(nil)

// NewLimit makes a Limit of n questions.
func NewLimit(next Verifier, n int) *Limit {
	return &Limit{next: next, slots: semaphore.NewWeighted(int64(n))}
}

// Verify waits for a place, first come, first served.
func (l *Limit) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	if err := l.slots.Acquire(ctx, 1); err != nil {
		return Verdict{}, &Undecided{Code: Unavailable, Cause: CauseBudget, Err: err}
	}
	defer l.slots.Release(1)
	return l.next.Verify(ctx, q)
}
