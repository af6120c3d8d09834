// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"slices"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// The worst first. What is not in these lists is as bad as the worst.
var (
	decisions = []report.Decision{report.Denied, report.Warned, report.DryRun, report.Admitted, ""}
	classes   = []verify.Class{
		verify.ClassRejected, verify.ClassMisconfigured, verify.ClassUnavailable, report.Unchecked, verify.ClassVerified,
	}
)

// ordered is a copy of r with the worst images and places first and no list
// that is nil.
func ordered(r *report.Report) *report.Report {
	o := *r
	o.Constraints = append([]report.Constraint{}, r.Constraints...)
	o.Namespaces = append([]report.Namespace{}, r.Namespaces...)
	o.Images = append([]report.Image{}, r.Images...)
	for i := range o.Images {
		o.Images[i].Places = slices.Clone(o.Images[i].Places)
		slices.SortStableFunc(o.Images[i].Places, comparePlaces)
		if o.Images[i].Sources == nil {
			o.Images[i].Sources = []report.Source{}
		}
	}
	slices.SortStableFunc(o.Images, compareImages)
	slices.SortStableFunc(o.Namespaces, func(a, b report.Namespace) int {
		return cmp.Or(
			cmp.Compare(b.Rejected, a.Rejected),
			cmp.Compare(b.Misconfigured+b.Unavailable, a.Misconfigured+a.Unavailable),
			cmp.Compare(b.Unchecked, a.Unchecked),
			cmp.Compare(a.Name, b.Name),
		)
	})
	if r.Readiness != nil {
		readiness := *r.Readiness
		readiness.Namespaces = append([]report.NamespaceReady{}, readiness.Namespaces...)
		o.Readiness = &readiness
	}
	return &o
}

func compareImages(a, b report.Image) int {
	return cmp.Or(
		cmp.Compare(slices.Index(decisions, a.NextRollout), slices.Index(decisions, b.NextRollout)),
		cmp.Compare(slices.Index(classes, a.Class), slices.Index(classes, b.Class)),
		cmp.Compare(b.Pods, a.Pods),
		cmp.Compare(a.Image, b.Image),
		cmp.Compare(a.Digest, b.Digest),
	)
}

func comparePlaces(a, b report.Place) int {
	return cmp.Or(
		cmp.Compare(slices.Index(decisions, a.Next), slices.Index(decisions, b.Next)),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.List, b.List),
		cmp.Compare(a.Container, b.Container),
	)
}
