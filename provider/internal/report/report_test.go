// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
)

func object(t *testing.T, yaml string) *unstructured.Unstructured {
	t.Helper()
	objects, err := manifest.Decode(strings.NewReader(yaml), "test")
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	return objects[0].Unstructured
}

func violation(action, container, image, code string) engine.Violation {
	return engine.Violation{
		Constraint:        &unstructured.Unstructured{Object: map[string]any{"kind": "K8sEndorSignedImages", "metadata": map[string]any{"name": "c"}}},
		EnforcementAction: action, Message: "[" + code + "] it", Details: map[string]any{"container": container, "image": image, "code": code},
	}
}

func TestEveryImageHasItsRowAndEveryViolationIsTold(t *testing.T) {
	t.Parallel()
	pod := object(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: ns}\nspec: {containers: [{name: a, image: one}, {name: b, image: two}]}")
	got := rows(pod, []engine.Violation{
		violation("warn", "a", "one", "UNAVAILABLE"), violation("deny", "a", "one", "NOT_SIGNED"), violation("dryrun", "a", "one", "REVOKED"),
		violation("deny", "", "", "TOO_MANY_IMAGES"), violation("whatever", "b", "other", "NO_DIGEST"),
	})
	base := Row{Namespace: "ns", Kind: "Pod", Object: "p"}
	row := func(list, container, image string, d Decision, code string) Row {
		r := base
		r.List, r.Container, r.Image, r.Decision, r.Code = list, container, image, d, code
		if code != "" {
			r.Reason, r.Constraint = "["+code+"] it", "K8sEndorSignedImages/c"
		}
		return r
	}
	want := []Row{
		row("containers", "a", "one", Denied, "NOT_SIGNED"), row("containers", "b", "two", Denied, ""),
		row("", "", "", Denied, "TOO_MANY_IMAGES"), row("", "", "", Denied, "NO_DIGEST"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestNoImageOfARefusedObjectIsSaidToBeAdmittedUnlessTheRefusalIsAboutAnother(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 600)
	pod := object(t, "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, image: "+long+"}, {name: '', image: other}, {name: c, image: fine}]}")
	got := rows(pod, []engine.Violation{
		violation("deny", "a", long[:512], "BAD_REFERENCE"), // details keep so much of it
		violation("deny", "", "other", "NO_DIGEST"),
	})
	var decisions []Decision
	for _, r := range got {
		decisions = append(decisions, r.Decision)
	}
	if diff := cmp.Diff([]Decision{Denied, Denied, Admitted}, decisions); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}
