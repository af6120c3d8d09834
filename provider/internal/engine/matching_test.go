// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// A report has to tell an object that passed from one that nobody looked at.
func TestMatchesDecidesAsGatekeepersAudit(t *testing.T) {
	t.Parallel()
	pod := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "api", "namespace": "shop", "labels": map[string]any{"tier": "web"}},
	}}
	for _, tc := range []struct {
		name      string
		match     map[string]any
		namespace *corev1.Namespace
		want      bool
	}{
		{name: "no match selects all", want: true},
		{name: "its kind", match: map[string]any{"kinds": []any{map[string]any{"apiGroups": []any{""}, "kinds": []any{"Pod"}}}}, want: true},
		{name: "another kind", match: map[string]any{"kinds": []any{map[string]any{"apiGroups": []any{"apps"}, "kinds": []any{"Deployment"}}}}},
		{name: "its namespace", match: map[string]any{"namespaces": []any{"sh*"}}, want: true},
		{name: "its namespace excluded", match: map[string]any{"excludedNamespaces": []any{"shop"}}},
		{name: "a label of its", match: map[string]any{"labelSelector": map[string]any{"matchLabels": map[string]any{"tier": "web"}}}, want: true},
		{name: "a label of its namespace", match: map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"env": "prod"}}},
			namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"env": "prod"}}}, want: true},
		{name: "a label that its namespace has not", match: map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"env": "prod"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			constraint := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sEndorSignedImages", "metadata": map[string]any{"name": "c"},
				"spec": map[string]any{},
			}}
			if tc.match != nil {
				constraint.Object["spec"] = map[string]any{"match": tc.match}
			}
			got, err := engine.Matches(constraint, pod, tc.namespace)
			if err != nil || got != tc.want {
				t.Errorf("Matches = %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestMatchesRefusesAMatchThatCannotBeRead(t *testing.T) {
	t.Parallel()
	constraint := &unstructured.Unstructured{Object: map[string]any{"kind": "K", "spec": map[string]any{"match": map[string]any{"kinds": "Pod"}}}}
	if _, err := engine.Matches(constraint, constraint, nil); err == nil {
		t.Error("Matches of a match with a string for kinds: no error")
	}
}
