// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// TestOverlays builds the base and each overlay as `kubectl kustomize` does.
func TestOverlays(t *testing.T) {
	base := kustomized(t, "base")
	install, err := os.ReadFile(filepath.Join(repository, installFile))
	if err != nil {
		t.Fatal(err)
	}
	if want := objects(t, string(install)); len(base) != len(want) {
		t.Errorf("the base has %d objects of Kubernetes, install.yaml %d", len(base), len(want))
	}
	if got := variable(deployment(t, base), "ENDOR_API"); got != "https://api.endorlabs.com" {
		t.Errorf("the base asks %s", got)
	}

	eu := deployment(t, kustomized(t, "overlays/eu"))
	if api, namespace := variable(eu, "ENDOR_API"), variable(eu, "ENDOR_NAMESPACE"); api != "https://api.eu.endorlabs.com" || namespace != "acme" {
		t.Errorf("overlays/eu asks %s about namespace %q", api, namespace)
	}
	if same := deployment(t, base).Spec.Template.Spec.Containers[0].Args; !slices.Equal(same, eu.Spec.Template.Spec.Containers[0].Args) {
		t.Error("overlays/eu changes the arguments")
	}

	busy := kustomized(t, "overlays/production")
	if image := deployment(t, busy).Spec.Template.Spec.Containers[0].Image; !strings.HasPrefix(image, "registry.example.com/endorlabs/endor-gatekeeper-provider@sha256:") {
		t.Errorf("overlays/production runs %s", image)
	}
	if replicas := *deployment(t, busy).Spec.Replicas; replicas != 3 {
		t.Errorf("overlays/production has %d replicas", replicas)
	}
}

// TestOverlayNetworkPolicy holds that the overlay's NetworkPolicy is the chart's.
func TestOverlayNetworkPolicy(t *testing.T) {
	chart := rendered(t, values{"networkPolicy": values{"enabled": true}}).Manifest
	specs := map[string]string{}
	for from, all := range map[string][]runtime.Object{"chart": objects(t, chart), "overlay": kustomized(t, "overlays/production")} {
		for _, object := range all {
			if policy, ok := object.(*networkingv1.NetworkPolicy); ok {
				spec, err := json.Marshal(policy.Spec)
				if err != nil {
					t.Fatal(err)
				}
				specs[from] = string(spec)
			}
		}
	}
	if specs["chart"] == "" || specs["chart"] != specs["overlay"] {
		t.Errorf("the chart has\n%s\nthe overlay\n%s", specs["chart"], specs["overlay"])
	}
}

