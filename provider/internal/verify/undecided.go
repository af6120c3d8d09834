// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
)

// Undecided says why there is no verdict.
type Undecided struct {
	// Code is Unavailable or Misconfigured.
	Code Code

	// Cause is of a closed set, for metrics and logs; see [Undecided.Sentence].
	Cause Cause

	// Err is what happened, for logs only; it may be nil.
	Err error
}

// Cause is why there is no verdict.
type Cause string

// The causes besides the reasons of package endor, which are causes too.
const (
	CauseBudget Cause = "budget" // the time of the request was over first
	CauseQueue  Cause = "queue"  // a place in a queue of the provider's was not had in time
	CausePanic  Cause = "panic"  // a defect of the provider

	// CauseBreaker: Endor Labs did not answer others, so it was not asked.
	CauseBreaker Cause = "breaker"

	// CauseNotRecorded: answers were recorded earlier, and none to this question.
	CauseNotRecorded Cause = "not_recorded"

	// CauseInterrupted: whoever asked did not want to wait any longer.
	CauseInterrupted Cause = "interrupted"
)

func (u *Undecided) Error() string {
	s := string(u.Code) + ": " + string(u.Cause)
	if u.Err != nil {
		s += ": " + u.Err.Error()
	}
	return s
}

func (u *Undecided) Unwrap() error { return u.Err }

var undecidedSentences = map[Cause]string{
	CauseBudget:      "Endor Labs did not answer in time; the question goes on, so try again in a moment",
	CauseQueue:       "the provider has more questions than it may ask at once; try again in a moment",
	CauseBreaker:     "Endor Labs does not answer, so it is not asked for some seconds; try again in a moment",
	CauseInterrupted: "the program was told to stop before there was an answer; run it again",
	CauseNotRecorded: "the file of recorded answers has none to this question; record it again with --record, where Endor Labs can be asked",
	CausePanic:       "the provider failed while it asked Endor Labs; see its log and report it",

	Cause(endor.ReasonNetwork):     "Endor Labs could not be reached; try again, and check the provider's network and proxy",
	Cause(endor.ReasonTimeout):     "Endor Labs did not answer in time; try again",
	Cause(endor.ReasonRateLimited): "Endor Labs limits the rate of calls; try again in a moment",
	Cause(endor.ReasonServerError): "Endor Labs had an error of its own; try again",
	Cause(endor.ReasonBadResponse): "Endor Labs, or a proxy before it, gave a response without an answer; try again, and check the provider's API address",

	Cause(endor.ReasonBusy): "the provider has more questions than it may ask at once; try again in a moment",

	Cause(endor.ReasonCredentials): "Endor Labs refuses the provider's credentials; check API key and secret, which may have expired",
	Cause(endor.ReasonLicense):     "Endor Labs says that artifact signing is not part of the license; ask Endor Labs",
	Cause(endor.ReasonForbidden):   "the provider's credentials may not verify artifacts in this Endor namespace; check the namespace and the key's permission",
	Cause(endor.ReasonNotFound):    "Endor Labs does not know this Endor namespace or the verification endpoint; check the namespace and the provider's API address",
	Cause(endor.ReasonRedirect):    "the address of the Endor Labs API redirects elsewhere, which the provider does not follow; correct --endor-api",
	Cause(endor.ReasonGateway):     "a proxy before Endor Labs refuses the provider's calls; check the proxy and --endor-api",
	causeNoNamespace:               "neither the policy nor the provider names an Endor namespace; set --endor-namespace, or namespace in the constraint",
}

// Sentence says what happened and what to do, on one line, without the code.
func (u *Undecided) Sentence() string {
	if s, ok := undecidedSentences[u.Cause]; ok {
		return s
	}
	return "Endor Labs could not be asked; see the provider's log"
}

// ofOurs says that Endor Labs was not even asked, for a reason within the
// provider, which whoever sends many questions can bring about.
func (u *Undecided) ofOurs() bool {
	switch u.Cause {
	case CauseQueue, CausePanic, Cause(endor.ReasonBusy):
		return true
	default:
		return false
	}
}

// undecided turns any error into an [*Undecided]. What it does not know is
// unavailable.
func undecided(err error) *Undecided {
	if u, ok := errors.AsType[*Undecided](err); ok {
		return u
	}
	if e, ok := errors.AsType[*endor.Error](err); ok {
		code := Unavailable
		if e.Kind == endor.KindMisconfigured {
			code = Misconfigured
		}
		return &Undecided{Code: code, Cause: Cause(e.Reason), Err: e}
	}
	cause := Cause(endor.ReasonNetwork)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		cause = CauseBudget
	}
	return &Undecided{Code: Unavailable, Cause: cause, Err: err}
}
