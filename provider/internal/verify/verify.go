// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package verify decides whether Endor Labs vouches for an image.
//
// A [Verdict] is Endor's decision, for or against. An error is always an
// [*Undecided] and means that there is none: nobody could be asked, or nobody
// may ask. The two are never mixed up: a verdict may be kept and repeated, an
// error must not be, and both are "not verified".
//
// [Endor] is the core. It knows nothing of what surrounds it: [Limit],
// [Breaker], [Cache] and [Coalesce] each hold a [Verifier] and are one. [Desk]
// answers the keys of a whole request through such a stack, within a budget of
// time:
//
//	Desk (looks into the cache, then into a Shared one)
//	  -> Coalesce -> Cache (looks again, keeps) -> Degraded -> Breaker -> Limit -> Endor
//
// Calling the API is package endor's work, wire types are externaldata's.
package verify

import (
	"context"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// Verifier decides questions that a [Resolver] resolved.
type Verifier interface {
	// Verify decides q, or returns an error that is an [*Undecided]. An error
	// because ctx ended says nothing of what was begun, which may go on.
	Verify(ctx context.Context, q question.Question) (Verdict, error)
}

// Verdict is a decision about one image.
type Verdict struct {
	// Code is Verified or one of class Rejected.
	Code Code

	// Result is how Endor Labs named it; empty if Endor was not asked.
	Result string

	// Signer is who signed: of a verified image, every claim that was asked
	// for or returned; of WRONG_SIGNER, what was found instead, if known.
	Signer question.Claims

	// SignedAt is when the image was signed; zero if Endor did not say.
	SignedAt time.Time

	// AskedAt is when the question was sent. A verdict's age counts from
	// there, however often it is copied.
	AskedAt time.Time

	// Stale says that the verdict is past its life and is given because nobody
	// could be asked. It is never kept.
	Stale bool
}

// Verified says whether the image may run.
func (v Verdict) Verified() bool { return v.Code == Verified }
