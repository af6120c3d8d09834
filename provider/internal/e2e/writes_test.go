// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// There are many ways to write to a Pod that runs. Gatekeeper is asked, or the
// API server lets no image be changed.
func TestNoPatchBringsAnUnsignedImageIntoAPodThatRuns(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	output, err := p.create(t, pod("app", signed))
	mustAdmit(t, output, err)

	for list, spec := range map[string]string{
		"containers":          fmt.Sprintf(`{"containers": [{"name": "app", "image": %q}]}`, unsigned),
		"ephemeralContainers": fmt.Sprintf(`{"ephemeralContainers": [{"name": "debug", "image": %q}]}`, unsigned),
	} {
		operation := fmt.Sprintf(`{"op": "replace", "path": "/spec/containers/0/image", "value": %q}`, unsigned)
		if list == "ephemeralContainers" {
			operation = fmt.Sprintf(`{"op": "add", "path": "/spec/ephemeralContainers", "value": [{"name": "debug", "image": %q}]}`, unsigned)
		}
		for kind, patch := range map[types.PatchType]string{
			types.JSONPatchType:           "[" + operation + "]",
			types.MergePatchType:          `{"spec": ` + spec + `}`,
			types.StrategicMergePatchType: `{"spec": ` + spec + `}`,
			types.ApplyPatchType:          `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": ` + spec + `}`,
		} {
			for _, subresource := range []string{"", "ephemeralcontainers", "resize", "status"} {
				what := fmt.Sprintf("%s to pods/%s, %s", list, subresource, kind)
				err := p.patch(t, kind, patch, subresource)
				if images := p.images(t); strings.Contains(images, unsigned) {
					t.Fatalf("%s: the Pod has the images %s", what, images)
				}
				// Where the list belongs, it is the policy that says no.
				asked := list == "containers" && subresource == "" || list == "ephemeralContainers" && subresource == "ephemeralcontainers"
				if asked && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "[NOT_SIGNED]")) {
					t.Errorf("%s: %v, want a refusal with NOT_SIGNED", what, err)
				}
			}
		}
	}
}

// patch writes to the Pod app, or to a subresource of it.
func (p place) patch(t *testing.T, kind types.PatchType, patch, subresource string) error {
	t.Helper()
	options := metav1.PatchOptions{FieldManager: "somebody"}
	if kind == types.ApplyPatchType {
		force := true
		options.Force = &force
	}
	var subresources []string
	if subresource != "" {
		subresources = []string{subresource}
	}
	_, err := cluster.Dynamic.Resource(podResource).Namespace(p.name).Patch(t.Context(), "app", kind, []byte(patch), options, subresources...)
	return err
}

// images are those of all lists of the Pod app.
func (p place) images(t *testing.T) string {
	t.Helper()
	object, err := cluster.Dynamic.Resource(podResource).Namespace(p.name).Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec, _, err := unstructured.NestedMap(object.Object, "spec")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(spec["containers"], spec["initContainers"], spec["ephemeralContainers"])
}
