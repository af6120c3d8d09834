// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/gatekeeper"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// dispute counts what a source says and this evaluation does not.
type dispute struct {
	denied, gone, open int
	example, question  string
}

// merge lays what Gatekeeper says beside what was found here, and in its place
// where nothing was evaluated.
func (s *survey) merge(ctx context.Context, sources []source) {
	for _, source := range sources {
		disputes := map[string]*dispute{}
		for _, v := range source.violations {
			s.mergeOne(ctx, source.name, v, disputes)
		}
		s.settle(source.name, disputes)
	}
	if ctx.Err() == nil {
		s.compareCounts()
	}
}

func (s *survey) mergeOne(ctx context.Context, name report.Source, v gatekeeper.Violation, disputes map[string]*dispute) {
	w := s.witnesses[keyOf(v)]
	if !s.judgedHere(v) {
		s.take(ctx, name, v, w)
		return
	}
	d := disputes[v.Constraint()]
	if d == nil {
		d = &dispute{}
		disputes[v.Constraint()] = d
	}
	switch {
	case w.judgment == nil && (s.unreached[v.Kind] || !known(v.Kind)):
		s.take(ctx, name, v, w) // all that is known of it
	case w.judgment == nil:
		d.gone++
	case s.confirm(name, v, w.judgment):
	case s.undecided(v, w.judgment):
		d.open++
		d.question = max(d.question, where(v))
	default:
		d.denied++
		d.example = max(d.example, where(v))
	}
}

func where(v gatekeeper.Violation) string {
	return fmt.Sprintf("%s %s/%s, container %q", v.Kind, v.Namespace, v.Name, v.Container)
}

// undecided says whether Endor Labs could not be asked about an image that a
// violation may be about: a constraint that fails on rejections only has nothing
// against it then, which says nothing of the violation.
func (s *survey) undecided(v gatekeeper.Violation, j *judgment) bool {
	return slices.ContainsFunc(j.uses, func(use podspec.Image) bool {
		return v.About(use.Name, use.Reference) &&
			slices.ContainsFunc(s.answers[use.Reference], func(a verify.Answer) bool { return a.Undecided != nil })
	})
}

// judgedHere says whether the constraint of a violation was evaluated.
func (s *survey) judgedHere(v gatekeeper.Violation) bool {
	return slices.ContainsFunc(s.constraints, func(c *constraint) bool { return c.evaluated && c.name() == v.Constraint() })
}

// confirm adds a source to the refusals that it speaks of; false if there are
// none.
func (s *survey) confirm(name report.Source, v gatekeeper.Violation, j *judgment) bool {
	confirmed := false
	for _, f := range j.findings {
		if f.constraint < 0 || s.constraints[f.constraint].name() != v.Constraint() {
			continue
		}
		for i, use := range j.uses {
			if f.use >= 0 && f.use != i || !v.About(use.Name, use.Reference) && f.use >= 0 {
				continue
			}
			confirmed = true
			row := s.image(use.Reference)
			row.seen(v.FirstSeen)
			row.refuse(report.Refusal{
				Constraint: v.Constraint(), EnforcementAction: f.action, Code: f.code, Message: f.message, Sources: []report.Source{name},
			})
		}
		confirmed = confirmed || len(j.uses) == 0
	}
	return confirmed
}

// take makes rows of a violation that was not evaluated here.
func (s *survey) take(ctx context.Context, name report.Source, v gatekeeper.Violation, w *witness) {
	for _, use := range s.usesOf(ctx, v, w) {
		row := s.image(use.Reference)
		row.seen(v.FirstSeen)
		r := report.Refusal{
			Constraint: v.Constraint(), EnforcementAction: v.EnforcementAction, Code: v.Code, Message: v.Message, Sources: []report.Source{name},
		}
		if r.Code == "" {
			r.Code = "VIOLATION"
		}
		row.refuse(r)
		if v.ConstraintKind == evaluated {
			row.hear(said{r.Code, classOfCode(r.Code), reason(v.Message)})
		}
		decision := report.DecisionOf(v.EnforcementAction)
		row.next = report.Worst(row.next, decision)
		key := placeKey{workloadKey{v.Namespace, v.Kind, v.Name}, use.List, use.Name}
		p := row.places[key]
		if p == nil {
			p = &report.Place{Namespace: v.Namespace, Kind: v.Kind, Name: v.Name, List: use.List, Container: use.Name, Next: report.Admitted}
			row.places[key] = p
		}
		p.Next = report.Worst(p.Next, decision)
	}
}

