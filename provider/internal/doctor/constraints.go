// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	statusv1beta1 "github.com/open-policy-agent/gatekeeper/v3/apis/status/v1beta1"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

func constraintsInstalled(_ context.Context, s *scene) ([]result, error) {
	list, err := s.constraints()
	if err != nil {
		return nil, err
	}
	const fix = "Apply a constraint; policies/library/k8sendorsignedimages/samples has some to begin with."
	if len(list) == 0 {
		return []result{warn("", fix, "there is no constraint of kind %s, so no image is checked", policies.Kind)}, nil
	}
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(sc.constraint, constraint.denies) {
		return []result{warn("", "Set enforcementAction: deny where kubectl endor report --readiness says that it is time.",
			"none of %d constraints denies, so every image is admitted", len(list))}, nil
	}
	return nil, nil
}

func constraintsIngested(_ context.Context, s *scene) ([]result, error) {
	list, err := s.constraints()
	if err != nil {
		return nil, err
	}
	var results []result
	for i := range list {
		c := &list[i]
		object := named(c.GetKind(), "", c.GetName())
		var status struct {
			ByPod []statusv1beta1.ConstraintPodStatusStatus `json:"byPod"`
		}
		raw, _, _ := unstructured.NestedMap(c.Object, "status")
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &status); err != nil {
			return results, fmt.Errorf("the status of %s: %w", object, err)
		}
		if len(status.ByPod) == 0 {
			results = append(results, bad(object, "Look at the log of Gatekeeper's Pods, and at its template.", "no Pod of Gatekeeper has taken it in"))
		}
		for _, pod := range status.ByPod {
			switch {
			case len(pod.Errors) > 0:
				results = append(results, bad(object, "Correct the constraint as it says.", "the Pod %s of Gatekeeper cannot use it: %s", visible(pod.ID), visible(pod.Errors[0].Message)))
			case !pod.Enforced:
				results = append(results, bad(object, "Look at the log of that Pod.", "the Pod %s of Gatekeeper does not enforce it", visible(pod.ID)))
			case pod.ObservedGeneration < c.GetGeneration():
				results = append(results, warn(object, "Look at the log of that Pod if it stays so.", "the Pod %s of Gatekeeper uses an older state of it", visible(pod.ID)))
			}
		}
	}
	return results, nil
}

func constraintProviders(_ context.Context, s *scene) ([]result, error) {
	list, err := s.constraints()
	if err != nil {
		return nil, err
	}
	known, err := s.providers()
	if err != nil {
		return nil, err
	}
	var results []result
	for i := range list {
		name, found, _ := unstructured.NestedString(list[i].Object, "spec", "parameters", "provider")
		if !found {
			name = cluster.DefaultProvider
		}
		if !slices.ContainsFunc(known, func(p unstructured.Unstructured) bool { return p.GetName() == name }) {
			results = append(results, bad(named(list[i].GetKind(), "", list[i].GetName()), "Correct its parameter provider, or install that provider.",
				"it asks the Provider %s, which there is not", visible(name)))
		}
	}
	return results, nil
}

func constraintPods(_ context.Context, s *scene) ([]result, error) {
	return s.eachDenying(func(sc *scope, c constraint) []result {
		if !slices.ContainsFunc(podspec.Kinds(), func(k podspec.Kind) bool { return sc.reaches(c, k) }) {
			return []result{warn(c.object(), "Correct its match, or delete it.", "its match fits nothing that runs images in any namespace of today")}
		}
		if !sc.reaches(c, podspec.Pods) {
			return []result{bad(c.object(), `Add Pod to its match: {apiGroups: [""], kinds: [Pod]}.`, "it does not match Pods: whoever creates a Pod without the objects above it runs any image")}
		}
		return nil
	})
}

func constraintLabels(_ context.Context, s *scene) ([]result, error) {
	return s.eachDenying(func(_ *scope, c constraint) []result {
		var results []result
		for _, by := range []struct{ field, what string }{{"labelSelector", "labels"}, {"name", "name"}} {
			if value, ok, _ := unstructured.NestedFieldNoCopy(c.Object, "spec", "match", by.field); ok && !empty(value) {
				results = append(results, bad(c.object(), "Use namespaces, excludedNamespaces or namespaceSelector in its match, which authors of Pods do not choose.",
					"its match has a %s: whoever writes a Pod writes its %s, and so decides whether it is judged", by.field, by.what))
			}
		}
		return results
	})
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "*"
	case map[string]any:
		for _, inner := range v {
			if list, ok := inner.([]any); ok && len(list) == 0 {
				continue
			}
			if m, ok := inner.(map[string]any); ok && len(m) == 0 {
				continue
			}
			return false
		}
		return true
	}
	return false
}

// eachDenying looks at every constraint that denies what is created.
func (s *scene) eachDenying(look func(*scope, constraint) []result) ([]result, error) {
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, c := range sc.constraint {
		if c.denies() {
			results = append(results, look(sc, c)...)
		}
	}
	return results, nil
}

func constraintOwnPods(ctx context.Context, s *scene) ([]result, error) {
	if _, err := s.webhook(); err != nil {
		return nil, err
	}
	d, err := s.deployment()
	if err != nil {
		return nil, err
	}
	own, err := s.reader.list(ctx, pods, d.Namespace, metav1.FormatLabelSelector(d.Spec.Selector))
	if err != nil {
		return nil, err
	}
	derived, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod(d))
	if err != nil {
		return nil, err
	}
	own = append(own, unstructured.Unstructured{Object: derived})
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	home := slices.IndexFunc(sc.namespaces, func(ns *corev1.Namespace) bool { return ns.Name == d.Namespace })
	if home < 0 || !sc.judged(sc.namespaces[home]) {
		return []result{fine(named("Namespace", "", d.Namespace), "Gatekeeper judges nothing there")}, nil
	}
	return s.eachDenying(func(sc *scope, c constraint) []result {
		if !slices.ContainsFunc(own, func(p unstructured.Unstructured) bool {
			ok, err := engine.Matches(c.Unstructured, &p, sc.namespaces[home])
			return err != nil || ok
		}) {
			return nil
		}
		return []result{bad(c.object(), "Add "+visible(d.Namespace)+" to the excludedNamespaces of its match.",
			"it matches the provider's own Pods in namespace %s: when all of them are gone, none can come back", visible(d.Namespace))}
	})
}

func constraintEnforcement(_ context.Context, s *scene) ([]result, error) {
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, c := range sc.constraint {
		if !c.denies() {
			// Gatekeeper's webhook passes over what it does not know.
			does := strings.Join(slices.DeleteFunc(slices.Clone(c.admission), func(action string) bool {
				return action != string(util.Warn) && action != string(util.Dryrun)
			}), ", ")
			if does == "" {
				does = "nothing when something is created"
			}
			results = append(results, note(c.object(), "it does not deny; it does %s", visible(does)))
		}
	}
	return results, nil
}