// TestGatekeeperValues renders Gatekeeper's own chart with the values that are
// recommended for it.
func TestGatekeeperValues(t *testing.T) {
	gatekeeper, err := loader.Load(gatekeeperChart(t))
	if err != nil {
		t.Fatal(err)
	}
	recommended, err := chartutil.ReadValuesFile(filepath.Join(repository, "deploy/gatekeeper/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for key := range recommended {
		if _, known := gatekeeper.Values[key]; !known {
			t.Errorf("Gatekeeper's chart has no value %s", key)
		}
	}
	r, err := template(gatekeeper, recommended)
	if err != nil {
		t.Fatal(err)
	}

	var webhook *admissionregistrationv1.ValidatingWebhook
	var args []string
	for _, object := range objects(t, r.Manifest) {
		switch o := object.(type) {
		case *admissionregistrationv1.ValidatingWebhookConfiguration:
			for i := range o.Webhooks {
				if o.Webhooks[i].Name == "validation.gatekeeper.sh" {
					webhook = &o.Webhooks[i]
				}
			}
		case *appsv1.Deployment:
			args = append(args, o.Spec.Template.Spec.Containers[0].Args...)
		}
	}
	if webhook == nil {
		t.Fatal("Gatekeeper's chart has no webhook validation.gatekeeper.sh")
	}
	if *webhook.FailurePolicy != admissionregistrationv1.Fail {
		t.Errorf("failurePolicy is %s", *webhook.FailurePolicy)
	}
	if got, want := float64(*webhook.TimeoutSeconds), loaded(t).Values["timeouts"].(values)["webhook"]; got != want {
		t.Errorf("the webhook lasts %vs, our chart assumes %vs", got, want)
	}
	for _, want := range []string{"--max-serving-threads=64", "--external-data-provider-response-cache-ttl=15s", "--enable-external-data=true"} {
		if !slices.Contains(args, want) {
			t.Errorf("no Deployment has %s", want)
		}
	}
	var exempt []string
	for _, expression := range webhook.NamespaceSelector.MatchExpressions {
		if expression.Key == "kubernetes.io/metadata.name" {
			exempt = expression.Values
		}
	}
	// The namespace of the release, which is Gatekeeper's here, comes with its chart.
	if want := []string{"kube-system", "kube-node-lease", "endor-gatekeeper-provider"}; !slices.Equal(exempt, want) {
		t.Errorf("exempt are %v, want %v", exempt, want)
	}

	for _, kind := range constraintKinds(t) {
		if !seen(webhook.Rules, kind[0], kind[1]) {
			t.Errorf("the webhook does not see %s of group %q, which samples match", kind[1], kind[0])
		}
	}
	for group, resource := range map[string]string{"": "pods/ephemeralcontainers", "externaldata.gatekeeper.sh": "*", "templates.gatekeeper.sh": "*", "constraints.gatekeeper.sh": "*"} {
		if !seen(webhook.Rules, group, resource) {
			t.Errorf("the webhook does not see %s of group %q", resource, group)
		}
	}
	if seen(webhook.Rules, "coordination.k8s.io", "leases") {
		t.Error("the webhook sees Leases, which then wait for Gatekeeper")
	}
}

func seen(rules []admissionregistrationv1.RuleWithOperations, group, resource string) bool {
	return slices.ContainsFunc(rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
		return slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, resource) &&
			slices.Contains(rule.Operations, admissionregistrationv1.Create) && slices.Contains(rule.Operations, admissionregistrationv1.Update)
	})
}

// constraintKinds are the groups and resources that samples of ours match.
func constraintKinds(t *testing.T) [][2]string {
	t.Helper()
	constraints, err := filepath.Glob(filepath.Join(repository, "policies/library/*/samples/*/constraint.yaml"))
	if err != nil || len(constraints) == 0 {
		t.Fatal("no samples", err)
	}
	var kinds [][2]string
	for _, file := range constraints {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var constraint struct {
			Spec struct {
				Match struct {
					Kinds []struct{ APIGroups, Kinds []string }
				}
			}
		}
		if err := yaml.Unmarshal(content, &constraint); err != nil {
			t.Fatal(err)
		}
		for _, match := range constraint.Spec.Match.Kinds {
			for _, kind := range match.Kinds {
				kinds = append(kinds, [2]string{match.APIGroups[0], strings.ToLower(kind) + "s"})
			}
		}
	}
	return kinds
}

// gatekeeperChart is the chart of the Gatekeeper that the product's module pins.
func gatekeeperChart(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/open-policy-agent/gatekeeper/v3")
	cmd.Dir = repository
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(module.Dir, "charts/gatekeeper")
}

// kustomized are the objects that Kubernetes itself knows, of a folder of deploy.
func kustomized(t *testing.T, folder string) []runtime.Object {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(repository, "deploy", folder))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(manifest))
}

func objects(t *testing.T, manifest string) []runtime.Object {
	t.Helper()
	decode := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer().Decode
	var all []runtime.Object
	for _, document := range documents(t, manifest) {
		object, _, err := decode(document, nil, nil)
		if runtime.IsNotRegisteredError(err) {
			continue
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		all = append(all, object)
	}
	return all
}

func deployment(t *testing.T, all []runtime.Object) *appsv1.Deployment {
	t.Helper()
	for _, object := range all {
		if found, ok := object.(*appsv1.Deployment); ok {
			return found
		}
	}
	t.Fatal("no Deployment")
	return nil
}

func variable(d *appsv1.Deployment, name string) string {
	env := d.Spec.Template.Spec.Containers[0].Env
	i := slices.IndexFunc(env, func(v corev1.EnvVar) bool { return v.Name == name })
	if i < 0 {
		return ""
	}
	return env[i].Value
}
