// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import "context"

// InRequest lets tests ask the questions of one request.
func InRequest(ctx context.Context, unknown int) context.Context {
	return withRequest(ctx, &request{unknown: unknown})
}

// InRefresh lets tests renew a verdict.
func InRefresh(ctx context.Context) context.Context {
	return withRequest(ctx, &request{unknown: 1, refresh: true})
}
