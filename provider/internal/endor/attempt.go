// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import "context"

type attemptKey struct{}

// WithAttempt gives a context whose calls tell f of each attempt to reach the
// API, after every wait of ours. A caller that gives up can so tell an API that
// does not answer from one that was never asked.
func WithAttempt(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, attemptKey{}, f)
}

// Attempted tells the f of [WithAttempt] that the API is about to be reached.
func Attempted(ctx context.Context) {
	if f, ok := ctx.Value(attemptKey{}).(func()); ok {
		f()
	}
}
