// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

const repository = "../.."

// caBundle is base64 of something that looks like a certificate.
const caBundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="

type values = map[string]any

// modes are the ways to install the chart that every rule here has to hold in.
var modes = map[string]values{
	"auto":         {},
	"cert-manager": {"tls": values{"mode": "cert-manager"}},
	"secret":       {"tls": values{"mode": "secret", "existingSecret": "tls"}, "provider": values{"caBundle": caBundle}},
	"generated":    {"tls": values{"mode": "generated", "existingSecret": "tls"}, "provider": values{"caBundle": caBundle}},
	"client CA from a file": {
		"tls":      values{"mode": "secret", "existingSecret": "tls", "clientCA": values{"existingConfigMap": "ca"}},
		"provider": values{"caBundle": caBundle},
	},
	"no client certificates": {"tls": values{"insecureNoClientAuth": true}},
	"everything": {
		"autoscaling":            values{"enabled": true},
		"networkPolicy":          values{"enabled": true},
		"serviceMonitor":         values{"enabled": true},
		"redis":                  values{"existingSecret": "redis", "existingSecretKeys": values{"ca": "ca.crt"}},
		"endorCA":                values{"existingConfigMap": "ca"},
		"proxy":                  values{"https": "http://proxy.example.com:3128"},
		"allowedEndorNamespaces": []any{"acme.payments"},
		"certificateOidcIssuer":  "https://gitlab.com",
	},
}

// TestGenerated holds that make generate has nothing to do.
func TestGenerated(t *testing.T) {
	files, err := generate(repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := drift(repository, files); err != nil {
		t.Error(err)
	}
}

// TestSameBytes holds that the chart depends on its values alone: an Argo CD
// that renders it again has to get the same bytes.
func TestSameBytes(t *testing.T) {
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		first, second := rendered(t, modes[mode]), rendered(t, modes[mode])
		if whole(first) != whole(second) || first.Info.Notes != second.Info.Notes {
			t.Errorf("%s: rendered twice, got different bytes", mode)
		}
		if !strings.Contains(whole(first), "kind: Deployment") {
			t.Errorf("%s: no Deployment", mode)
		}
	}
}

// TestSchemas holds that the API server would take each object: no field that it
// does not know, no wrong type. Kinds of others (Provider, Certificate) are left
// to the tests on a cluster.
func TestSchemas(t *testing.T) {
	decode := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer().Decode
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		known := 0
		for _, document := range documents(t, whole(rendered(t, modes[mode]))) {
			_, _, err := decode(document, nil, nil)
			switch {
			case runtime.IsNotRegisteredError(err):
			case err != nil:
				t.Errorf("%s: %v\n%s", mode, err, document)
			default:
				known++
			}
		}
		if known < 8 {
			t.Errorf("%s: only %d objects were looked at", mode, known)
		}
	}
}

// TestRestricted holds that every Pod is admitted by the strictest of the Pod
// Security Standards.
func TestRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	strictest := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		templates := pods(t, rendered(t, modes[mode]))
		if len(templates) != 2 {
			t.Errorf("%s: %d Pod templates, want those of the Deployment and of the check before an uninstall", mode, len(templates))
		}
		for _, pod := range templates {
			for _, result := range evaluator.EvaluatePod(strictest, &pod.ObjectMeta, &pod.Spec) {
				if !result.Allowed {
					t.Errorf("%s: %s: %s %s", mode, pod.Spec.Containers[0].Name, result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
		}
	}
}

// TestFlags holds that the program knows every flag that the chart passes to it.
func TestFlags(t *testing.T) {
	known := map[string]string{}
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		for _, pod := range pods(t, rendered(t, modes[mode])) {
			args := pod.Spec.Containers[0].Args
			split := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--") })
			command := strings.Join(args[:split], " ")
			if known[command] == "" {
				known[command] = help(t, args[:split])
			}
			for _, arg := range args[split:] {
				flag, _, _ := strings.Cut(arg, "=")
				if !strings.Contains(known[command], " "+flag+" ") {
					t.Errorf("%s: %s does not know %s", mode, command, flag)
				}
			}
		}
	}
}

// help asks the program itself: what Helm links and what the provider links
// would not fit one module.
func help(t *testing.T, command []string) string {
	t.Helper()
	run := append([]string{"run", "./provider/cmd/endor-gatekeeper-provider"}, command...)
	cmd := exec.CommandContext(t.Context(), "go", append(run, "--help")...)
	cmd.Dir = repository
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Log(string(exit.Stderr))
		}
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out)
}

func rendered(t *testing.T, extra values) *release.Release {
	t.Helper()
	with := values{"auth": values{"existingSecret": "endor-credentials"}}
	maps.Copy(with, extra)
	r, err := template(loaded(t), with)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func loaded(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := load(filepath.Join(repository, chartFolder), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// whole is everything that a release makes in a cluster, hooks too.
func whole(r *release.Release) string {
	all := r.Manifest
	for _, hook := range r.Hooks {
		all += "---\n" + hook.Manifest + "\n"
	}
	return all
}

func documents(t *testing.T, manifest string) [][]byte {
	t.Helper()
	var all [][]byte
	for reader := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(manifest))); ; {
		document := make([]byte, len(manifest))
		n, err := reader.Read(document)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if document = document[:n]; bytes.Contains(document, []byte("apiVersion:")) {
			all = append(all, document)
		}
	}
}

// pods are the Pods that a release makes.
func pods(t *testing.T, r *release.Release) []corev1.PodTemplateSpec {
	t.Helper()
	var found []corev1.PodTemplateSpec
	for _, document := range documents(t, whole(r)) {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if runtime.IsNotRegisteredError(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		switch o := object.(type) {
		case *appsv1.Deployment:
			found = append(found, o.Spec.Template)
		case *batchv1.Job:
			found = append(found, o.Spec.Template)
		}
	}
	return found
}
