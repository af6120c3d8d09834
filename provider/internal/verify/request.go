// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import "context"

// request is what the questions of one request have in common. It travels in
// their context, also into calls that outlive the request: a shared call is
// charged to the request that started it.
type request struct {
	// unknown is how many of its questions no cache could answer.
	unknown int

	// refresh says that nobody waits: a verdict that is still good is renewed.
	refresh bool
}

type requestKey struct{}

// withRequest gives a context for the questions of one request.
func withRequest(ctx context.Context, r *request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf gives the request that a question belongs to; one of its own if it
// was asked alone.
func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{unknown: 1}
}
