// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

const (
	// hangCrowd is how many clients create Pods while Endor Labs hangs, and
	// hangTime for how long.
	hangCrowd = 20
	hangTime  = 8 * time.Second

	// wellTime is for how long the same is done while Endor Labs answers.
	wellTime = 3 * time.Second

	// leasePause is the time between two requests of the client with the Leases.
	leasePause = 20 * time.Millisecond
)

// hanging lets Endor Labs take calls and answer none.
const hanging = `{"faults": [{"kind": "hang", "endpoint": "operations"}]}`

// With failurePolicy Ignore a review that outlasts the webhook's 3 seconds is a
// Pod that is admitted, and with Fail it holds up whatever else the webhook sees,
// such as the Leases of nodes. So nobody may wait for an Endor Labs that is known
// to hang: neither in few threads nor twice in one review.
func TestNoUnsignedPodIsAdmittedOnceTheProviderIsDegraded(t *testing.T) {
	var report strings.Builder
	table := tabwriter.NewWriter(&report, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "Gatekeeper\t\t\tEndor\tPods\ttried\tadmitted\tonce\trefused\tnot\tadmitted\tms\t\t\tLeases\tfailed\tms\t\t")
	fmt.Fprintln(table, "values\tpolicy\tconstraints\tLabs\t\tbefore\t\tdegraded\t\tanswered\t\tp50\tp99\tmax\t\t\tp50\tp99\tmax")
	for _, values := range []struct {
		name     string
		defaults bool
		policies []string // the first is that of the values
	}{
		{"recommended", false, []string{"Fail", "Ignore"}},
		{"default", true, []string{"Ignore", "Fail"}},
	} {
		t.Run(values.name, func(t *testing.T) {
			c := ownCluster(t, "hang", func(cfg *localcluster.Config) {
				cfg.GatekeeperDefaults, cfg.WebhookTimeout = values.defaults, 0
			})
			enforceOneAndTwo(t, c)
			row := func(policy string, constraints, state string, h hang) {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", values.name, policy, constraints, state, h)
			}
			row(values.policies[0], "one", "answers", runHang(t, c, "one", "{}", wellTime))
			for i, policy := range values.policies {
				if i > 0 {
					setFailurePolicy(t, c, policy)
				}
				for _, constraints := range []string{"one", "two"} {
					t.Run(policy+" "+constraints, func(t *testing.T) {
						h := runHang(t, c, constraints, hanging, hangTime)
						h.check(t, policy)
						row(policy, constraints, "hangs", h)
					})
				}
			}
		})
	}
	_ = table.Flush() // a strings.Builder takes everything
	t.Logf("Pods are tried before or once degraded by whether the provider's gauge had been read as 1 when they were sent.\n%s", &report)
}

