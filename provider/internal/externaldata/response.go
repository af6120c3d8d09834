// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package externaldata

import (
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// value is what a policy reads of a verified image. Policies compare Digest
// with their own, so that a mixed-up answer admits nothing.
type value struct {
	Verified  bool            `json:"verified"`
	Code      verify.Code     `json:"code"`
	Image     string          `json:"image"` // as Endor Labs was asked, without the digest
	Digest    string          `json:"digest"`
	Namespace string          `json:"namespace"`
	Signer    question.Claims `json:"signer"`
	SignedAt  *time.Time      `json:"signed_at,omitempty"` // RFC 3339; absent if Endor did not say
	Stale     bool            `json:"stale"`
}

// respond makes the response: an item for each verdict, and worst, if any, as
// the reason why the others have none.
func respond(answers []verify.Answer, worst *verify.Undecided) wire.Response {
	response := wire.Response{Items: make([]wire.Item, 0, len(answers))}
	for i := range answers {
		if answers[i].Undecided == nil {
			response.Items = append(response.Items, item(&answers[i]))
		}
	}
	if worst != nil {
		response.SystemError = failure(worst.Code, worst.Sentence())
	}
	return response
}

func item(a *verify.Answer) wire.Item {
	if !a.Verdict.Verified() {
		return wire.Item{Key: a.Key, Error: failure(a.Verdict.Code, a.Sentence())}
	}
	v := value{
		Verified: true, Code: a.Verdict.Code, Image: a.Question.Image.Name(), Digest: a.Question.Image.Digest(),
		Namespace: a.Question.Namespace, Signer: a.Verdict.Signer, Stale: a.Verdict.Stale,
	}
	if !a.Verdict.SignedAt.IsZero() {
		v.SignedAt = &a.Verdict.SignedAt
	}
	return wire.Item{Key: a.Key, Value: v}
}

// worstOf is the reason to tell when several keys have no verdict: what only
// the operator can mend comes before what may pass, then the first.
func worstOf(answers []verify.Answer) (worst *verify.Undecided) {
	for i := range answers {
		u := answers[i].Undecided
		if u != nil && (worst == nil || worst.Code == verify.Unavailable && u.Code == verify.Misconfigured) {
			worst = u
		}
	}
	return worst
}

// failure is the form of every error in a response, of items too.
func failure(code verify.Code, sentence string) string {
	return string(code) + ": " + sentence + "."
}
