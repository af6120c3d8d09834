// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventory_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory/inventorytest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

func cluster(t *testing.T, server *inventorytest.Server) *inventory.Cluster {
	t.Helper()
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	c, err := inventory.New(&rest.Config{Host: listener.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func object(apiVersion, kind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
	meta := map[string]any{"name": name, "uid": kind + "-" + namespace + "-" + name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": meta}}
	for key, value := range fields {
		o.Object[key] = value
	}
	return o
}

func owned(o *unstructured.Unstructured, apiVersion, kind, name string) *unstructured.Unstructured {
	o.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{
		"apiVersion": apiVersion, "kind": kind, "name": name, "uid": kind + "-" + o.GetNamespace() + "-" + name, "controller": true,
	}}
	return o
}

const many = 1234

func crowd() *inventorytest.Server {
	s := &inventorytest.Server{}
	for i := range many {
		s.Put(object("v1", "Pod", "shop", fmt.Sprintf("pod-%04d", i), nil))
	}
	s.Put(object("v1", "Pod", "other", "alone", nil))
	return s
}

func TestEveryObjectIsVisitedOnceInPages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		namespace string
		expire    func(*inventorytest.Server)
		want      int
	}{
		{name: "of all namespaces", want: many + 1},
		{name: "of one namespace", namespace: "shop", want: many},
		{name: "though the list expires and can go on", want: many + 1, expire: func(s *inventorytest.Server) { s.Expire("pods", 2, true) }},
		{name: "though the list expires and begins anew", want: many + 1, expire: func(s *inventorytest.Server) { s.Expire("pods", 2, false) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := crowd()
			if tc.expire != nil {
				tc.expire(s)
			}
			seen := map[string]int{}
			err := cluster(t, s).Visit(t.Context(), podspec.Pods, tc.namespace, func(items []unstructured.Unstructured) error {
				if len(items) > 500 {
					t.Errorf("a page of %d", len(items))
				}
				for i := range items {
					seen[items[i].GetNamespace()+"/"+items[i].GetName()]++
					if items[i].GetKind() != "Pod" {
						t.Errorf("an object of kind %q", items[i].GetKind())
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for name, n := range seen {
				if n != 1 {
					t.Errorf("%s was visited %d times", name, n)
				}
			}
			if len(seen) != tc.want || slices.ContainsFunc(s.Limits(), func(limit int) bool { return limit != 500 }) {
				t.Errorf("%d objects with limits %v, want %d", len(seen), s.Limits(), tc.want)
			}
		})
	}
}

func TestAnErrorOfTheVisitorEndsTheReading(t *testing.T) {
	t.Parallel()
	s, enough := crowd(), errors.New("enough")
	err := cluster(t, s).Visit(t.Context(), podspec.Pods, "", func([]unstructured.Unstructured) error { return enough })
	if !errors.Is(err, enough) || errors.As(err, new(*inventory.ReadError)) || s.Asked()["list pods"] != 1 {
		t.Errorf("error %v after %d pages", err, s.Asked()["list pods"])
	}
}

func TestWhatMayNotBeReadSaysWhichVerbOnWhat(t *testing.T) {
	t.Parallel()
	s := &inventorytest.Server{}
	s.Define("config.gatekeeper.sh/v1alpha1", "configs", "Config", true)
	s.Forbid("list", "deployments.apps")
	s.Forbid("list", "pods")
	s.Forbid("get", "configs.config.gatekeeper.sh")
	c := cluster(t, s)
	visit := func([]unstructured.Unstructured) error { return nil }
	_, config := c.Exclusions(t.Context(), "gatekeeper-system")
	for _, tc := range []struct {
		err  error
		want string
	}{
		{c.Visit(t.Context(), podspec.Kinds()[0], "", visit), "may not list deployments.apps: allow the verb list on deployments of API group apps"},
		{c.Visit(t.Context(), podspec.Pods, "shop", visit), "may not list pods in namespace shop: allow the verb list on pods of the core API group"},
		{config, "may not get configs.config.gatekeeper.sh in namespace gatekeeper-system: allow the verb get on configs of API group config.gatekeeper.sh"},
	} {
		if tc.err == nil || tc.err.Error() != tc.want {
			t.Errorf("error %v\nwant  %s", tc.err, tc.want)
		}
	}
}

func TestOwnersAreThoseAtTheTop(t *testing.T) {
	t.Parallel()
	s := &inventorytest.Server{}
	for i := range 600 {
		name := fmt.Sprintf("web-%03d", i)
		s.Put(owned(object("apps/v1", "ReplicaSet", "shop", name+"-5d9f", map[string]any{"spec": map[string]any{"x": strings.Repeat("y", 100)}}), "apps/v1", "Deployment", name))
	}
	s.Put(object("apps/v1", "ReplicaSet", "shop", "bare", nil))
	s.Put(owned(object("batch/v1", "Job", "shop", "nightly-1", nil), "batch/v1", "CronJob", "nightly"))
	c := cluster(t, s)
	var owners inventory.Owners
	for _, kind := range []podspec.Kind{podspec.ReplicaSets, podspec.Jobs} {
		if err := c.LearnAll(t.Context(), kind, "", &owners); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		pod  *unstructured.Unstructured
		want inventory.Owner
	}{
		{owned(object("v1", "Pod", "shop", "p", nil), "apps/v1", "ReplicaSet", "web-599-5d9f"), inventory.Owner{Kind: "Deployment", Name: "web-599"}},
		{owned(object("v1", "Pod", "shop", "p", nil), "batch/v1", "Job", "nightly-1"), inventory.Owner{Kind: "CronJob", Name: "nightly"}},
		{owned(object("v1", "Pod", "shop", "p", nil), "apps/v1", "ReplicaSet", "bare"), inventory.Owner{Kind: "ReplicaSet", Name: "bare"}},
		{owned(object("v1", "Pod", "shop", "p", nil), "apps/v1", "ReplicaSet", "unheard-of"), inventory.Owner{Kind: "ReplicaSet", Name: "unheard-of"}},
		{owned(object("v1", "Pod", "shop", "p", nil), "apps/v1", "StatefulSet", "db"), inventory.Owner{Kind: "StatefulSet", Name: "db"}},
		{object("v1", "Pod", "shop", "p", nil), inventory.Owner{Kind: "Pod", Name: "p"}},
	} {
		if got := owners.Top("Pod", tc.pod); got != tc.want {
			t.Errorf("the owner of a Pod of %v is %v, want %v", tc.pod.GetOwnerReferences(), got, tc.want)
		}
	}
}

func TestConstraintsAreThoseOfOneKindOrOfAll(t *testing.T) {
	t.Parallel()
	s := &inventorytest.Server{}
	c := cluster(t, s)
	if _, err := c.Constraints(t.Context(), ""); !errors.Is(err, inventory.ErrNoConstraints) || !strings.Contains(err.Error(), "is Gatekeeper installed") {
		t.Errorf("without Gatekeeper: %v", err)
	}
	s.Define("constraints.gatekeeper.sh/v1beta1", "k8srequiredlabels", "K8sRequiredLabels", false)
	if _, err := c.Constraints(t.Context(), "K8sEndorSignedImages"); !errors.Is(err, inventory.ErrNoConstraints) || !strings.Contains(err.Error(), "no ConstraintTemplate of kind") {
		t.Errorf("without the template: %v", err)
	}
	s.Define("constraints.gatekeeper.sh/v1beta1", "k8sendorsignedimages", "K8sEndorSignedImages", false)
	if _, err := c.Constraints(t.Context(), "K8sEndorSignedImages"); !errors.Is(err, inventory.ErrNoConstraints) || !strings.Contains(err.Error(), "no constraint") {
		t.Errorf("without a constraint: %v", err)
	}
	for _, kind := range []string{"K8sRequiredLabels", "K8sEndorSignedImages"} {
		s.Put(object("constraints.gatekeeper.sh/v1beta1", kind, "", "one", nil))
	}
	if got, err := c.Constraints(t.Context(), "K8sEndorSignedImages"); err != nil || len(got) != 1 || got[0].GetKind() != "K8sEndorSignedImages" {
		t.Errorf("of one kind: %v, %v", got, err)
	}
	s.Forbid("list", "k8srequiredlabels.constraints.gatekeeper.sh")
	if got, err := c.Constraints(t.Context(), ""); err == nil || len(got) != 1 {
		t.Errorf("of all kinds, one of them forbidden: %v, %v", got, err)
	}
}

func TestExclusionsAreByProcessAndPattern(t *testing.T) {
	t.Parallel()
	s := &inventorytest.Server{}
	s.Define("config.gatekeeper.sh/v1alpha1", "configs", "Config", true)
	c := cluster(t, s)
	if none, err := c.Exclusions(t.Context(), "gatekeeper-system"); err != nil || none.Excluded(inventory.Audit, "kube-system") {
		t.Errorf("without a Config: %v, %v", none, err)
	}
	s.Put(object("config.gatekeeper.sh/v1alpha1", "Config", "gatekeeper-system", "config", map[string]any{"spec": map[string]any{"match": []any{
		map[string]any{"processes": []any{"*"}, "excludedNamespaces": []any{"kube-*"}},
		map[string]any{"processes": []any{"audit", "sync"}, "excludedNamespaces": []any{"sandbox"}},
	}}}))
	e, err := c.Exclusions(t.Context(), "gatekeeper-system")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		process   inventory.Process
		namespace string
		want      bool
	}{
		{inventory.Webhook, "kube-system", true}, {inventory.Audit, "kube-system", true}, {inventory.Audit, "sandbox", true},
		{inventory.Webhook, "sandbox", false}, {inventory.Audit, "shop", false}, {inventory.Audit, "", false},
	} {
		if got := e.Excluded(tc.process, tc.namespace); got != tc.want {
			t.Errorf("%s of %q is excluded: %v, want %v", tc.process, tc.namespace, got, tc.want)
		}
	}
}

func TestObjectsOfOtherKindsAreCounted(t *testing.T) {
	t.Parallel()
	s := &inventorytest.Server{}
	s.Define("argoproj.io/v1alpha1", "rollouts", "Rollout", true)
	for i := range 7 {
		s.Put(object("argoproj.io/v1alpha1", "Rollout", "shop", fmt.Sprint("r", i), nil))
	}
	c := cluster(t, s)
	for kind, want := range map[string]int{"Rollout": 7, "Unheard": 0} {
		if got, err := c.CountKind(t.Context(), schema.GroupKind{Group: "argoproj.io", Kind: kind}, ""); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", kind, got, err, want)
		}
	}
}

// Whoever may write Pods must not fill the memory of whoever reads them.
func TestLargeObjectsAreReadInSmallerPagesAndTooLargeOnesNotAtAll(t *testing.T) {
	t.Parallel()
	s := &inventorytest.Server{}
	annotated := func(name string, size int) *unstructured.Unstructured {
		o := object("v1", "Pod", "shop", name, nil)
		o.SetAnnotations(map[string]string{"x": strings.Repeat("y", size)})
		return o
	}
	for i := range 3 {
		s.Put(annotated(fmt.Sprintf("pod-%d", i), 25<<20))
	}
	c := cluster(t, s)
	seen := 0
	visit := func(items []unstructured.Unstructured) error { seen += len(items); return nil }
	if err := c.Visit(t.Context(), podspec.Pods, "", visit); err != nil || seen != 3 {
		t.Errorf("%d of 3 large Pods with limits %v, error %v", seen, s.Limits(), err)
	}
	s.Put(annotated("pod-too-large", 70<<20))
	if err := c.Visit(t.Context(), podspec.Pods, "", visit); !errors.As(err, new(*inventory.ReadError)) || !strings.Contains(err.Error(), "cannot list pods: ") ||
		!strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("of one that is too large: %.200v", err)
	}
}
