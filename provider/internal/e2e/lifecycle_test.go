// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// ofCluster is the release of the cluster itself.
var ofCluster = release{name: localcluster.Release, helm: "helm"}

// An uninstall that was refused can be undone, and one that is not leaves
// nothing: not the ConstraintTemplate, and not the Provider object, which only
// the program has made.
func TestNothingIsLeftOfTheReleaseWithItsPolicyAfterAnUninstall(t *testing.T) {
	ofCluster.reinstallLater(t)
	p := newPlace(t)
	lift := p.deny(t)
	ofCluster.mustRefuseUninstall(t)
	ofCluster.rollback(t, "1") // to itself: the one that helm history shows last
	if status, err := ofCluster.run(t, "status", ofCluster.name); err != nil || !strings.Contains(status, "STATUS: deployed") {
		t.Errorf("after the rollback: %s (%v), want the state deployed", status, err)
	}
	ofCluster.mustRun(t, "upgrade", append(cluster.ChartValues(), "--set", "logLevel=debug")...)

	ofCluster.mustRefuseUninstall(t)
	lift()
	ofCluster.uninstall(t)
	if err := cluster.Provider.Stop(); err != nil {
		t.Error(err)
	}
	ofCluster.mustBeGone(t)
	mustHaveNoPolicy(t)
}

// An upgrade that turns the policy off takes the template away, and Gatekeeper
// all its constraints with it, unless Helm was told to keep it, as
// docs/upgrading.md has it.
func TestAnUpgradeWithoutThePolicyTakesConstraintsAwayUnlessHelmKeepsTheTemplate(t *testing.T) {
	ofCluster.reinstallLater(t)
	p := newPlace(t)
	p.deny(t)
	annotate := func(annotation string) {
		if _, err := cluster.Kubectl(t.Context(), "annotate", "constrainttemplate", "k8sendorsignedimages", annotation); err != nil {
			t.Fatal(err)
		}
	}
	ids := func() string {
		// Where a kind is gone there are none.
		output, _ := cluster.Kubectl(t.Context(), "get", "constrainttemplate/k8sendorsignedimages", "k8sendorsignedimages/"+p.name,
			"-o", "jsonpath={range .items[*]}{.metadata.uid} {.metadata.deletionTimestamp}{end}")
		return output
	}
	before := ids()

	annotate("helm.sh/resource-policy=keep")
	for _, helm := range []string{buildHelm3(t), "helm"} {
		r := release{name: ofCluster.name, helm: helm, values: cluster.ChartValues()}
		r.mustRun(t, "upgrade", "--set", "policies.enabled=false")
		if manifest, err := r.run(t, "get", "manifest", r.name); err != nil || strings.Contains(manifest, "kind: ConstraintTemplate") {
			t.Fatalf("%s: the release still has the template (%v)", helm, err)
		}
		if after := ids(); before == "" || after != before {
			t.Errorf("%s: template and constraint were %q and are %q", helm, before, after)
		}
		p.mustJudge(t)
		// And what turns it on again takes the template over.
		r.mustRun(t, "upgrade")
		if after := ids(); after != before {
			t.Errorf("%s, with the policy again: template and constraint were %q and are %q", helm, before, after)
		}
	}

	annotate("helm.sh/resource-policy-")
	ofCluster.mustRun(t, "upgrade", append(cluster.ChartValues(), "--set", "policies.enabled=false")...)
	if err := cluster.Provider.Stop(); err != nil {
		t.Error(err)
	}
	mustHaveNoPolicy(t)
}

// mustRefuseUninstall holds that the check before an uninstall fails.
func (r release) mustRefuseUninstall(t *testing.T) {
	t.Helper()
	whileJobsRun(t, r.name, func() {
		if _, err := r.run(t, "uninstall", r.name, "--timeout=1m"); err == nil {
			t.Error("it was uninstalled although a constraint denies")
		}
	})
	if status, err := r.run(t, "status", r.name); err != nil || !strings.Contains(status, "STATUS: uninstalling") {
		t.Errorf("after the refusal: %s (%v), want the state uninstalling, of which the chart's README speaks", status, err)
	}
}

