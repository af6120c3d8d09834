// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/render"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

var policyReports = schema.GroupVersionResource{Group: "wgpolicyk8s.io", Version: "v1alpha2", Resource: "policyreports"}

// applyPolicyReports writes the PolicyReports of a report into the cluster, by
// server-side apply. Those of a report that is not complete are not written:
// they would replace what is known of the images that it lacks.
func applyPolicyReports(ctx context.Context, cluster *inventory.Cluster, r *report.Report, stderr io.Writer) error {
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
			return fmt.Errorf("--apply: may not write PolicyReports in namespace %s: allow the verb patch on policyreports of API group %s", object.GetNamespace(), policyReports.Group)
		case err != nil:
			return fmt.Errorf("--apply: PolicyReport %s/%s: %w", object.GetNamespace(), object.GetName(), err)
		}
	}
	fmt.Fprintf(stderr, "Wrote %s.\n", count(len(objects), "PolicyReport"))
	return nil
}
