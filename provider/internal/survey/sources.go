// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"slices"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/gatekeeper"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// source is what one of Gatekeeper's outputs says.
type source struct {
	name       report.Source
	violations []gatekeeper.Violation
}

// witness is an object that a source speaks of, and what became of it here.
type witness struct{ judgment *judgment }

// sources gathers what Gatekeeper says, and notes how much that is worth.
func (s *survey) sources() []source {
	status := source{name: report.SourceStatus}
	for _, c := range s.constraints {
		status.violations = append(status.violations, c.status.Violations...)
		s.appraise(c)
	}
	list := []source{status}
	for _, audits := range []struct {
		name   report.Source
		called string
		read   *gatekeeper.Audits
	}{{report.SourceLog, "log", s.Log}, {report.SourceExport, "export", s.Export}} {
		if audits.read != nil {
			s.appraiseAudits(audits.called, *audits.read)
			list = append(list, source{name: audits.name, violations: audits.read.Violations})
		}
	}
	for i := range list {
		list[i].violations = slices.DeleteFunc(slices.Clone(list[i].violations), func(v gatekeeper.Violation) bool {
			return s.Namespace != "" && v.Namespace != s.Namespace || !s.AllConstraints && v.ConstraintKind != evaluated
		})
	}
	return list
}

// appraise says what the status of a constraint lacks.
func (s *survey) appraise(c *constraint) {
	switch {
	case c.AuditedAt == nil && s.onlyStatus():
		s.missing("%s: Gatekeeper's audit has not looked at it yet, or is off, so nothing is known of it; leave out --from-status", c.name())
	case c.AuditedAt == nil:
		s.note(report.LevelWarning, "%s: Gatekeeper's audit has not looked at it yet, or is off", c.name())
	case s.old(*c.AuditedAt):
		s.note(report.LevelWarning, "%s: Gatekeeper's audit last finished at %s; see why it does not run", c.name(), c.AuditedAt.UTC().Format(time.RFC3339))
	}
	if c.AuditListed < c.AuditViolations && s.onlyStatus() {
		s.missing("%s: %d of %d violations are listed, since Gatekeeper keeps no more in a status; leave out --from-status, or use --from-log or --from-export", c.name(), c.AuditListed, c.AuditViolations)
	}
}

// onlyStatus says that there is nothing but what audit wrote into constraints.
func (s *survey) onlyStatus() bool { return s.Evaluation == nil && s.Log == nil && s.Export == nil }

// appraiseAudits says what a log or an export lacks. Where everything is
// evaluated here as well, that only costs a comparison.
func (s *survey) appraiseAudits(called string, a gatekeeper.Audits) {
	lacks := s.missing
	if s.Evaluation != nil {
		lacks = func(format string, args ...any) { s.note(report.LevelWarning, format, args...) }
	}
	for _, problem := range a.Problems {
		s.missing("the audit's %s could not be read to its end: %s", called, problem)
	}
	if a.Skipped > 0 {
		lacks("%d of %d lines of the audit's %s could not be understood and were passed over", a.Skipped, a.Lines, called)
	}
	switch {
	case a.At.IsZero():
		lacks("the audit's %s holds no audit; is it that of Gatekeeper's audit, in JSON?", called)
	case s.old(a.At):
		s.note(report.LevelWarning, "the newest audit in the %s began at %s", called, a.At.UTC().Format(time.RFC3339))
	}
	if !a.At.IsZero() && !a.Finished {
		lacks("the newest audit in the %s has no end, so violations may be missing from it", called)
	}
}

func (s *survey) old(at time.Time) bool {
	return s.StaleAfter > 0 && s.report.GeneratedAt.Sub(at) > s.StaleAfter
}

// expect remembers the objects that sources speak of, so that what is found of
// them can be compared when all have been read.
func (s *survey) expect(sources []source) {
	for _, source := range sources {
		for _, v := range source.violations {
			s.witnesses[keyOf(v)] = &witness{}
		}
	}
}

func keyOf(v gatekeeper.Violation) objectKey { return objectKey{v.Kind, v.Namespace, v.Name} }