// usesOf are the images that a violation is about: by its details, else by what
// the object holds, else by what the message says.
func (s *survey) usesOf(ctx context.Context, v gatekeeper.Violation, w *witness) []podspec.Image {
	told := podspec.Image{List: "containers", Name: v.Container, Reference: v.Image}
	if v.Exact {
		return []podspec.Image{told}
	}
	var uses []podspec.Image
	if w != nil && w.judgment != nil {
		uses = w.judgment.uses
	} else if object := s.fetch(ctx, v); object != nil {
		uses = podspec.Images(object)
	}
	if about := slices.DeleteFunc(slices.Clone(uses), func(use podspec.Image) bool { return !v.About(use.Name, use.Reference) }); len(about) > 0 {
		return about
	}
	if v.Image != "" {
		return []podspec.Image{told}
	}
	return nil
}

// fetch reads the object of a violation; nil if that cannot be done.
func (s *survey) fetch(ctx context.Context, v gatekeeper.Violation) *unstructured.Unstructured {
	kind, ok := podspec.Named(v.Kind)
	if !ok || kind.Group != v.Group || ctx.Err() != nil {
		return nil
	}
	object, err := s.Cluster.Get(ctx, kind, v.Namespace, v.Name)
	if err != nil {
		if !s.unreached[kind.Kind] {
			s.unreached[kind.Kind] = true
			s.note(report.LevelWarning, "%v; images of these objects are shown as messages shorten them", err)
		}
		return nil
	}
	return object
}

// classOfCode is the class of a code of the policy or the provider.
func classOfCode(code string) string {
	if code == "BAD_PARAMETERS" {
		return string(verify.ClassMisconfigured)
	}
	return string(verify.Code(code).Class())
}

// settle says where a source and this evaluation disagree.
func (s *survey) settle(name report.Source, disputes map[string]*dispute) {
	for _, c := range s.constraints {
		d := disputes[c.name()]
		if d == nil {
			continue
		}
		if d.denied > 0 {
			s.note(report.LevelWarning, "%s: %d violations of the audit (%s) are none now, such as %s; it was signed since, or the provider in the cluster is set up otherwise", c.name(), d.denied, name, d.example)
		}
		if d.open > 0 {
			c.open = true
			s.note(report.LevelWarning, "%s: of %d violations of the audit (%s) it could not be found out whether they still are, such as %s; run it again when Endor Labs can be asked", c.name(), d.open, name, d.question)
		}
		if d.gone > 0 {
			s.note(report.LevelInfo, "%s: %d violations of the audit (%s) are about objects that are no longer there", c.name(), d.gone, name)
		}
	}
}

// compareCounts says where audit and evaluation have counted differently. With
// one namespace, or actions that differ between webhook and audit, they must,
// and where Endor Labs could not be asked about what audit found.
func (s *survey) compareCounts() {
	for _, c := range s.constraints {
		if !c.evaluated || c.AuditedAt == nil || s.Namespace != "" || c.scoped || c.open || !s.report.Complete || c.auditable == c.AuditViolations {
			continue
		}
		s.note(report.LevelWarning, "%s: the audit of %s counted %d violations and this evaluation %d; wait for the next audit and compare again", c.name(), c.AuditedAt.UTC().Format(time.RFC3339), c.AuditViolations, c.auditable)
	}
}

func known(kind string) bool {
	_, ok := podspec.Named(kind)
	return ok
}
