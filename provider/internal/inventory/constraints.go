// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var constraints = schema.GroupVersion{Group: "constraints.gatekeeper.sh", Version: "v1beta1"}

// ErrNoConstraints says that a cluster has no constraints of the kind that was
// asked for.
var ErrNoConstraints = errors.New("no constraints")

// Constraints reads the constraints of one kind; of all kinds if kind is empty.
// It gives those that it could read and joins the errors of the others. The
// error wraps [ErrNoConstraints] if there are none.
func (c *Cluster) Constraints(ctx context.Context, kind string) ([]*unstructured.Unstructured, error) {
	resources, err := c.discovery.ServerResourcesForGroupVersion(constraints.String())
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: the cluster has no ConstraintTemplate; is Gatekeeper installed, and the template applied?", ErrNoConstraints)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot discover the kinds of %s: %w", constraints, err)
	}
	var found []*unstructured.Unstructured
	var errs []error
	known := false
	for _, r := range resources.APIResources {
		if strings.Contains(r.Name, "/") || kind != "" && r.Kind != kind || !slices.Contains(r.Verbs, "list") {
			continue
		}
		known = true
		errs = append(errs, c.visit(ctx, constraints.WithResource(r.Name), metav1.NamespaceNone, func(items []unstructured.Unstructured) error {
			for i := range items {
				items[i].SetGroupVersionKind(constraints.WithKind(r.Kind))
				found = append(found, &items[i])
			}
			return nil
		}))
	}
	switch err := errors.Join(errs...); {
	case err != nil:
		return found, err
	case !known && kind != "":
		return nil, fmt.Errorf("%w: the cluster has no ConstraintTemplate of kind %s; apply policies/library", ErrNoConstraints, kind)
	case len(found) == 0:
		return nil, fmt.Errorf("%w: the cluster has a template but no constraint, so Gatekeeper asks about no image", ErrNoConstraints)
	}
	return found, nil
}

var templates = schema.GroupVersionResource{Group: "templates.gatekeeper.sh", Version: "v1", Resource: "constrainttemplates"}

// Template reads the ConstraintTemplate of a kind; nil if there is none.
func (c *Cluster) Template(ctx context.Context, kind string) (*unstructured.Unstructured, error) {
	template, err := c.objects.Resource(templates).Get(ctx, strings.ToLower(kind), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return template, readError("get", templates, "", err)
}
