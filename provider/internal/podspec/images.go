// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package podspec

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// Image is an image that an object has a cluster run or mount, and where it
// stands in the object.
type Image struct {
	// List is where it stands: containers, initContainers, ephemeralContainers
	// or volumes.
	List string

	// Name of the container or volume.
	Name string

	// Reference as it is written.
	Reference string
}

// Images lists the images of a Pod or of a workload, in the order in which they
// are written; none for objects of other kinds.
func Images(object *unstructured.Unstructured) []Image {
	spec, _ := Of(object)
	var images []Image
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers", "volumes"} {
		entries, _ := spec[list].([]any)
		for _, entry := range entries {
			if image, ok := imageOf(list, entry); ok {
				images = append(images, image)
			}
		}
	}
	return images
}

func imageOf(list string, entry any) (Image, bool) {
	fields, ok := entry.(map[string]any)
	if !ok {
		return Image{}, false
	}
	path := []string{"image"}
	if list == "volumes" {
		path = []string{"image", "reference"}
	}
	reference, ok, _ := unstructured.NestedString(fields, path...)
	name, _, _ := unstructured.NestedString(fields, "name")
	// A container without an image is still one that a policy has to judge.
	return Image{List: list, Name: name, Reference: reference}, ok || list != "volumes"
}
