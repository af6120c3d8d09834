// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package report says what images run, or would, and whether they are admitted.
package report

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ImageUse is an image that an object has a cluster run or mount, and where it
// stands in the object.
type ImageUse struct {
	// List is where it stands: containers, initContainers, ephemeralContainers
	// or volumes.
	List string

	// Name of the container or volume.
	Name string

	// Reference as it is written.
	Reference string
}

// podSpecs is where kinds keep the spec of the Pods that they make.
var podSpecs = map[string][]string{
	"Pod":                   {"spec"},
	"Deployment":            {"spec", "template", "spec"},
	"ReplicaSet":            {"spec", "template", "spec"},
	"StatefulSet":           {"spec", "template", "spec"},
	"DaemonSet":             {"spec", "template", "spec"},
	"Job":                   {"spec", "template", "spec"},
	"ReplicationController": {"spec", "template", "spec"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template", "spec"},
	"PodTemplate":           {"template", "spec"},
}

// RunsImages says whether objects of this kind hold the spec of a Pod.
func RunsImages(object *unstructured.Unstructured) bool {
	_, ok := podSpecs[object.GetKind()]
	return ok
}

// PodSpec is the spec of the Pod that an object is or makes, which must not be
// changed; false if there is none that can be read.
func PodSpec(object *unstructured.Unstructured) (map[string]any, bool) {
	path, ok := podSpecs[object.GetKind()]
	if !ok {
		return nil, false
	}
	return mapAt(object, path)
}

// PodTemplate is the template of the Pods that an object makes, which must not
// be changed; false if it makes none, or has none that can be read.
func PodTemplate(object *unstructured.Unstructured) (map[string]any, bool) {
	path := podSpecs[object.GetKind()]
	if len(path) < 2 {
		return nil, false
	}
	return mapAt(object, path[:len(path)-1])
}

func mapAt(object *unstructured.Unstructured, path []string) (map[string]any, bool) {
	value, _, _ := unstructured.NestedFieldNoCopy(object.Object, path...)
	found, ok := value.(map[string]any)
	return found, ok
}

// ImageUses lists the images of a Pod or of a workload, in the order in which they
// are written; none for objects of other kinds.
func ImageUses(object *unstructured.Unstructured) []ImageUse {
	spec, _ := PodSpec(object)
	var images []ImageUse
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

func imageOf(list string, entry any) (ImageUse, bool) {
	fields, ok := entry.(map[string]any)
	if !ok {
		return ImageUse{}, false
	}
	path := []string{"image"}
	if list == "volumes" {
		path = []string{"image", "reference"}
	}
	reference, ok, _ := unstructured.NestedString(fields, path...)
	name, _, _ := unstructured.NestedString(fields, "name")
	// A container without an image is still one that a policy has to judge.
	return ImageUse{List: list, Name: name, Reference: reference}, ok || list != "volumes"
}
