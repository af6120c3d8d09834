// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package gatekeeper reads what Gatekeeper's audit left behind: the status of
// constraints, its log, and its export to files.
//
// A status holds some twenty violations of each constraint with messages that
// are cut off; log and export hold all of them, with details. Whoever writes an
// object has a part in the text of its violations, and files may be half
// written, so nothing is taken for granted: what cannot be read is counted and
// passed over.
package gatekeeper

import (
	"regexp"
	"strings"
	"time"
)

// Violation is one violation that an audit found.
type Violation struct {
	ConstraintKind, ConstraintName string

	Group, Kind, Namespace, Name string // of the object

	// EnforcementAction is deny, warn, dryrun or scoped.
	EnforcementAction string

	// Code, Container and Image are empty as far as they are not known: a
	// message has the code, mostly the container, and the image shortened.
	Code, Container, Image string

	// Exact says that Image is the whole image, from the details.
	Exact bool

	Message string

	// FirstSeen is the earliest audit that found it; zero if unknown.
	FirstSeen time.Time
}

// Constraint names the constraint as kind/name.
func (v Violation) Constraint() string { return v.ConstraintKind + "/" + v.ConstraintName }

// maxText bounds the strings of a violation, which are kept.
const maxText = 1024

// messagePattern is how messages of the shipped policy begin:
//
//	[NOT_SIGNED] container "api": ghcr.io/acme/api@sha256:1a2b… has …
var messagePattern = regexp.MustCompile(`^(?:\[Implied by [^\]]*\] )?\[([A-Z_]{1,40})\](?: (?:container|initContainer|ephemeralContainer|imageVolume) "([^"]*)": (\S+))?`)

// explain fills in what message and details say.
func (v *Violation) explain(details map[string]any) {
	if m := messagePattern.FindStringSubmatch(v.Message); m != nil {
		v.Code, v.Container, v.Image = m[1], m[2], m[3]
	}
	if code, ok := details["code"].(string); ok && code != "" {
		v.Code = code
	}
	if container, ok := details["container"].(string); ok {
		v.Container = container
	}
	if image, ok := details["image"].(string); ok && image != "" {
		v.Image, v.Exact = image, true
	}
	for _, text := range []*string{
		&v.ConstraintKind, &v.ConstraintName, &v.Group, &v.Kind, &v.Namespace, &v.Name, &v.EnforcementAction, &v.Code, &v.Container, &v.Image, &v.Message,
	} {
		// A copy, so that a short string does not hold on to a long line.
		*text = strings.Clone((*text)[:min(len(*text), maxText)])
	}
}

// About says whether the violation may be about an image of that container, as
// far as a shortened message tells.
func (v Violation) About(container, image string) bool {
	if v.Exact {
		return v.Image == image && v.Container == container
	}
	return (v.Container == "" || shortens(v.Container, container)) && (v.Image == "" || shortens(v.Image, image))
}

// shortens says whether short is text with its middle or end left out, as
// messages of the policy do with long names, or text that they encode.
func shortens(short, text string) bool {
	front, back, cut := strings.Cut(short, "...")
	if !cut {
		return short == text || strings.Contains(short, "%") || short == "(empty)" && text == ""
	}
	return len(text) >= len(front)+len(back) && strings.HasPrefix(text, front) && strings.HasSuffix(text, back)
}
