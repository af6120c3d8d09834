// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// Answer is what became of one key.
type Answer struct {
	Key string

	// Question is the key resolved; zero if the key was refused as it is.
	Question question.Question

	// Verdict is zero if there is none, and Undecided then says why.
	Verdict   Verdict
	Undecided *Undecided

	// Cached says that the verdict was not asked for by this request.
	Cached bool
}

// refuse answers a key that cannot be asked about.
func (a *Answer) refuse(err error) {
	if u, ok := errors.AsType[*Undecided](err); ok {
		a.Undecided = u
		return
	}
	a.Verdict = Verdict{Code: refusal(err)}
}

// Code is the verdict's code, or that of the reason why there is none.
func (a Answer) Code() Code {
	if a.Undecided != nil {
		return a.Undecided.Code
	}
	return a.Verdict.Code
}

// Sentence says on one line what was decided, or why nothing was, and what to
// do. It is the same for the same cause: it names no host, no time and no
// count, and nothing of a token.
func (a Answer) Sentence() string {
	if a.Undecided != nil {
		return a.Undecided.Sentence()
	}
	if got := a.foundInstead(); got != "" {
		return "it is signed with " + got + "; build it where the policy expects, or accept its signer in the constraint"
	}
	return a.Verdict.Code.Sentence()
}

// foundInstead lists what a wrong signer has in place of what was asked for.
// Only claims that some signer asks for are of interest.
func (a Answer) foundInstead() string {
	if a.Verdict.Code != WrongSigner {
		return ""
	}
	var found []string
	for name, got := range a.Verdict.Signer.All() {
		if a.differs(name, got) {
			found = append(found, name+" "+printable.Cut(got, 100))
		}
	}
	return strings.Join(found, ", ")
}

func (a Answer) differs(name, got string) bool {
	asked := false
	for _, signer := range a.Question.Signers.All() {
		want := signer.Get(name)
		if question.Match(want, got) {
			return false
		}
		asked = asked || want != ""
	}
	return asked
}
