// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctortest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
)

// Where things are in the cluster of [Manifests.New].
const (
	Release    = "endor-gatekeeper-provider" // name and namespace of the release, and of the Provider
	Gatekeeper = "gatekeeper-system"
	Webhook    = "gatekeeper-validating-webhook-configuration"
	Controller = "gatekeeper-controller-manager"
	Template   = "k8sendorsignedimages"
	Kind       = "K8sEndorSignedImages"
	Constraint = "signed-images-in-production" // which denies in namespace production
	TLSSecret  = Release + "-tls"
)

// Lifetime is that of each certificate in the cluster of [Manifests.New].
const Lifetime = 365 * 24 * time.Hour

// Manifests are what installations are made of.
type Manifests struct {
	objects []manifest.Object
	values  []byte // recommended ones of Gatekeeper's chart
}

// Load reads the manifests of the repository at root, and Gatekeeper's.
func Load(ctx context.Context, root string) (*Manifests, error) {
	gatekeeper, err := gatekeeperManifest(ctx, root)
	if err != nil {
		return nil, err
	}
	values, err := os.ReadFile(filepath.Join(root, "deploy", "gatekeeper", "values.yaml"))
	if err != nil {
		return nil, err
	}
	objects, err := manifest.Read([]string{
		gatekeeper, filepath.Join(root, "deploy", "install.yaml"),
		filepath.Join(root, "policies", "library", Template, "samples", "production", "constraint.yaml"),
	}, nil)
	return &Manifests{objects, values}, err
}

// New gives an API server with a healthy installation: deploy/install.yaml,
// Gatekeeper's own manifest with the values that deploy/gatekeeper/values.yaml
// recommends, a sample of a constraint, and the status that each has once it
// runs.
func (m *Manifests) New() (*API, error) {
	a := &API{}
	for _, o := range m.objects {
		a.Put(o.Unstructured)
	}
	for _, name := range []string{"default", "kube-system", "kube-node-lease", "production", "staging"} {
		a.Put(Object(`{apiVersion: v1, kind: Namespace, metadata: {name: ` + name + `}}`))
	}
	for _, o := range a.objects {
		if o.GetKind() == "Namespace" {
			// As every API server does.
			all := map[string]string{"kubernetes.io/metadata.name": o.GetName()}
			maps.Copy(all, o.GetLabels())
			o.SetLabels(all)
		}
	}
	return a, errors.Join(a.recommend(m.values), a.certify(), a.live())
}

// Object reads an object from YAML. It panics on what is none.
func Object(text string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		panic(err)
	}
	return u
}

// gatekeeperManifest is in the module that the product is built with.
func gatekeeperManifest(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/gatekeeper/v3")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find Gatekeeper's module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "deploy", "gatekeeper.yaml"), nil
}

