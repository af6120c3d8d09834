// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import "context"

// What a call tells while it goes on travels in its context, so that a caller
// that gives up before can tell an API that fails from one that does not
// answer, and that from one that was never asked.
type (
	attemptKey struct{}
	failureKey struct{}
)

// WithAttempt gives a context whose calls tell f of each attempt to reach the
// API, after every wait of ours.
func WithAttempt(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, attemptKey{}, f)
}

// Attempted tells the f of [WithAttempt] that the API is about to be reached.
func Attempted(ctx context.Context) {
	if f, ok := ctx.Value(attemptKey{}).(func()); ok {
		f()
	}
}

// WithFailure gives a context whose calls tell f of each attempt that failed
// and will be repeated.
func WithFailure(ctx context.Context, f func(*Error)) context.Context {
	return context.WithValue(ctx, failureKey{}, f)
}

// Failed tells the f of [WithFailure] of an attempt that failed.
func Failed(ctx context.Context, err *Error) {
	if f, ok := ctx.Value(failureKey{}).(func(*Error)); ok {
		f(err)
	}
}
