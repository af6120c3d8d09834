// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
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

	// Source says where the verdict was taken from; empty if there is none.
	Source Source

	// Phases are of this request, except that those of a call that others share
	// are the call's.
	Phases Phases

	// Background says that nobody waited for the verdict any more.
	Background bool
}

// Cached says that the verdict was kept from an earlier question.
func (a Answer) Cached() bool {
	return a.Source == FromMemory || a.Source == FromRedis || a.Source == FromStale
}

// refuse answers a key that cannot be asked about.
func (a *Answer) refuse(err error) {
	if u, ok := errors.AsType[*Undecided](err); ok {
		a.Undecided = u
		return
	}
	a.Verdict, a.Source = Verdict{Code: refusal(err)}, FromKey
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
	if a.Verdict.Code == WrongSigner {
		return a.wrongSigner() + "; build it where the policy expects, or accept its signer in the constraint"
	}
	return a.Verdict.Code.Sentence()
}

// wrongSigner says what was expected of the closest signer and, where it is
// known, what was found instead.
func (a Answer) wrongSigner() string {
	found := a.Verdict.Signer
	if found == (question.Claims{}) {
		return unlike(closest(a.Question.Signers, found))
	}
	var differ []string
	for name, want := range closest(a.Question.Signers, found).All() {
		if got := found.Get(name); !question.Match(want, got) {
			differ = append(differ, name+" "+printable.Cut(cmp.Or(got, "(none)"), 100)+", not "+printable.Cut(want, 100))
		}
	}
	if len(differ) == 0 { // only Endor knows what differs
		return "it is signed, but by none of the accepted signers"
	}
	return "it is signed with " + strings.Join(differ, ", ")
}

// unlike is said of an image of which nobody knows who signed it. The issuer is
// told only if nothing else was asked for: mostly it is a default.
func unlike(signer question.Claims) string {
	if rest := (question.Claims{CertificateOIDCIssuer: signer.CertificateOIDCIssuer}); rest != signer {
		signer.CertificateOIDCIssuer = ""
	}
	var wanted []string
	for name, want := range signer.All() {
		wanted = append(wanted, name+" "+printable.Cut(want, 100))
	}
	return "it is signed, but not with " + strings.Join(wanted, ", ")
}

// closest is the signer of which the most claims are as found; of several, and
// where nothing is known, the first.
func closest(signers question.Signers, found question.Claims) (best question.Claims) {
	most := -1
	for _, signer := range signers.All() {
		equal := 0
		for name, want := range signer.All() {
			if question.Match(want, found.Get(name)) {
				equal++
			}
		}
		if equal > most {
			best, most = signer, equal
		}
	}
	return best
}
