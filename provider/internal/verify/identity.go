// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/sha256"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// ID names a resolved question in a few bytes. Different questions print
// different keys, so equal IDs mean equal questions. It says nothing of which
// API is asked: what is shared between providers has to add that.
type ID [sha256.Size]byte

// Identify gives q's ID.
func Identify(q question.Question) ID {
	return sha256.Sum256([]byte(q.Key()))
}
