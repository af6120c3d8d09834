// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package gatekeeper

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Audits are the violations of the newest audit that a log or an export holds.
type Audits struct {
	// At is when that audit began; zero if there is none.
	At time.Time

	// Finished says whether its end is there too. If not, it may lack
	// violations.
	Finished bool

	Violations []Violation

	// Lines were read, and Skipped of them could not be understood or did not
	// find a place; lines about something else are not among these.
	Lines, Skipped int

	// Problems are sentences about what could not be read.
	Problems []string
}

// maxKept bounds how many violations are remembered.
const maxKept = 200_000

// identity of a violation from one audit to the next.
type identity struct {
	constraint, group, kind, namespace, name, container, image, code string
}

func (v Violation) identity() identity {
	return identity{v.Constraint(), v.Group, v.Kind, v.Namespace, v.Name, v.Container, v.Image, v.Code}
}

// collector gathers the violations of many audits, and keeps of each only when
// it was first seen and last.
type collector struct {
	seen     map[identity]*sighting
	finished map[string]bool // :: id of an audit -> its end is there
	began    map[string]time.Time
	lines    int
	skipped  int
	problems []string
}

type sighting struct {
	violation   Violation
	first, last time.Time
	lastAudit   string
}

func newCollector() *collector {
	return &collector{seen: map[identity]*sighting{}, finished: map[string]bool{}, began: map[string]time.Time{}}
}

// begin notes an audit. Its id is when it began.
func (c *collector) begin(audit string) (time.Time, bool) {
	if at, ok := c.began[audit]; ok {
		return at, true
	}
	at, err := time.Parse(time.RFC3339, audit)
	if err != nil || len(c.began) >= maxKept {
		return time.Time{}, false
	}
	c.began[audit] = at
	return at, true
}

func (c *collector) add(audit string, v Violation) bool {
	at, ok := c.begin(audit)
	if !ok {
		return false
	}
	id := v.identity()
	s, known := c.seen[id]
	switch {
	case !known && len(c.seen) >= maxKept:
		return false
	case !known:
		c.seen[id] = &sighting{violation: v, first: at, last: at, lastAudit: audit}
		return true
	}
	if at.Before(s.first) {
		s.first = at
	}
	if !at.Before(s.last) {
		s.violation, s.last, s.lastAudit = v, at, audit
	}
	return true
}

// newest is the newest audit that is finished; if none is, the newest.
func (c *collector) newest() string {
	newest := ""
	for audit, at := range c.began {
		switch before := c.finished[newest]; {
		case newest == "", c.finished[audit] && !before:
			newest = audit
		case c.finished[audit] == before && at.After(c.began[newest]):
			newest = audit
		}
	}
	return newest
}

func (c *collector) audits() Audits {
	newest := c.newest()
	a := Audits{At: c.began[newest], Finished: c.finished[newest], Lines: c.lines, Skipped: c.skipped, Problems: c.problems}
	for _, s := range c.seen {
		// A violation that a later, unfinished audit has found again was in the
		// newest finished one too, or is newer than it.
		if newest != "" && !s.last.Before(a.At) {
			v := s.violation
			v.FirstSeen = s.first
			a.Violations = append(a.Violations, v)
		}
	}
	slices.SortFunc(a.Violations, func(x, y Violation) int {
		return cmp.Or(cmp.Compare(x.Constraint(), y.Constraint()), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Kind, y.Kind),
			cmp.Compare(x.Name, y.Name), cmp.Compare(x.Message, y.Message), cmp.Compare(x.Container, y.Container), cmp.Compare(x.Image, y.Image))
	})
	return a
}

func (c *collector) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}
