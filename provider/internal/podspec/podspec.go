// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package podspec knows the kinds of objects that run images, as the policy
// does: where each of them keeps the spec of its Pods, and which images that
// names.
//
// Whatever looks at workloads asks here, so that nothing is judged in one place
// and passed over in another. Kinds that a controller of somebody else's makes
// Pods from are not known.
package podspec

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind is a kind of objects that run images. It can be compared.
type Kind struct {
	schema.GroupVersionResource
	Kind string

	spec string // fields on the way to the spec, with dots between
}

// GVK names the kind.
func (k Kind) GVK() schema.GroupVersionKind { return k.GroupVersion().WithKind(k.Kind) }

func kind(group, resource, name, spec string) Kind {
	return Kind{GroupVersionResource: schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}, Kind: name, spec: spec}
}

// Pods, and what they may be owned by without that anybody wrote it.
var (
	ReplicaSets = kind("apps", "replicasets", "ReplicaSet", "spec.template.spec")
	Jobs        = kind("batch", "jobs", "Job", "spec.template.spec")
	Pods        = kind("", "pods", "Pod", "spec")
)

var kinds = []Kind{
	kind("apps", "deployments", "Deployment", "spec.template.spec"),
	kind("apps", "statefulsets", "StatefulSet", "spec.template.spec"),
	kind("apps", "daemonsets", "DaemonSet", "spec.template.spec"),
	kind("batch", "cronjobs", "CronJob", "spec.jobTemplate.spec.template.spec"),
	kind("", "replicationcontrollers", "ReplicationController", "spec.template.spec"),
	kind("", "podtemplates", "PodTemplate", "template.spec"),
	ReplicaSets,
	Jobs,
	Pods,
}

// Kinds are all of them, owners before what they own, and Pods last.
func Kinds() []Kind { return slices.Clone(kinds) }

// Named finds a kind by its name alone.
func Named(name string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Kind == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// RunsImages says whether objects of this kind hold the spec of a Pod.
func RunsImages(object *unstructured.Unstructured) bool {
	_, ok := Named(object.GetKind())
	return ok
}

// Of is the spec of the Pod that an object is or makes, which must not be
// changed; false if there is none that can be read.
func Of(object *unstructured.Unstructured) (map[string]any, bool) {
	k, ok := Named(object.GetKind())
	if !ok {
		return nil, false
	}
	return mapAt(object, k.spec)
}

// Template is the template of the Pods that an object makes, which must not be
// changed; false if it makes none, or has none that can be read.
func Template(object *unstructured.Unstructured) (map[string]any, bool) {
	k, _ := Named(object.GetKind())
	path, makes := strings.CutSuffix(k.spec, ".spec")
	if !makes {
		return nil, false
	}
	return mapAt(object, path)
}

func mapAt(object *unstructured.Unstructured, path string) (map[string]any, bool) {
	value, _, _ := unstructured.NestedFieldNoCopy(object.Object, strings.Split(path, ".")...)
	found, ok := value.(map[string]any)
	return found, ok
}
