// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"cmp"
	"maps"
	"slices"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// finish makes the report of what was gathered, in an order that depends on
// nothing but the cluster.
func (s *survey) finish() {
	for _, c := range s.constraints {
		s.report.Constraints = append(s.report.Constraints, c.Constraint)
	}
	namespaces := map[string]*report.Namespace{}
	for _, reference := range slices.Sorted(maps.Keys(s.images)) {
		row := s.row(reference, s.images[reference])
		s.report.Images = append(s.report.Images, row)
		in := map[string]bool{}
		for _, p := range row.Places {
			if in[p.Namespace] {
				continue
			}
			in[p.Namespace] = true
			n := namespaces[p.Namespace]
			if n == nil {
				n = &report.Namespace{Name: p.Namespace}
				namespaces[p.Namespace] = n
			}
			n.Count(row.Class)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(namespaces)) {
		s.report.Namespaces = append(s.report.Namespaces, *namespaces[name])
	}
	if s.Readiness {
		s.report.Readiness = s.readiness()
	}
}

func (s *survey) row(reference string, from *image) report.Image {
	row := report.Image{Image: reference, NextRollout: from.next, Pods: from.pods, Sources: from.sources}
	if ref, err := imageref.Parse(reference); err == nil {
		row.Digest = ref.Digest()
	}
	s.answer(&row, from)
	row.Code, row.Reason = from.said.code, from.said.reason
	row.Class = classOf(from.said)
	for _, key := range slices.SortedFunc(maps.Keys(from.refusals), func(a, b refusalKey) int {
		return cmp.Or(cmp.Compare(a.constraint, b.constraint), cmp.Compare(a.code, b.code))
	}) {
		r := *from.refusals[key]
		slices.Sort(r.Sources)
		row.Refusals = append(row.Refusals, r)
	}
	for _, key := range slices.SortedFunc(maps.Keys(from.places), func(a, b placeKey) int {
		return cmp.Or(compareWorkloads(a.workloadKey, b.workloadKey), cmp.Compare(a.list, b.list), cmp.Compare(a.container, b.container))
	}) {
		p := *from.places[key]
		if w := s.workloads[key.workloadKey]; w != nil {
			p.Owner = w.owner
		}
		row.Places = append(row.Places, p)
	}
	for _, digest := range slices.Sorted(maps.Keys(from.running)) {
		row.Running = append(row.Running, report.RunningDigest{Digest: digest, Pods: from.running[digest]})
	}
	if !from.firstSeen.IsZero() {
		at := from.firstSeen.UTC()
		row.FirstSeen = &at
	}
	slices.Sort(row.Sources)
	return row
}

// answer fills in what Endor Labs answered about an image, whatever came of it:
// a constraint may fail on rejections only, and an outage is not a yes.
func (s *survey) answer(row *report.Image, from *image) {
	if !from.evaluated {
		return
	}
	answers := s.answers[row.Image]
	slices.SortFunc(answers, func(a, b verify.Answer) int { return cmp.Compare(a.Key, b.Key) })
	for _, a := range answers {
		from.hear(saidBy(a))
	}
	// The answer that decided tells most; else one that vouches, as of an image
	// that a constraint finds too old.
	decided := slices.IndexFunc(answers, func(a verify.Answer) bool { return string(a.Code()) == from.said.code })
	if decided >= 0 {
		from.said.reason = saidBy(answers[decided]).reason
	} else {
		decided = slices.IndexFunc(answers, func(a verify.Answer) bool { return a.Code() == verify.Verified })
	}
	if decided < 0 {
		return
	}
	row.Signer = answers[decided].Verdict.Signer
	if at := answers[decided].Verdict.SignedAt; !at.IsZero() {
		row.SignedAt = &at
	}
}

func saidBy(a verify.Answer) said {
	what := said{code: string(a.Code()), class: string(a.Code().Class())}
	if a.Code() != verify.Verified {
		what.reason = a.Sentence()
	}
	return what
}

func classOf(what said) verify.Class {
	switch {
	case what.class == "":
		return report.Unchecked
	case rank(what.class) == rank(string(verify.ClassRejected)):
		return verify.ClassRejected
	default:
		return verify.Class(what.class)
	}
}
