// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
)

// Where an assumption comes from. None of them was tried against the API.
const (
	fromReference = "reference" // Endor's OpenAPI document of January 2026, or its documentation
	fromExample   = "example"   // Endor's example admission controller, and other code of Endor's
	inferred      = "inference" // nobody says so
)

// success is the only result that admits an image.
const success = "SUCCESS"

// check tests one assumption.
type check struct {
	id         string // short, for tests and to talk about it
	assumption string
	source     string
	expected   string

	// otherwise is what it means for whoever runs the provider if it differs.
	otherwise string

	// signs says that there have to be signatures to look at.
	signs bool

	// look tells what was seen and whether that is what is expected. Its error
	// means that it could not be found out.
	look func(context.Context, *world) (seen string, holds bool, err error)
}

// outcome of a check.
type outcome string

const (
	holds       outcome = "holds"
	differs     outcome = "DIFFERS"
	notTestable outcome = "not testable" // here, for the reason that is told
	unknown     outcome = "UNKNOWN"      // an attempt failed
)

// finding is what came of a check.
type finding struct {
	check

	outcome outcome
	seen    string
}

// untestable says why a check has nothing to look at.
type untestable string

func (u untestable) Error() string { return string(u) }

// look does all checks in order.
func (w *world) look(ctx context.Context, checks []check) []finding {
	var findings []finding
	for _, c := range checks {
		findings = append(findings, w.lookAt(ctx, c))
	}
	return findings
}

func (w *world) lookAt(ctx context.Context, c check) finding {
	switch {
	case c.signs && !w.sign:
		return finding{c, notTestable, "needs CONFORMANCE_SIGN=1 and CONFORMANCE_PREFIX"}
	case c.signs && w.refused != nil:
		return finding{c, notTestable, "there is no signature: " + w.refused.Error()}
	}
	seen, ok, err := c.look(ctx, w)
	if reason, is := errors.AsType[untestable](err); is {
		return finding{c, notTestable, reason.Error()}
	}
	switch {
	case err != nil:
		return finding{c, unknown, err.Error()}
	case ok:
		return finding{c, holds, seen}
	default:
		return finding{c, differs, seen}
	}
}

// expect makes a look of one operation and the one result that it should have.
func expect(result string, ask func(context.Context, *world) (reply, error)) func(context.Context, *world) (string, bool, error) {
	return func(ctx context.Context, w *world) (string, bool, error) {
		got, err := ask(ctx, w)
		return got.String(), got.result == result && got.status == 200, err
	}
}

// never makes a look of something that this program does not try.
func never(why string) func(context.Context, *world) (string, bool, error) {
	return func(context.Context, *world) (string, bool, error) { return "", false, untestable(why) }
}
