// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package findings writes what was found about images, for people and for
// programs: as a table, as JSON and YAML, as JUnit's XML for CI systems and as
// SARIF for those that show results beside code.
//
// Whatever the form, a verdict against an image and the lack of one stay apart:
// the first is a failure, the second an error.
//
// [Write] is for what verify and test find. [JSON], [YAML], [JUnit] and [SARIF]
// are the same forms for others, so that each is written in one place.
package findings

import (
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// The schemas of the JSON and YAML forms. Within a version fields are added, and
// what a field means is not changed.
const (
	VerifySchema = "endor-gatekeeper-provider/verify/v1"
	TestSchema   = "endor-gatekeeper-provider/test/v1"
)

// Document is all that was found in one run.
type Document struct {
	Schema    string `json:"schema"`
	Generator string `json:"generator"` // program and version

	// Complete is false if the run was interrupted, or if something that belongs
	// in it could not be read; Errors then say what.
	Complete bool     `json:"complete"`
	Errors   []string `json:"errors,omitempty"`

	// Notices are what else there is to know of the run, a sentence each.
	Notices []string `json:"notices,omitempty"`

	// Replay is where the answers come from, if not from Endor Labs.
	Replay *Replay `json:"replay,omitempty"`

	// Findings are of verify: one for each distinct image; of test: one for each
	// image of each object, and one for each violation that is about no image.
	Findings []Finding `json:"findings"`

	// Of test: constraints that select none of the objects, as Kind/name.
	UnmatchedConstraints []string `json:"unmatchedConstraints,omitempty"`

	Suites []Suite `json:"suites,omitempty"` // of test: gator's suites
}

// Replay is a file of recorded answers.
type Replay struct {
	File       string    `json:"file"`
	RecordedAt time.Time `json:"recordedAt"`
}

// Finding is what was found about an image.
type Finding struct {
	Image  string `json:"image,omitempty"` // as it is written
	Digest string `json:"digest,omitempty"`

	// Code is the verdict, or why there is none. It is empty where an image was
	// admitted by a constraint that did not ask.
	Code   string       `json:"code,omitempty"`
	Class  verify.Class `json:"class,omitempty"`
	Reason string       `json:"reason,omitempty"` // one sentence; empty if verified

	// Signer and SignedAt are of images that are verified; where it is known,
	// Signer is also who signed instead of whom was asked for.
	Signer   question.Claims `json:"signer,omitzero"`
	SignedAt *time.Time      `json:"signedAt,omitempty"`

	Places []Place `json:"places,omitempty"` // where it stands; none for an argument

	// Of test.
	Decision   string `json:"decision,omitempty"`   // admitted, dryrun, warned, denied
	Constraint string `json:"constraint,omitempty"` // that decided, as Kind/name
	Unmatched  bool   `json:"unmatched,omitempty"`  // no constraint selects the object
	Expected   string `json:"expected,omitempty"`   // of the object, if it may say so
	Got        string `json:"got,omitempty"`        // the same said of what happened
}

// Place is where an image stands.
type Place struct {
	File      string `json:"file"`
	Line      int    `json:"line"` // on which the object begins
	Document  int    `json:"document"`
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind"`
	Name      string `json:"name,omitempty"`
	List      string `json:"list,omitempty"` // containers, initContainers, ephemeralContainers or volumes
	Container string `json:"container,omitempty"`
}

// Suite is what became of one of gator's suites.
type Suite struct {
	File  string      `json:"file"`
	Error string      `json:"error,omitempty"` // why it could not run at all
	Cases []SuiteCase `json:"cases,omitempty"`
}

// SuiteCase is what became of one case.
type SuiteCase struct {
	Test    string `json:"test"`
	Case    string `json:"case,omitempty"`
	Error   string `json:"error,omitempty"` // empty if every assertion held
	Skipped bool   `json:"skipped,omitempty"`
}

// Outcome is what a finding comes to.
type Outcome int

// The outcomes, the worst last.
const (
	Passed  Outcome = iota
	Warned          // admitted, though something was said against it
	Failed          // the answer is no, or not what was expected
	Unknown         // there is no answer
)

// Outcome tells what the finding comes to. A finding of test follows the decision,
// one of verify the verdict.
func (f Finding) Outcome() Outcome {
	undecided := f.Class == verify.ClassUnavailable || f.Class == verify.ClassMisconfigured
	switch {
	case f.Decision == "":
		switch {
		case f.Class == verify.ClassVerified:
			return Passed
		case undecided:
			return Unknown
		default:
			return Failed
		}
	case f.Expected != "" && f.Expected == f.Got:
		return Passed
	case undecided:
		return Unknown // also if this constraint lets it pass: nobody knows what it would have said
	case f.Expected != "" || f.Decision == "denied":
		return Failed
	case f.Decision != "admitted":
		return Warned
	default:
		return Passed
	}
}

// Outcome is the worst of a document. A document that is not complete has
// something in it that nobody knows.
func (d *Document) Outcome() Outcome {
	worst := Passed
	if !d.Complete {
		worst = Unknown
	}
	for _, f := range d.Findings {
		worst = max(worst, f.Outcome())
	}
	for _, s := range d.Suites {
		if s.Error != "" {
			worst = Unknown
		}
		for _, c := range s.Cases {
			if c.Error != "" {
				worst = max(worst, Failed)
			}
		}
	}
	return worst
}