func TestTheQuickstartMayRunTwiceAndTakesAllOfItAway(t *testing.T) {
	ofCluster.reinstallLater(t)
	ofCluster.uninstall(t)
	if err := cluster.Provider.Stop(); err != nil {
		t.Fatal(err)
	}
	ofCluster.mustBeGone(t)
	mustHaveNoPolicy(t)

	for _, run := range []string{"first", "second"} {
		output := whilePodsBecomeReady(t, func() string { return quickstart(t) })
		for _, want := range []string{"unsigned  refused ", "[NOT_SIGNED]", "signed    admitted"} {
			if !strings.Contains(output, want) {
				t.Errorf("the %s run does not say %q:\n%s", run, want, output)
			}
		}
		if strings.Contains(output, testbed.APIKey) || strings.Contains(output, testbed.APISecret) {
			t.Errorf("the %s run prints the API key:\n%s", run, output)
		}
	}
	if got := dryRun(cluster, "quickstart", "app", fresh()); !got.refused("NOT_SIGNED") {
		t.Errorf("an unsigned Pod: %v, want a refusal with NOT_SIGNED", got.err)
	}
	mustNotStoreKeys(t)

	whileJobsRun(t, ofCluster.name, func() { quickstart(t, "--uninstall") })
	if err := cluster.Provider.Stop(); err != nil {
		t.Error(err)
	}
	ofCluster.mustBeGone(t)
	mustHaveNoPolicy(t)
	eventually(t, func() error {
		left, err := cluster.Kubectl(t.Context(), "get", "namespace/quickstart", "--ignore-not-found", "-o", "name")
		if err == nil && left != "" {
			err = errors.New("left behind: " + left)
		}
		return err
	})
	secrets, err := cluster.Kubectl(t.Context(), "get", "secrets", "--namespace", ofCluster.name, "-o", "name")
	if err != nil || secrets != "secret/endor-api-key\n" {
		t.Errorf("Secrets are %q (%v), want the one that was there before", secrets, err)
	}
}

// reinstallLater has the release there again for other tests.
func (r release) reinstallLater(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		// Whatever the test has left of it, if it failed.
		_, _ = cluster.Helm(ctx, "uninstall", r.name, "--namespace", r.name, "--no-hooks", "--ignore-not-found", "--wait", "--timeout=1m")
		if err := cluster.Reinstall(ctx); err != nil {
			t.Error(err)
		}
	})
}

// deny applies a constraint that the function that it gives deletes.
func (p place) deny(t *testing.T) (lift func()) {
	t.Helper()
	manifest := fmt.Sprintf("{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: K8sEndorSignedImages, metadata: {name: %[1]s}, "+
		"spec: {match: {namespaces: [%[1]s], kinds: [%[2]s]}, parameters: %[3]s}}", p.name, pods, ofAcme)
	if err := cluster.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := cluster.Kubectl(t.Context(), "delete", "k8sendorsignedimages", p.name); err != nil {
			t.Error(err)
		}
	}
}

// mustHaveNoPolicy waits until the kind of the constraints is gone, which
// Gatekeeper has made of the template.
func mustHaveNoPolicy(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		_, err := cluster.Dynamic.Resource(localcluster.Constraints).List(t.Context(), metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("the kind K8sEndorSignedImages is still there"), err)
	})
}

// mustNotStoreKeys holds that helm has not stored the API key with the release.
func mustNotStoreKeys(t *testing.T) {
	t.Helper()
	values, err := ofCluster.run(t, "get", "all", ofCluster.name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(values, testbed.APIKey) || strings.Contains(values, testbed.APISecret) {
		t.Error("the release holds the API key")
	}
}

// quickstart runs the script for namespace quickstart and gives what it prints.
func quickstart(t *testing.T, args ...string) string {
	t.Helper()
	if len(args) == 0 {
		args = append([]string{"--", "--set", "provider.url=" + cluster.ProviderURL}, "--set", "tls.extraNames={localhost}", "--set", "drainDelay=0s")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(config.Root, "scripts", "quickstart.sh"), append([]string{"--namespace", "quickstart"}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KUBECONFIG=" + cluster.Kubeconfig,
		"KUBECTL=" + filepath.Join(config.Kit.Bin(), "kubectl"), "HELM=" + filepath.Join(config.Kit.Bin(), "helm"),
		"ENDOR_NAMESPACE=" + testbed.Namespace, "ENDOR_API_CREDENTIALS_KEY=" + testbed.APIKey, "ENDOR_API_CREDENTIALS_SECRET=" + testbed.APISecret,
		"ENDOR_API=" + cluster.EmulatorURL,
	}
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("quickstart.sh %q: %v\n%s", args, err, output)
	}
	return string(output)
}

// whilePodsBecomeReady stands in for a kubelet while do runs: as soon as there
// is a Deployment of the provider the program runs, and the Pods are ready.
func whilePodsBecomeReady(t *testing.T, do func() string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- runProvider(ctx) }()
	output := do()
	stop()
	if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	return output
}

func runProvider(ctx context.Context) error {
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	for ; ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		_, err := cluster.Dynamic.Resource(deployments).Namespace(ofCluster.name).Get(ctx, ofCluster.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if !cluster.Provider.Running() {
			if err := cluster.LoadProvider(ctx); err != nil {
				return err
			}
			if err := cluster.Provider.Start(ctx); err != nil {
				return err
			}
		}
		if err := setReady(ctx, ofCluster.name); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// setReady says of the provider's Pods what a kubelet says of ready ones.
func setReady(ctx context.Context, namespace string) error {
	list, err := cluster.Dynamic.Resource(podResource).Namespace(namespace).
		List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=provider"})
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
	}})
	if err != nil {
		return err
	}
	for _, pod := range list.Items {
		_, err := cluster.Dynamic.Resource(podResource).Namespace(namespace).
			Patch(ctx, pod.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