// enforceOneAndTwo makes a namespace one, with a constraint, and two, with one
// more for other signers, so that each Pod there makes two calls.
func enforceOneAndTwo(t *testing.T, c *localcluster.Cluster) {
	t.Helper()
	err := c.Apply(t.Context(), `
{apiVersion: v1, kind: Namespace, metadata: {name: one}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: two}}
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sEndorSignedImages
metadata: {name: first}
spec:
  match: {namespaces: [one, two], kinds: [{apiGroups: [""], kinds: [Pod]}]}
  parameters: {namespace: acme, signers: [{sourceRepository: acme/*}]}
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sEndorSignedImages
metadata: {name: second}
spec:
  match: {namespaces: [two], kinds: [{apiGroups: [""], kinds: [Pod]}]}
  parameters: {namespace: acme, signers: [{sourceRepository: contoso/*}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		if err := c.WaitForConstraint(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// setFailurePolicy changes that of Gatekeeper's webhook, and waits until the API
// server goes by it.
func setFailurePolicy(t *testing.T, c *localcluster.Cluster, policy string) {
	t.Helper()
	if err := c.Gatekeeper.Kill(); err != nil {
		t.Fatal(err)
	}
	configurations := c.Dynamic.Resource(schema.GroupVersionResource{
		Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations",
	})
	object, err := configurations.Get(t.Context(), localcluster.WebhookName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
	if err != nil {
		t.Fatal(err)
	}
	for i, entry := range webhooks {
		if webhook, _ := entry.(map[string]any); webhook["name"] == "validation.gatekeeper.sh" {
			patch, err := json.Marshal([]any{map[string]any{"op": "replace", "path": fmt.Sprintf("/webhooks/%d/failurePolicy", i), "value": policy}})
			if err == nil {
				_, err = configurations.Patch(t.Context(), localcluster.WebhookName, types.JSONPatchType, patch, metav1.PatchOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, func() error {
		if err := dryRun(c, "one", "app", unsigned).err; (err == nil) != (policy == "Ignore") {
			return fmt.Errorf("without Gatekeeper: %w", err)
		}
		return nil
	})
	if err := c.Gatekeeper.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hang is what happened to Pods and Leases.
type hang struct {
	pods     []try
	degraded time.Time // when the gauge was first seen at 1, zero if it never was
	leases   []try
}

// runHang starts with a provider that knows nothing of the state of Endor Labs,
// brings that about, and has clients create Pods with images that nobody asked
// about before, each image once.
func runHang(t *testing.T, c *localcluster.Cluster, namespace, switches string, lasts time.Duration) hang {
	t.Helper()
	if err := errors.Join(c.SwitchEmulator(t.Context(), "{}"), c.Provider.Restart(t.Context())); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if got := dryRun(c, namespace, "app", fresh()); !got.refused("NOT_SIGNED") {
			return fmt.Errorf("before: %w", got.err)
		}
		return nil
	})
	if now, err := metric(t.Context(), c, "degraded"); now != 0 || err != nil {
		t.Fatalf("degraded before Endor Labs hangs: %v, %v", now, err)
	}
	if err := c.SwitchEmulator(t.Context(), switches); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var h hang
	var wg sync.WaitGroup
	wg.Go(func() { h.pods = crowd(ctx, c, namespace, hangCrowd, func() []string { return []string{fresh()} }) })
	wg.Go(func() { h.leases = renewLeases(ctx, c) })
	wg.Go(func() {
		for ctx.Err() == nil {
			if now, err := metric(ctx, c, "degraded"); now == 1 && err == nil {
				h.degraded = time.Now()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	wg.Wait()
	return h
}

// renewLeases does what kubelets do for each node, until ctx ends, faster.
func renewLeases(ctx context.Context, c *localcluster.Cluster) []try {
	leases := c.Dynamic.Resource(schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}).Namespace("kube-node-lease")
	whole := context.WithoutCancel(ctx) // what was given up would tell no time
	var tries []try
	timed := func(do func(context.Context) error) bool {
		t := try{began: time.Now()}
		t.err = do(whole)
		t.took = time.Since(t.began)
		tries = append(tries, t)
		time.Sleep(leasePause)
		return t.err == nil
	}
	for i := 0; ctx.Err() == nil; i++ {
		lease := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"generateName": "node-"},
			"spec": map[string]any{"holderIdentity": "node", "leaseDurationSeconds": int64(40)},
		}}
		created := timed(func(ctx context.Context) (err error) {
			made, err := leases.Create(ctx, lease, metav1.CreateOptions{})
			if err == nil {
				lease = made
			}
			return err
		})
		for range 4 {
			if !created || ctx.Err() != nil {
				break
			}
			_ = unstructured.SetNestedField(lease.Object, time.Now().UTC().Format(metav1.RFC3339Micro), "spec", "renewTime") // a string in a map
			timed(func(ctx context.Context) error {
				renewed, err := leases.Update(ctx, lease, metav1.UpdateOptions{})
				if err == nil {
					lease = renewed
				}
				return err
			})
		}
	}
	return tries
}

// check holds what counts: once the provider is degraded no Pod is admitted,
// and with failurePolicy Fail none at any time.
func (h hang) check(t *testing.T, policy string) {
	t.Helper()
	if h.degraded.IsZero() {
		t.Fatal("the provider never was degraded")
	}
	refusals := 0
	for _, pod := range h.pods {
		after := pod.began.After(h.degraded)
		switch {
		case pod.err == nil && (after || policy == "Fail"):
			t.Errorf("an unsigned Pod was admitted after %s, tried %s after the provider was degraded", pod.took, pod.began.Sub(h.degraded))
		case after && pod.refused("UNAVAILABLE"):
			refusals++
		}
	}
	if refusals == 0 {
		t.Error("the policy refused no Pod as UNAVAILABLE once the provider was degraded")
	}
}

// String is a row of the table.
func (h hang) String() string {
	var before, admittedBefore, after, refused, unanswered, admitted, failed int
	var pods, leases times
	for _, pod := range h.pods {
		pods = append(pods, pod.took)
		if h.degraded.IsZero() || !pod.began.After(h.degraded) {
			before++
			if pod.err == nil {
				admittedBefore++
			}
			continue
		}
		after++
		switch {
		case pod.err == nil:
			admitted++
		case pod.refused("UNAVAILABLE"):
			refused++
		default:
			unanswered++
		}
	}
	for _, lease := range h.leases {
		leases = append(leases, lease.took)
		if lease.err != nil {
			failed++
		}
	}
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t%.0f\t%.0f\t%d\t%d\t%.0f\t%.0f\t%.0f",
		len(h.pods), before, admittedBefore, after, refused, unanswered, admitted,
		milliseconds(pods.at(.5)), milliseconds(pods.at(.99)), milliseconds(pods.at(1)),
		len(leases), failed, milliseconds(leases.at(.5)), milliseconds(leases.at(.99)), milliseconds(leases.at(1)))
}
