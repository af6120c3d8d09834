// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var policyReports = schema.GroupVersionResource{Group: "wgpolicyk8s.io", Version: "v1alpha2", Resource: "policyreports"}

// The account of examples/report-cronjob.yaml, and what --apply needs besides.
func TestPolicyReportsFollowWhatRuns(t *testing.T) {
	p := newPlace(t)
	output, err := p.create(t, pod("app", unsigned))
	mustAdmit(t, output, err)
	p.enforce(t, "dryrun", pods, ofAcme)
	account := plugin{kubeconfig: cronJobAccount(t)}

	if r := account.report(t, 0); !r.Complete {
		t.Errorf("the account may not read all: %v", r.Notices)
	}
	// Who may not write them is not told whether the cluster knows them.
	if said := (plugin{}).run(t, 2, "report", "--apply"); !strings.Contains(said.stderr, "the cluster does not know policyreports of ") {
		t.Errorf("without their CRD it said %s", said.stderr)
	}
	defineKind(t, "testdata/policyreports.yaml", "policyreports.wgpolicyk8s.io")
	if said := account.run(t, 2, "report", "--apply"); !strings.Contains(said.stderr, "allow the verbs create and patch on policyreports ") {
		t.Errorf("without permission it said %s", said.stderr)
	}
	allowApply(t)

	account.run(t, 0, "report", "--apply")
	p.reports(t, "warn", unsigned)

	if _, err := p.kubectl(t, "", "delete", "pod", "app", "--wait"); err != nil {
		t.Fatal(err)
	}
	output, err = p.create(t, pod("app", signed))
	mustAdmit(t, output, err)
	account.run(t, 0, "report", "--apply")
	p.reports(t, "pass", signed)

	// What runs no more is reported no more.
	if _, err := p.kubectl(t, "", "delete", "pod", "app", "--wait"); err != nil {
		t.Fatal(err)
	}
	account.run(t, 0, "report", "--apply")
	_, err = cluster.Dynamic.Resource(policyReports).Namespace(p.name).Get(t.Context(), "endor-gatekeeper-provider", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("of a namespace that runs nothing there is still a report, or: %v", err)
	}
}

// reports holds that the PolicyReport of the namespace has that one result, of
// the Pod app.
func (p place) reports(t *testing.T, result, image string) {
	t.Helper()
	object, err := cluster.Dynamic.Resource(policyReports).Namespace(p.name).Get(t.Context(), "endor-gatekeeper-provider", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	results, _, err := unstructured.NestedSlice(object.Object, "results")
	if err != nil || len(results) != 1 {
		t.Fatalf("results %v, %v", results, err)
	}
	one, _ := results[0].(map[string]any)
	of, _, _ := unstructured.NestedString(one, "properties", "image")
	resources, _, _ := unstructured.NestedSlice(one, "resources")
	count, _, _ := unstructured.NestedInt64(object.Object, "summary", result)
	if one["result"] != result || of != image || count != 1 || len(resources) != 1 || resources[0].(map[string]any)["name"] != "app" {
		t.Errorf("it has %v, want %s of %s", object.Object, result, image)
	}
}

// cronJobAccount applies examples/report-cronjob.yaml, and gives a kubeconfig
// of the ServiceAccount in it.
func cronJobAccount(t *testing.T) string {
	t.Helper()
	const namespace = "image-report"
	if _, err := cluster.Kubectl(t.Context(), "create", "namespace", namespace); err != nil {
		t.Fatal(err)
	}
	example := filepath.Join(config.Root, "examples", "report-cronjob.yaml")
	if _, err := cluster.Kubectl(t.Context(), "apply", "-f", example); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := cluster.Kubectl(ctx, "delete", "--wait=false", "-f", example); err != nil {
			t.Error(err)
		}
	})
	kubeconfig, err := cluster.KubeconfigOf(t.Context(), namespace, "image-report")
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// allowApply gives the account what docs/report.md says that --apply needs.
func allowApply(t *testing.T) {
	t.Helper()
	manifest := `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: image-report-apply}
rules:
  - apiGroups: [wgpolicyk8s.io]
    resources: [policyreports, clusterpolicyreports]
    verbs: [create, patch, list, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: image-report-apply}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: image-report-apply}
subjects: [{kind: ServiceAccount, name: image-report, namespace: image-report}]
`
	if err := cluster.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "clusterrole,clusterrolebinding", "image-report-apply"); err != nil {
			t.Error(err)
		}
	})
}

// defineKind has the cluster know a kind until the test ends.
func defineKind(t *testing.T, file, name string) {
	t.Helper()
	manifest, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Apply(t.Context(), string(manifest)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "customresourcedefinition", name); err != nil {
			t.Error(err)
		}
	})
	if _, err := cluster.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=1m", "customresourcedefinition", name); err != nil {
		t.Fatal(err)
	}
}
