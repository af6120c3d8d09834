// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"slices"

	configv1alpha1 "github.com/open-policy-agent/gatekeeper/v3/apis/config/v1alpha1"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/controller/config/process"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// sample is an object of a kind that nothing is known of but where it is.
func sample(kind schema.GroupVersionKind, namespace string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(kind)
	u.SetName("endor-doctor")
	u.SetNamespace(namespace)
	return u
}

// scope is what is judged, and where.
type scope struct {
	namespaces []*corev1.Namespace
	config     configv1alpha1.Config
	constraint []constraint // of the shipped kind

	selector labels.Selector // of the webhook
	excluder *process.Excluder
}

// constraint is one of the shipped kind.
type constraint struct {
	*unstructured.Unstructured

	// admission says what it does when something is created: deny, warn,
	// dryrun, what Gatekeeper passes over, or nothing.
	admission []string
}

func (c constraint) object() string { return named(c.GetKind(), "", c.GetName()) }

func (c constraint) denies() bool { return slices.Contains(c.admission, string(util.Deny)) }

// anyAuthor is the constraint without what an author of objects chooses: their
// labels and names.
func (c constraint) anyAuthor() *unstructured.Unstructured {
	wide := c.DeepCopy()
	unstructured.RemoveNestedField(wide.Object, "spec", "match", "labelSelector")
	unstructured.RemoveNestedField(wide.Object, "spec", "match", "name")
	return wide
}

func (s *scene) readScope() (*scope, error) {
	list, err := s.namespaces()
	if err != nil {
		return nil, err
	}
	sc := &scope{namespaces: list, excluder: process.New(), selector: labels.Everything()}
	config, err := as[configv1alpha1.Config](s.config())
	if err != nil {
		return nil, err
	}
	if config != nil {
		sc.config = *config
		sc.excluder.Add(config.Spec.Match)
	}
	constraints, err := s.constraints()
	if err != nil {
		return nil, err
	}
	for i := range constraints {
		c := constraint{Unstructured: &constraints[i]}
		if c.admission, err = cluster.AdmissionActions(c.Unstructured); err != nil {
			return nil, fmt.Errorf("%s: %w", c.object(), err)
		}
		sc.constraint = append(sc.constraint, c)
	}
	// Who asks what is judged asks for the webhook first.
	if hook, err := s.webhook(); err == nil && hook.NamespaceSelector != nil {
		if sc.selector, err = metav1.LabelSelectorAsSelector(hook.NamespaceSelector); err != nil {
			return nil, fmt.Errorf("the namespaceSelector of the webhook: %w", err)
		}
	}
	return sc, nil
}

// selected says whether the webhook is asked about a namespace.
func (sc *scope) selected(ns *corev1.Namespace) bool {
	return sc.selector.Matches(labels.Set(ns.Labels))
}

// judged says whether Gatekeeper judges what is created in a namespace.
func (sc *scope) judged(ns *corev1.Namespace) bool {
	excluded, err := sc.excluder.IsNamespaceExcluded(process.Webhook, sample(podspec.Pods.GVK(), ns.Name))
	return sc.selected(ns) && (err != nil || !excluded)
}

// denying are the constraints that deny objects such as this one in a namespace.
// One whose match cannot be read does not.
func (sc *scope) denying(ns *corev1.Namespace, object *unstructured.Unstructured) []constraint {
	var out []constraint
	for _, c := range sc.constraint {
		if !c.denies() {
			continue
		}
		if ok, err := engine.Matches(c.Unstructured, object, ns); err == nil && ok {
			out = append(out, c)
		}
	}
	return out
}

// deniedKinds are the kinds that constraints deny somewhere, whatever their
// labels and names.
func (s *scene) deniedKinds() ([]podspec.Kind, error) {
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(podspec.Kinds(), func(k podspec.Kind) bool {
		return !slices.ContainsFunc(sc.constraint, func(c constraint) bool { return c.denies() && sc.reaches(c, k) })
	}), nil
}

// reaches says whether a constraint matches a kind in some namespace.
func (sc *scope) reaches(c constraint, kind podspec.Kind) bool {
	wide := c.anyAuthor()
	return slices.ContainsFunc(sc.namespaces, func(ns *corev1.Namespace) bool {
		ok, err := engine.Matches(wide, sample(kind.GVK(), ns.Name), ns)
		return err == nil && ok
	})
}
