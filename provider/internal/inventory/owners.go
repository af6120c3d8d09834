// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// Owner is what controls an object.
type Owner struct {
	Kind, Name string
}

// Owners know what stands between Pods and the workloads that people write:
// the owners of ReplicaSets and Jobs. The zero value knows nothing.
type Owners struct {
	of map[types.UID]Owner
}

// Learn notes the owner of an object, if it has one that controls it.
func (o *Owners) Learn(object metav1.Object) {
	controller := metav1.GetControllerOfNoCopy(object)
	if controller == nil {
		return
	}
	if o.of == nil {
		o.of = map[types.UID]Owner{}
	}
	o.of[object.GetUID()] = Owner{Kind: controller.Kind, Name: controller.Name}
}

// Top gives the topmost owner of an object that is known: the object itself if
// nothing controls it.
func (o *Owners) Top(kind string, object metav1.Object) Owner {
	controller := metav1.GetControllerOfNoCopy(object)
	if controller == nil {
		return Owner{Kind: kind, Name: object.GetName()}
	}
	if above, ok := o.of[controller.UID]; ok {
		return above
	}
	return Owner{Kind: controller.Kind, Name: controller.Name}
}

// LearnAll learns the owners of all objects of a kind, or of those of one
// namespace, reading no more of them than their metadata.
func (c *Cluster) LearnAll(ctx context.Context, kind podspec.Kind, namespace string, owners *Owners) error {
	gvr := kind.GroupVersionResource
	err := read(ctx, func(ctx context.Context, options metav1.ListOptions) (page[metav1.PartialObjectMetadata], error) {
		list, err := c.metadata.Resource(gvr).Namespace(namespace).List(ctx, options)
		if err != nil {
			return page[metav1.PartialObjectMetadata]{}, err
		}
		return page[metav1.PartialObjectMetadata]{
			items: list.Items, next: list.Continue,
			identity: func(m *metav1.PartialObjectMetadata) types.UID { return m.UID },
		}, nil
	}, func(items []metav1.PartialObjectMetadata) error {
		for i := range items {
			owners.Learn(&items[i])
		}
		return nil
	})
	return readError("list", gvr, namespace, err)
}
