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

var policyReports = schema.GroupVersionResource{Group: "wgpolicyk8s.io", Version: "v1alpha2", Resource: "policyreports"}

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
		client := cluster.Objects().Resource(policyReports).Namespace(object.GetNamespace())
		_, err := client.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: program, Force: true})
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("--apply: the cluster does not know PolicyReports of %s, or has no namespace %s any more; install their CustomResourceDefinition", policyReports.GroupVersion(), object.GetNamespace())
		case apierrors.IsForbidden(err):
			return fmt.Errorf("--apply: may not write PolicyReports in namespace %s: allow the verbs create and patch on policyreports of API group %s", object.GetNamespace(), policyReports.Group)
		case err != nil:
			return fmt.Errorf("--apply: PolicyReport %s/%s: %w", object.GetNamespace(), object.GetName(), err)
		}
	}
	fmt.Fprintf(stderr, "Wrote %s.\n", printable.Count(len(objects), "PolicyReport"))
	if namespace != "" {
		return nil // of others nothing is known
	}
	return removeOldReports(ctx, cluster, objects)
}

// removeOldReports deletes the PolicyReports of earlier runs in namespaces that
// run no image any more: they would go on saying what is no longer so.
func removeOldReports(ctx context.Context, cluster *inventory.Cluster, current []*unstructured.Unstructured) error {
	list, err := cluster.Objects().Resource(policyReports).List(ctx, metav1.ListOptions{LabelSelector: managedBy + "=" + render.ManagedBy})
	if err != nil {
		return fmt.Errorf("--apply: find PolicyReports of namespaces that run nothing any more (this needs the verbs list and delete on policyreports): %w", err)
	}
	for i := range list.Items {
		old := &list.Items[i]
		if old.GetLabels()[managedBy] != render.ManagedBy || slices.ContainsFunc(current, func(o *unstructured.Unstructured) bool {
			return o.GetNamespace() == old.GetNamespace() && o.GetName() == old.GetName()
		}) {
			continue
		}
		err := cluster.Objects().Resource(policyReports).Namespace(old.GetNamespace()).Delete(ctx, old.GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("--apply: delete PolicyReport %s/%s: %w", old.GetNamespace(), old.GetName(), err)
		}
	}
	return nil
}