// recommend changes Gatekeeper's objects as its chart would with our values.
func (a *API) recommend(content []byte) error {
	var values struct {
		FailurePolicy string              `json:"validatingWebhookFailurePolicy"`
		Timeout       int64               `json:"validatingWebhookTimeoutSeconds"`
		Rules         []any               `json:"validatingWebhookCustomRules"`
		Exempt        map[string][]string `json:"validatingWebhookExemptNamespacesLabels"`
		Threads       int                 `json:"maxServingThreads"`
		TTL           string              `json:"externaldataProviderResponseCacheTTL"`
		ExternalData  bool                `json:"enableExternalData"`
	}
	if err := yaml.Unmarshal(content, &values); err != nil {
		return fmt.Errorf("the recommended values of Gatekeeper's chart: %w", err)
	}
	a.ChangeWebhook(func(hook map[string]any) {
		hook["failurePolicy"], hook["timeoutSeconds"], hook["rules"] = values.FailurePolicy, values.Timeout, values.Rules
		selector, _, _ := unstructured.NestedSlice(hook, "namespaceSelector", "matchExpressions")
		for key, exempt := range values.Exempt {
			selector = append(selector, map[string]any{"key": key, "operator": "NotIn", "values": anys(exempt)})
		}
		hook["namespaceSelector"] = map[string]any{"matchExpressions": selector}
	})
	for _, deployment := range []string{Controller, "gatekeeper-audit"} {
		a.AddArgs(deployment, fmt.Sprintf("--max-serving-threads=%d", values.Threads),
			"--external-data-provider-response-cache-ttl="+values.TTL, fmt.Sprintf("--enable-external-data=%t", values.ExternalData))
	}
	return nil
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// ChangeWebhook changes the webhook that judges.
func (a *API) ChangeWebhook(f func(hook map[string]any)) {
	a.Change("ValidatingWebhookConfiguration", "", Webhook, func(object map[string]any) {
		hooks, _, _ := unstructured.NestedSlice(object, "webhooks")
		hook, _ := hooks[0].(map[string]any)
		f(hook)
		object["webhooks"] = hooks
	})
}

// AddArgs gives the program of a Deployment of Gatekeeper's arguments; the last
// one of a flag counts.
func (a *API) AddArgs(deployment string, args ...string) {
	a.addArgs(Gatekeeper, deployment, args...)
}

// AddProviderArgs does so for the provider.
func (a *API) AddProviderArgs(args ...string) { a.addArgs(Release, Release, args...) }

func (a *API) addArgs(namespace, deployment string, args ...string) {
	a.ChangeContainer(namespace, deployment, func(container map[string]any) {
		list, _, _ := unstructured.NestedSlice(container, "args")
		container["args"] = append(list, anys(args)...)
	})
}

// ChangeContainer changes the first container of a Deployment.
func (a *API) ChangeContainer(namespace, deployment string, f func(container map[string]any)) {
	a.Change("Deployment", namespace, deployment, func(object map[string]any) {
		containers, _, _ := unstructured.NestedSlice(object, "spec", "template", "spec", "containers")
		container, _ := containers[0].(map[string]any)
		f(container)
		if err := unstructured.SetNestedSlice(object, containers, "spec", "template", "spec", "containers"); err != nil {
			panic(err)
		}
	})
}

// certify makes the certificates of Gatekeeper and of the provider.
func (a *API) certify() error {
	gatekeeper, err := certs.NewAuthority("gatekeeper-ca", Lifetime)
	if err != nil {
		return err
	}
	a.ChangeWebhook(func(hook map[string]any) {
		config, _, _ := unstructured.NestedMap(hook, "clientConfig")
		config["caBundle"] = Bundle(gatekeeper)
		hook["clientConfig"] = config
	})
	provider, err := certs.NewAuthority("endor-gatekeeper-provider-ca", Lifetime)
	if err != nil {
		return err
	}
	pair, err := provider.Issue(Lifetime, Release+"."+Release+".svc")
	if err != nil {
		return err
	}
	a.Put(Object(`{apiVersion: externaldata.gatekeeper.sh/v1beta1, kind: Provider, metadata: {name: ` + Release + `, generation: 1},
		spec: {url: "https://` + Release + `.` + Release + `.svc:443/validate", timeout: 2, caBundle: ` + Bundle(provider) + `}}`))
	a.SetSecret(map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": provider.CertPEM()})
	return nil
}

// Bundle is a caBundle of one authority.
func Bundle(ca *certs.Authority) string { return base64.StdEncoding.EncodeToString(ca.CertPEM()) }

// SetSecret replaces the content of the Secret with the provider's certificate.
func (a *API) SetSecret(data map[string][]byte) {
	encoded := map[string]any{}
	for key, value := range data {
		encoded[key] = base64.StdEncoding.EncodeToString(value)
	}
	a.Change("Secret", Release, TLSSecret, func(object map[string]any) { object["data"] = encoded })
}

// live gives everything the status that it has once it runs.
func (a *API) live() error {
	pods := []string{Controller + "-1", Controller + "-2", Controller + "-3", "gatekeeper-audit-1"}
	byPod := func(more string) []any {
		var list []any
		for _, pod := range pods {
			list = append(list, Object(`{id: `+pod+`, observedGeneration: 1, operations: [audit, webhook], `+more+`}`).Object)
		}
		return list
	}
	for _, o := range a.objects {
		switch o.GetKind() {
		case "Deployment":
			replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
			o.Object["status"] = map[string]any{"replicas": replicas, "readyReplicas": replicas}
		case "Provider":
			o.Object["status"] = map[string]any{"byPod": byPod("active: true")}
		case "ConstraintTemplate":
			o.SetGeneration(1)
			o.Object["status"] = map[string]any{"created": true, "byPod": byPod("errors: []")}
		case Kind:
			o.SetGeneration(1)
			o.Object["status"] = map[string]any{"byPod": byPod("enforced: true")}
		}
	}
	at := slices.IndexFunc(a.objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "Deployment" && o.GetName() == Release
	})
	if at < 0 {
		return errors.New("deploy/install.yaml holds no Deployment of the provider")
	}
	template, _, err := unstructured.NestedMap(a.objects[at].Object, "spec", "template")
	if err != nil {
		return err
	}
	for _, name := range []string{Release + "-1", Release + "-2"} {
		pod := &unstructured.Unstructured{Object: template}
		pod = pod.DeepCopy()
		pod.SetAPIVersion("v1")
		pod.SetKind("Pod")
		pod.SetNamespace(Release)
		pod.SetName(name)
		a.Put(pod)
	}
	return nil
}
