// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"cmp"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// workloadKey names what somebody deployed: the topmost owner.
type workloadKey struct{ namespace, kind, name string }

// workload is what is known of one.
type workload struct {
	owner map[string]string

	// concerned says that a constraint asked about by --readiness selects it.
	concerned bool

	// blocked has what these constraints refuse and would refuse for good, and
	// unknown says that for some image nobody could say.
	blocked map[string]said // :: image
	unknown bool
}

// workload notes the labels that say whose it is: its own, those of its Pods,
// those of its namespace, in this order.
func (s *survey) workload(key workloadKey, object *unstructured.Unstructured) *workload {
	w := s.workloads[key]
	if w == nil {
		w = &workload{}
		s.workloads[key] = w
	}
	if len(w.owner) == len(s.OwnerLabels) {
		return w
	}
	sources := []map[string]string{object.GetLabels()}
	if template, ok := podspec.Template(object); ok {
		labels, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
		sources = append(sources, labels)
	}
	if ns := s.namespaces[key.namespace]; ns != nil {
		sources = append(sources, ns.Labels)
	}
	for _, label := range s.OwnerLabels {
		for _, labels := range sources {
			if value := labels[label]; value != "" && w.owner[label] == "" {
				if w.owner == nil {
					w.owner = map[string]string{}
				}
				w.owner[label] = value
			}
		}
	}
	return w
}

// note takes from a judgment what decides whether the workload is ready.
func (w *workload) note(s *survey, kind podspec.Kind, object *unstructured.Unstructured, j *judgment) {
	if !s.Readiness || over(kind, object) {
		return
	}
	asked := slices.ContainsFunc(j.matched, func(i int) bool { return s.constraints[i].chosen })
	webhook, _ := s.judge.reach(object.GetNamespace())
	if !asked || !webhook {
		return
	}
	w.concerned = true
	w.unknown = w.unknown || j.failure != nil
	for _, f := range j.findings {
		if f.constraint < 0 || !s.constraints[f.constraint].chosen {
			continue
		}
		if rank(f.class) < rank(string(verify.ClassRejected)) && f.code != "BAD_PARAMETERS" {
			w.unknown = true
			continue
		}
		if w.blocked == nil {
			w.blocked = map[string]said{}
		}
		for i, use := range j.uses {
			if f.use < 0 || f.use == i {
				w.blocked[use.Reference] = said{code: f.code, class: f.class}
			}
		}
		if len(j.uses) == 0 {
			w.blocked[""] = said{code: f.code, class: f.class}
		}
	}
}

// over says whether an object starts nothing any more: a Pod or Job that ended,
// or an old revision.
func over(kind podspec.Kind, object *unstructured.Unstructured) bool {
	switch kind {
	case podspec.Pods:
		return ended(object)
	case podspec.ReplicaSets:
		replicas, found, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
		return found && replicas == 0 && metav1.GetControllerOfNoCopy(object) != nil
	case podspec.Jobs:
		at, _, _ := unstructured.NestedString(object.Object, "status", "completionTime")
		return at != ""
	default:
		return false
	}
}

// readiness answers --readiness from what was noted.
func (s *survey) readiness() *report.Readiness {
	s.spreadUnknown()
	namespaces := map[string]*report.NamespaceReady{}
	blockers := map[string]*report.Blocker{}
	for _, key := range slices.SortedFunc(maps.Keys(s.workloads), compareWorkloads) {
		w := s.workloads[key]
		if !w.concerned {
			continue
		}
		n := namespaces[key.namespace]
		if n == nil {
			n = &report.NamespaceReady{Name: key.namespace, Ready: true}
			namespaces[key.namespace] = n
		}
		n.Workloads++
		switch name := key.kind + "/" + key.name; {
		case len(w.blocked) > 0:
			n.Failing = append(n.Failing, name)
		case w.unknown:
			n.Unknown = append(n.Unknown, name)
		}
		n.Ready = len(n.Failing)+len(n.Unknown) == 0
		for reference, why := range w.blocked {
			b := blockers[reference]
			if b == nil {
				b = &report.Blocker{Image: reference, Code: why.code}
				blockers[reference] = b
			}
			b.Code = min(b.Code, why.code)
			b.Workloads++
		}
	}
	r := &report.Readiness{Ready: s.report.Complete, Namespaces: []report.NamespaceReady{}}
	for _, name := range slices.Sorted(maps.Keys(namespaces)) {
		r.Ready = r.Ready && namespaces[name].Ready
		r.Namespaces = append(r.Namespaces, *namespaces[name])
	}
	for _, b := range blockers {
		r.Blockers = append(r.Blockers, *b)
	}
	slices.SortFunc(r.Blockers, func(a, b report.Blocker) int {
		return cmp.Or(cmp.Compare(b.Workloads, a.Workloads), cmp.Compare(a.Image, b.Image))
	})
	return r
}

// spreadUnknown finds the workloads with an image about which Endor Labs could
// not be asked, even if no constraint fails on that: the day it can be asked
// its answer may be no.
func (s *survey) spreadUnknown() {
	for reference, row := range s.images {
		for _, a := range s.answers[reference] {
			if a.Undecided == nil {
				continue
			}
			for key := range row.places {
				if w := s.workloads[key.workloadKey]; w != nil {
					w.unknown = true
				}
			}
		}
	}
}

func compareWorkloads(a, b workloadKey) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
}
