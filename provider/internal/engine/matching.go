// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	mutationtypes "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Matches says whether the spec.match of a constraint selects an object, as
// Gatekeeper's audit decides it. namespace is that of the object; nil stands
// for one that has no labels but its name. The constraint needs not be added to
// an engine.
//
// Operations of a template and Gatekeeper's own exclusions (its Config object,
// exempt namespaces) are not looked at.
func Matches(constraint, object *unstructured.Unstructured, namespace *corev1.Namespace) (bool, error) {
	var handler target.K8sValidationTarget
	matcher, err := handler.ToMatcher(constraint)
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", constraint.GetKind(), constraint.GetName(), err)
	}
	req := Request{Object: object, Namespace: namespace}
	handled, review, err := handler.HandleReview(&target.AugmentedUnstructured{
		Object: *object, Namespace: req.namespace(object.GetNamespace()), Source: mutationtypes.SourceTypeOriginal,
	})
	if err != nil || !handled {
		return false, fmt.Errorf("review %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	matched, err := matcher.Match(review)
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", constraint.GetKind(), constraint.GetName(), err)
	}
	return matched, nil
}
