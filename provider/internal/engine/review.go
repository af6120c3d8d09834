// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/types"
	mutationtypes "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Request is what an API server would ask Gatekeeper's webhook. Object is
// required, except for DELETE.
type Request struct {
	Object    *unstructured.Unstructured
	OldObject *unstructured.Unstructured

	// Operation is CREATE, UPDATE or DELETE; default CREATE.
	Operation admissionv1.Operation

	// Namespace is that of the object. Without it one is assumed that has no
	// labels but its name.
	Namespace *corev1.Namespace
}

// Violation is one reason of one constraint against an object.
type Violation struct {
	Constraint *unstructured.Unstructured

	// EnforcementAction is deny, warn, dryrun, …; of a constraint whose action is
	// scoped, the strictest of those at this enforcement point.
	EnforcementAction string

	Message string
	Details map[string]any
}

// Review judges a request as Gatekeeper's webhook does. The violations come in
// the order of constraint and message.
func (e *Engine) Review(ctx context.Context, req Request) ([]Violation, error) {
	ar, err := req.admission()
	if err != nil {
		return nil, fmt.Errorf("review: %w", err)
	}
	return e.review(ctx, &target.AugmentedReview{
		AdmissionRequest: ar, Namespace: req.namespace(ar.Namespace), Source: mutationtypes.SourceTypeOriginal, IsAdmission: true,
	}, util.WebhookEnforcementPoint)
}

// Audit judges an object that is already there, as Gatekeeper's audit does.
func (e *Engine) Audit(ctx context.Context, object *unstructured.Unstructured, namespace *corev1.Namespace) ([]Violation, error) {
	req := Request{Object: object, Namespace: namespace}
	return e.review(ctx, &target.AugmentedUnstructured{
		Object: *object, Namespace: req.namespace(object.GetNamespace()), Source: mutationtypes.SourceTypeOriginal,
	}, util.AuditEnforcementPoint)
}

func (e *Engine) review(ctx context.Context, review any, point string) ([]Violation, error) {
	responses, err := e.client.Review(ctx, review, reviews.EnforcementPoint(point))
	if err != nil {
		return nil, fmt.Errorf("review: %w", err)
	}
	return violations(responses), nil
}

func violations(responses *types.Responses) []Violation {
	var list []Violation
	for _, r := range responses.Results() {
		details, _ := r.Metadata["details"].(map[string]any)
		list = append(list, Violation{Constraint: r.Constraint, EnforcementAction: action(r), Message: r.Msg, Details: details})
	}
	slices.SortStableFunc(list, func(a, b Violation) int {
		return cmp.Or(
			cmp.Compare(a.Constraint.GetKind(), b.Constraint.GetKind()),
			cmp.Compare(a.Constraint.GetName(), b.Constraint.GetName()),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return list
}

// action is what is done about a result. Of several, one that denies counts
// most, as does one that is not known.
func action(r *types.Result) string {
	if r.EnforcementAction != string(util.Scoped) || len(r.ScopedEnforcementActions) == 0 {
		return r.EnforcementAction
	}
	lenient := []string{string(util.Warn), string(util.Dryrun)}
	return slices.MinFunc(r.ScopedEnforcementActions, func(a, b string) int {
		return cmp.Compare(slices.Index(lenient, a), slices.Index(lenient, b))
	})
}

func (r Request) admission() (*admissionv1.AdmissionRequest, error) {
	subject := r.Object
	if subject == nil {
		subject = r.OldObject
	}
	gvk := subject.GroupVersionKind()
	ar := &admissionv1.AdmissionRequest{
		UID:       "00000000-0000-0000-0000-000000000000",
		Kind:      metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind},
		Name:      subject.GetName(),
		Namespace: subject.GetNamespace(),
		Operation: cmp.Or(r.Operation, admissionv1.Create),
	}
	var err error
	if ar.Object, err = raw(r.Object); err != nil {
		return nil, err
	}
	ar.OldObject, err = raw(r.OldObject)
	return ar, err
}

func raw(u *unstructured.Unstructured) (runtime.RawExtension, error) {
	if u == nil {
		return runtime.RawExtension{}, nil
	}
	b, err := json.Marshal(u.Object)
	return runtime.RawExtension{Raw: b}, err
}

func (r Request) namespace(name string) *corev1.Namespace {
	if r.Namespace != nil || name == "" {
		return r.Namespace
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{corev1.LabelMetadataName: name},
	}}
}
