// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/constraints"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Constraints are those of the shipped template.
var Constraints = schema.GroupVersionResource{Group: "constraints.gatekeeper.sh", Version: "v1beta1", Resource: "k8sendorsignedimages"}

// DefaultProvider is the provider that a constraint asks which names none.
const DefaultProvider = "endor-gatekeeper-provider"

// DenyingConstraints are the names of the constraints that deny what the
// provider of that name does not verify. None is not an error, nor is a cluster
// that does not know their kind.
func DenyingConstraints(ctx context.Context, client dynamic.Interface, provider string) ([]string, error) {
	list, err := asking(ctx, client, provider)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range list {
		if denies(c) {
			names = append(names, c.GetName())
		}
	}
	return names, nil
}

// asking are the constraints that ask the provider of that name; none in a
// cluster that does not know their kind.
func asking(ctx context.Context, client dynamic.Interface, provider string) ([]unstructured.Unstructured, error) {
	list, err := client.Resource(Constraints).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the constraints of kind K8sEndorSignedImages: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(c unstructured.Unstructured) bool { return !asks(c, provider) }), nil
}

// asks takes what it cannot read for a question to any provider.
func asks(constraint unstructured.Unstructured, provider string) bool {
	name, found, err := unstructured.NestedString(constraint.Object, "spec", "parameters", "provider")
	if !found {
		name = DefaultProvider
	}
	return err != nil || name == provider
}

// AdmissionActions are what a constraint does when an object is created or
// changed: of one whose actions are scoped, those for the webhook, sorted, which
// may be none. They are as Gatekeeper's engine reads them. Its webhook passes over an
// action that it does not know, the empty one among them; only one that is absent
// means deny.
func AdmissionActions(constraint *unstructured.Unstructured) ([]string, error) {
	action, err := constraints.GetEnforcementAction(constraint)
	if err != nil {
		return nil, err
	}
	if !constraints.IsEnforcementActionScoped(action) {
		return []string{action}, nil
	}
	const here = constraints.WebhookEnforcementPoint
	scoped, err := constraints.GetEnforcementActionsForEP(constraint, []string{here})
	return slices.Sorted(slices.Values(scoped[here])), err
}

// denies is for who is about to take the provider away: it takes for a denial
// what it cannot read, and what denies elsewhere than at admission.
func denies(constraint unstructured.Unstructured) bool {
	action, found, err := unstructured.NestedString(constraint.Object, "spec", "enforcementAction")
	switch {
	case err != nil, !found, action == "", action == "deny":
		return true
	case action != "scoped":
		return false
	}
	scoped, _, err := unstructured.NestedSlice(constraint.Object, "spec", "scopedEnforcementActions")
	if err != nil {
		return true
	}
	for _, item := range scoped {
		entry, ok := item.(map[string]any)
		if !ok || entry["action"] == "deny" {
			return true
		}
	}
	return false
}
