// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import "github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"

// Peek tells tests what is kept.
func (c *Cache) Peek(q question.Question) (Verdict, bool) {
	v, ok, _ := c.peek(Identify(q))
	return v, ok
}

// WallClock is the clock that is used where none is given.
var WallClock = wallClock
