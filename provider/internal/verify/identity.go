// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/sha256"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// identity names a resolved question in a few bytes. Different questions print
// different keys, so equal identities mean equal questions.
type identity [sha256.Size]byte

func identify(q question.Question) identity {
	return sha256.Sum256([]byte(q.Key()))
}
