// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/render"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

var (
	policyReports        = schema.GroupVersionResource{Group: "wgpolicyk8s.io", Version: "v1alpha2", Resource: "policyreports"}
	clusterPolicyReports = policyReports.GroupVersion().WithResource("clusterpolicyreports")
)

// reportResource is where a PolicyReport is written; that of no namespace is of
// a kind of its own.
func reportResource(object *unstructured.Unstructured) schema.GroupVersionResource {
	if object.GetNamespace() == "" {
		return clusterPolicyReports
	}
	return policyReports
}

// reportName is how people know a PolicyReport.
func reportName(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetKind() + " " + object.GetName()
	}
	return fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
}

// managedBy is the label by which PolicyReports of this program are known.
const managedBy = "app.kubernetes.io/managed-by"

// applyPolicyReports writes the PolicyReports of a report into the cluster, by
// server-side apply; namespace is the only one that was looked at, if any. Those
// of a report that is not complete are not written: they would replace what is
// known of the images that it lacks.
func applyPolicyReports(ctx context.Context, cluster *inventory.Cluster, r *report.Report, namespace string, stderr io.Writer) error {
	if !r.Complete {
		return errors.New("--apply: no PolicyReport is written, since the report is not complete")
	}
	objects := render.PolicyReports(r)
	for _, object := range objects {
		resource := reportResource(object)
		client := cluster.Objects().Resource(resource).Namespace(object.GetNamespace())
		_, err := client.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: program, Force: true})
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("--apply: %s: the cluster does not know %s of %s, or not that namespace any more; install their CustomResourceDefinition", reportName(object), resource.Resource, resource.GroupVersion())
		case apierrors.IsForbidden(err):
			return fmt.Errorf("--apply: may not write %s: allow the verbs create and patch on %s of API group %s", reportName(object), resource.Resource, resource.Group)
		case err != nil:
			return fmt.Errorf("--apply: %s: %w", reportName(object), err)
		}
	}
	fmt.Fprintf(stderr, "Wrote %s.\n", printable.Count(len(objects), "PolicyReport"))
	if namespace != "" {
		return nil // of others nothing is known
	}
	return removeOldReports(ctx, cluster, objects)
}

// removeOldReports deletes the PolicyReports of earlier runs about namespaces
// that run no image any more: they would go on saying what is no longer so.
func removeOldReports(ctx context.Context, cluster *inventory.Cluster, current []*unstructured.Unstructured) error {
	for _, resource := range []schema.GroupVersionResource{policyReports, clusterPolicyReports} {
		list, err := cluster.Objects().Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: managedBy + "=" + render.ManagedBy})
		if apierrors.IsNotFound(err) {
			continue // then there are none
		}
		if err != nil {
			return fmt.Errorf("--apply: find %s that say what is no longer so (this needs the verbs list and delete on them): %w", resource.Resource, err)
		}
		for i := range list.Items {
			old := &list.Items[i]
			if old.GetLabels()[managedBy] != render.ManagedBy || slices.ContainsFunc(current, func(o *unstructured.Unstructured) bool {
				return o.GetNamespace() == old.GetNamespace() && o.GetName() == old.GetName()
			}) {
				continue
			}
			err := cluster.Objects().Resource(resource).Namespace(old.GetNamespace()).Delete(ctx, old.GetName(), metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("--apply: delete %s: %w", reportName(old), err)
			}
		}
	}
	return nil
}
