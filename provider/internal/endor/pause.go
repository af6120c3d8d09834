// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import "context"

type pauseKey struct{}

// WithPause gives a context whose calls tell f when they begin to wait for
// [Config.Rate]. The wait ends with the next attempt, see [WithAttempt]: who
// measures how long the API takes leaves out what is between the two.
func WithPause(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, pauseKey{}, f)
}

// Paused tells the f of [WithPause] that a wait begins.
func Paused(ctx context.Context) {
	if f, ok := ctx.Value(pauseKey{}).(func()); ok {
		f()
	}
}
