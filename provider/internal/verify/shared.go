// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"time"
)

// Shared is a cache that several providers share. Losing it costs calls of
// Endor Labs and nothing else.
type Shared interface {
	// Get gives the verdicts that are kept and may still be believed, each with
	// the time at which it was asked for. It returns soon whatever happens, and
	// what it does not know, or cannot tell to be genuine, is left out.
	Get(ctx context.Context, ids []ID) map[ID]Verdict

	// Put keeps a verdict until expires, unless one is kept that was asked for
	// later. It returns at once; whether it succeeds is not told.
	Put(id ID, v Verdict, expires time.Time)
}
