// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// readObjects judges everything that runs images, kind by kind.
func (s *survey) readObjects(ctx context.Context) {
	for _, kind := range podspec.Kinds() {
		if ctx.Err() != nil {
			s.unreached[kind.Kind] = true
			continue
		}
		if !s.wanted(kind) {
			s.learn(ctx, kind)
			continue
		}
		n := 0
		err := s.Cluster.Visit(ctx, kind, s.Namespace, func(items []unstructured.Unstructured) error {
			if err := s.page(ctx, kind, items); err != nil {
				return err
			}
			n += len(items)
			if len(items) > 0 {
				s.Progress(kind.Kind, len(items))
			}
			return nil
		})
		if n > 0 {
			s.report.Judged = append(s.report.Judged, report.KindCount{Kind: kind.Kind, Count: n})
		}
		if err != nil {
			s.unreached[kind.Kind] = true
			s.unread(ctx, err, "images that only these run are not in it")
		}
	}
	s.countOthers(ctx)
}

// wanted says whether objects of a kind are read. ReplicaSets and Jobs are made
// by others for the most part and are many; what they run is seen in their
// owners and their Pods, so they are read only if a constraint selects them.
func (s *survey) wanted(kind podspec.Kind) bool {
	return kind != podspec.ReplicaSets && kind != podspec.Jobs && kind.Kind != "PodTemplate" ||
		slices.ContainsFunc(s.constraints, func(c *constraint) bool { return c.evaluated && c.selects(kind.GVK().GroupKind()) })
}

// selects says whether the kinds of a constraint's match select a kind.
func (c *constraint) selects(kind schema.GroupKind) bool {
	if len(c.match.Kinds) == 0 {
		return true
	}
	has := func(list []string, want string) bool {
		return len(list) == 0 || slices.Contains(list, "*") || slices.Contains(list, want)
	}
	for _, k := range c.match.Kinds {
		if has(k.APIGroups, kind.Group) && has(k.Kinds, kind.Kind) {
			return true
		}
	}
	return false
}

// learn reads only who owns the objects of a kind.
func (s *survey) learn(ctx context.Context, kind podspec.Kind) {
	if kind != podspec.ReplicaSets && kind != podspec.Jobs {
		return
	}
	if err := s.Cluster.LearnAll(ctx, kind, s.Namespace, &s.owners); err != nil && ctx.Err() == nil {
		s.note(report.LevelWarning, "%v; what their Pods run is listed under them and not under the workloads that own them", err)
	}
}

// page judges a page of objects and notes what became of them.
func (s *survey) page(ctx context.Context, kind podspec.Kind, items []unstructured.Unstructured) error {
	var objects []*unstructured.Unstructured
	future := make([]int, len(items)) // :: object -> its Pod among objects
	for i := range items {
		objects = append(objects, &items[i])
	}
	for i := range items {
		future[i] = -1
		// What is owned makes the Pods that its owner's template says.
		if kind == podspec.Pods || metav1.GetControllerOfNoCopy(&items[i]) != nil {
			continue
		}
		if pod := futurePod(&items[i]); pod != nil {
			future[i] = len(objects)
			objects = append(objects, pod)
		}
	}
	judgments, err := s.judge.judgeAll(ctx, objects)
	if err != nil {
		return err
	}
	for i := range items {
		object, own := &items[i], judgments[i]
		if kind == podspec.ReplicaSets || kind == podspec.Jobs {
			s.owners.Learn(object)
		}
		s.record(kind, object, own)
		if future[i] >= 0 {
			s.recordFuture(kind, object, judgments[future[i]])
		}
	}
	return nil
}

// record notes what became of an object of the cluster.
func (s *survey) record(kind podspec.Kind, object *unstructured.Unstructured, j *judgment) {
	_, audited := s.judge.reach(object.GetNamespace())
	for _, i := range j.matched {
		s.constraints[i].Matched++
	}
	for _, f := range j.findings {
		if f.constraint < 0 {
			continue
		}
		c := s.constraints[f.constraint]
		c.Violations++
		if audited {
			c.auditable++
		}
	}
	if w := s.witnesses[objectKey{kind.Kind, object.GetNamespace(), object.GetName()}]; w != nil {
		w.judgment = j
	}
	owner := s.owners.Top(kind.Kind, object)
	s.place(workloadKey{object.GetNamespace(), owner.Kind, owner.Name}, kind, object, j)
}

// recordFuture notes what would become of the Pods that a workload makes.
func (s *survey) recordFuture(kind podspec.Kind, object *unstructured.Unstructured, j *judgment) {
	s.place(workloadKey{object.GetNamespace(), kind.Kind, object.GetName()}, kind, object, j)
}

// countOthers counts the objects of kinds that a constraint names and of which
// nobody knows what images they run.
func (s *survey) countOthers(ctx context.Context) {
	known := map[schema.GroupKind]bool{}
	for _, kind := range podspec.Kinds() {
		known[kind.GVK().GroupKind()] = true
	}
	others := map[schema.GroupKind]bool{}
	for _, c := range s.constraints {
		for _, k := range c.match.Kinds {
			for _, group := range k.APIGroups {
				for _, name := range k.Kinds {
					if gk := (schema.GroupKind{Group: group, Kind: name}); c.evaluated && group != "*" && name != "*" && !known[gk] {
						others[gk] = true
					}
				}
			}
		}
	}
	for _, gk := range sorted(others) {
		if ctx.Err() != nil {
			return
		}
		n, err := s.Cluster.CountKind(ctx, gk, s.Namespace)
		if err != nil {
			s.note(report.LevelWarning, "a constraint selects %s, of which the policy knows no images, and how many there are is not known: %v", gk, err)
			continue
		}
		if n > 0 {
			s.report.NotJudged = append(s.report.NotJudged, report.KindCount{Kind: gk.String(), Count: n})
		}
	}
}

func sorted(kinds map[schema.GroupKind]bool) []schema.GroupKind {
	list := make([]schema.GroupKind, 0, len(kinds))
	for gk := range kinds {
		list = append(list, gk)
	}
	slices.SortFunc(list, func(a, b schema.GroupKind) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// failed notes an object that the engine could not judge.
func (s *survey) failed(object *unstructured.Unstructured, err error) {
	s.missing("%s", fmt.Sprintf("%s could not be judged, so whether its images are admitted is not known: %v", describe(object), err))
}
