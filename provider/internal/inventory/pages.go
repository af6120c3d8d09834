// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/apianswer"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

const (
	// pageSize is how many objects are asked for, and held, at a time.
	pageSize = 500

	// restarts are how often a list may begin anew because the server forgot
	// the version that it was read at, which it does after some minutes.
	restarts = 5
)

// page is one answer of a list.
type page[T any] struct {
	items    []T
	next     string // continue token; empty at the end
	identity func(*T) types.UID
}

// read reads a list page by page. If its version expires on the way, it goes on
// where it was with what the server offers for that, or begins anew and passes
// over what was visited.
func read[T any](ctx context.Context, list func(context.Context, metav1.ListOptions) (page[T], error), visit func([]T) error) error {
	visited := map[types.UID]struct{}{}
	options := metav1.ListOptions{Limit: pageSize}
	for expired := 0; ; {
		p, err := list(ctx, options)
		switch {
		case apierrors.IsResourceExpired(err) && expired < restarts:
			expired++
			options.Continue = resume(err)
			continue
		case errors.Is(err, apianswer.ErrTooLarge) && options.Limit > 1:
			options.Limit = max(options.Limit/5, 1) // 0 would be all of them
			continue
		case err != nil:
			return err
		}
		fresh := p.items[:0]
		for i := range p.items {
			id := p.identity(&p.items[i])
			if _, known := visited[id]; known && id != "" {
				continue
			}
			visited[id] = struct{}{}
			fresh = append(fresh, p.items[i])
		}
		if err := visit(fresh); err != nil {
			return err
		}
		if p.next == "" {
			return nil
		}
		options.Continue = p.next
	}
}

// resume is the token with which the server goes on in a newer version; empty
// if there is none, which begins anew.
func resume(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Continue
	}
	return ""
}

// Visit reads all objects of a kind, or those of one namespace, and hands them
// to visit page by page. visit must not keep a page. An error of visit's ends
// the reading and is returned as it is; others are a [ReadError].
func (c *Cluster) Visit(ctx context.Context, kind podspec.Kind, namespace string, visit func([]unstructured.Unstructured) error) error {
	return c.visit(ctx, kind.GroupVersionResource, namespace, func(items []unstructured.Unstructured) error {
		for i := range items {
			// Of a list of built-in kinds only the list names them.
			items[i].SetGroupVersionKind(kind.GVK())
		}
		return visit(items)
	})
}

func (c *Cluster) visit(ctx context.Context, gvr schema.GroupVersionResource, namespace string, visit func([]unstructured.Unstructured) error) error {
	return classify(gvr, namespace, visit, func(visit func([]unstructured.Unstructured) error) error {
		return read(ctx, func(ctx context.Context, options metav1.ListOptions) (page[unstructured.Unstructured], error) {
			list, err := c.objects.Resource(gvr).Namespace(namespace).List(ctx, options)
			if err != nil {
				return page[unstructured.Unstructured]{}, err
			}
			return page[unstructured.Unstructured]{
				items: list.Items, next: list.GetContinue(), identity: (*unstructured.Unstructured).GetUID,
			}, nil
		}, visit)
	})
}

// classify tells errors of visit's from those of reading.
func classify[T any](gvr schema.GroupVersionResource, namespace string, visit func([]T) error, read func(func([]T) error) error) error {
	var own error
	err := read(func(items []T) error {
		own = visit(items)
		return own
	})
	if own != nil {
		return own
	}
	return readError("list", gvr, namespace, err)
}

// Count says how many objects of a resource there are, without reading them.
func (c *Cluster) Count(ctx context.Context, gvr schema.GroupVersionResource, namespace string) (int, error) {
	list, err := c.metadata.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, readError("list", gvr, namespace, err)
	}
	n := len(list.Items)
	switch {
	case list.RemainingItemCount != nil:
		n += int(*list.RemainingItemCount)
	case list.Continue != "":
		return 0, readError("list", gvr, namespace, fmt.Errorf("the server does not say how many there are"))
	}
	return n, nil
}

// Get reads one object.
func (c *Cluster) Get(ctx context.Context, kind podspec.Kind, namespace, name string) (*unstructured.Unstructured, error) {
	object, err := c.objects.Resource(kind.GroupVersionResource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	return object, readError("get", kind.GroupVersionResource, namespace, err)
}

// CountKind says how many objects of a kind there are that the cluster may or
// may not know.
func (c *Cluster) CountKind(ctx context.Context, kind schema.GroupKind, namespace string) (int, error) {
	groups, err := c.discovery.ServerGroups()
	if err != nil {
		return 0, fmt.Errorf("cannot discover the kinds of the cluster: %w", err)
	}
	for _, group := range groups.Groups {
		if group.Name != kind.Group {
			continue
		}
		resources, err := c.discovery.ServerResourcesForGroupVersion(group.PreferredVersion.GroupVersion)
		if err != nil {
			return 0, fmt.Errorf("cannot discover the kinds of %s: %w", group.PreferredVersion.GroupVersion, err)
		}
		for _, r := range resources.APIResources {
			if r.Kind != kind.Kind || strings.Contains(r.Name, "/") {
				continue
			}
			if !r.Namespaced {
				namespace = ""
			}
			gvr := schema.GroupVersionResource{Group: kind.Group, Version: group.PreferredVersion.Version, Resource: r.Name}
			return c.Count(ctx, gvr, namespace)
		}
	}
	return 0, nil
}
