// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// fakeKubectl answers from the files of $STATE, and notes what would change
// something: its arguments in $STATE/changes, its input in $STATE/manifests.
const fakeKubectl = `#!/usr/bin/env bash
set -eu
case "$*" in
"get --raw"* | "wait "* | *" rollout status "*) ;;
"config current-context") echo fake ;;
"get validatingwebhookconfiguration"*) echo Fail ;;
"get crd "*) echo "crd/$3" ;;
"get namespaces -l "*) cat "$STATE/made" ;;
"get namespace -l "*) grep -w -- "${6##*=}" "$STATE/made" || true ;;
"get namespace "*) if [[ -e $STATE/in-$3 ]]; then echo "namespace/$3"; fi ;;
"get pods -n "*) grep ^Pod/ "$STATE/in-$4" || true ;;
"get -n "*go-template=*) cat "$STATE/in-$3" ;;
"create --dry-run=server "*)
	pod=$(cat)
	printf '%s\n---\n' "$pod" >>"$STATE/manifests"
	if [[ $pod == *unsigned* || $pod == *123* ]]; then
		echo 'denied the request: [NOT_SIGNED]'
		exit 1
	fi
	;;
"create -f -" | "apply "*)
	echo "kubectl $*" >>"$STATE/changes"
	cat >>"$STATE/manifests"
	echo --- >>"$STATE/manifests"
	;;
"delete "* | "label "*) echo "kubectl $*" >>"$STATE/changes" ;;
*)
	echo "unexpected: kubectl $*" >&2
	exit 1
	;;
esac
`

const fakeHelm = `#!/usr/bin/env bash
set -eu
case "$*" in
"version --short") echo v3.21.0 ;;
"get values "*)
	if [[ ! -e $STATE/values ]]; then
		echo "${HELM_SAYS-Error: release: not found}" >&2
		exit 1
	fi
	cat "$STATE/values"
	;;
*) echo "helm $*" >>"$STATE/changes" ;;
esac
`

const (
	oursValues   = `{"auth":{"existingSecret":"endor-gatekeeper-provider-quickstart"},"endorNamespace":"acme"}`
	theirsValues = `{"auth":{"existingSecret":"endor-credentials"},"replicaCount":3}`
)

// TestQuickstartLeavesOthersAlone holds that the quickstart neither changes nor
// removes a release that it has not made, nor a namespace that others use.
func TestQuickstartLeavesOthersAlone(t *testing.T) {
	const upgrade, uninstall = "helm upgrade --install", "helm uninstall"
	for what, c := range map[string]struct {
		args         []string
		files        map[string]string
		env          string
		fails        bool
		says         string
		does, leaves []string
	}{
		"a first run": {does: []string{upgrade}, leaves: []string{uninstall}},
		"a second run": {
			files: map[string]string{"values": oursValues, "made": "endor-gatekeeper-provider production", "in-production": "Pod/web \n"},
			does:  []string{upgrade},
		},
		"a run over a release of others": {
			files: map[string]string{"values": theirsValues}, fails: true, says: "is not of this script",
			leaves: []string{"helm", "kubectl"},
		},
		"a run while helm fails": {env: "HELM_SAYS=Error: forbidden", fails: true, says: "forbidden", leaves: []string{"helm", "kubectl"}},
		"an uninstallation while helm fails": {
			args: []string{"--uninstall"}, env: "HELM_SAYS=Error: forbidden", fails: true, says: "forbidden",
			leaves: []string{"helm", "kubectl"},
		},
		"an uninstallation": {
			args: []string{"--uninstall"},
			files: map[string]string{
				"values": oursValues, "made": "endor-gatekeeper-provider production",
				"in-endor-gatekeeper-provider": "ConfigMap/kube-root-ca.crt \nSecret/default-token-x2x4z kubernetes.io/service-account-token\n",
				"in-production":                "ConfigMap/kube-root-ca.crt \n",
			},
			does: []string{uninstall, "kubectl delete k8sendorsignedimages", "kubectl delete namespace endor-gatekeeper-provider", "kubectl delete namespace production"},
		},
		"an uninstallation where others have a release": {
			args: []string{"--uninstall"},
			files: map[string]string{
				"values": theirsValues, "made": "endor-gatekeeper-provider",
				"in-endor-gatekeeper-provider": "Deployment/endor-gatekeeper-provider \nSecret/endor-credentials Opaque\n",
			},
			says:   "Release endor-gatekeeper-provider stays",
			does:   []string{"kubectl label namespace endor-gatekeeper-provider endor-gatekeeper-provider/quickstart-"},
			leaves: []string{uninstall, "kubectl delete namespace"},
		},
		"an uninstallation where others use the namespace": {
			args: []string{"--uninstall"},
			files: map[string]string{
				"values": oursValues, "made": "endor-gatekeeper-provider production",
				"in-production": "ConfigMap/kube-root-ca.crt \nDeployment/web \nPersistentVolumeClaim/data \n",
			},
			says:   "Namespace production stays, without the label of this script, since it holds Deployment/web PersistentVolumeClaim/data",
			does:   []string{uninstall, "kubectl delete namespace endor-gatekeeper-provider", "kubectl label namespace production endor-gatekeeper-provider/quickstart-"},
			leaves: []string{"kubectl delete namespace production"},
		},
		"an uninstallation where others have a Secret": {
			args:   []string{"--uninstall"},
			files:  map[string]string{"made": "production", "in-production": "Secret/database Opaque\n"},
			says:   "since it holds Secret/database",
			leaves: []string{uninstall, "kubectl delete namespace"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			state := t.TempDir()
			for file, content := range c.files {
				write(t, filepath.Join(state, file), content, 0o600)
			}
			var env []string
			if c.env != "" {
				env = append(env, c.env)
			}
			output, err := quickstart(t, state, env, c.args...)
			if (err != nil) != c.fails {
				t.Errorf("error %v, want one: %v", err, c.fails)
			}
			if !strings.Contains(output, c.says) {
				t.Errorf("it does not say %q", c.says)
			}
			changes := read(t, state, "changes")
			for _, want := range c.does {
				if !strings.Contains(changes, want) {
					t.Errorf("it does not do: %s", want)
				}
			}
			for _, no := range c.leaves {
				if strings.Contains(changes, no) {
					t.Errorf("it does: %s", no)
				}
			}
			if t.Failed() {
				t.Logf("it does\n%sand says\n%s", changes, output)
			}
		})
	}
}

// TestQuickstartManifests holds that names which YAML reads as something else
// stay names.
func TestQuickstartManifests(t *testing.T) {
	state := t.TempDir()
	output, err := quickstart(t, state, []string{"ENDOR_NAMESPACE=123"}, "--namespace", "on", "--unsigned", "123", "--repository", "null")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	seen := map[string]int{}
	for _, document := range documents(t, read(t, state, "manifests")) {
		var object struct {
			Kind     string
			Metadata struct{ Name any }
			Spec     struct {
				Match      struct{ Namespaces []any }
				Parameters struct {
					Namespace any
					Signers   []map[string]any
				}
				Containers []corev1.Container
			}
		}
		if err := yaml.Unmarshal(document, &object); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		seen[object.Kind]++
		switch object.Kind {
		case "Namespace":
			if object.Metadata.Name != "on" && object.Metadata.Name != name {
				t.Errorf("a namespace %#v", object.Metadata.Name)
			}
		case "K8sEndorSignedImages":
			if got := object.Spec.Parameters.Namespace; got != "123" {
				t.Errorf("the Endor namespace is %#v", got)
			}
			if got := object.Spec.Parameters.Signers[0]["sourceRepository"]; got != "null" {
				t.Errorf("the repository is %#v", got)
			}
			if object.Metadata.Name == "quickstart-deny" && !slices.Equal(object.Spec.Match.Namespaces, []any{"on"}) {
				t.Errorf("the namespaces are %#v", object.Spec.Match.Namespaces)
			}
		}
	}
	if seen["Namespace"] != 2 || seen["K8sEndorSignedImages"] != 2 || seen["Pod"] < 2 {
		t.Errorf("manifests are %v", seen)
	}
}

// quickstart runs the script with programs that only note what it asks them.
func quickstart(t *testing.T, state string, env []string, args ...string) (string, error) {
	t.Helper()
	for file, content := range map[string]string{"kubectl": fakeKubectl, "helm": fakeHelm} {
		write(t, filepath.Join(state, file), content, 0o700)
	}
	for _, file := range []string{"made", "in-" + name, "in-production"} {
		if _, err := os.Stat(filepath.Join(state, file)); err != nil && (file == "made" || len(args) > 0 && args[0] == "--uninstall") {
			write(t, filepath.Join(state, file), "", 0o600)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(repository, "scripts/quickstart.sh"), args...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "STATE=" + state, "KUBECTL=" + filepath.Join(state, "kubectl"), "HELM=" + filepath.Join(state, "helm"),
		"ENDOR_NAMESPACE=acme", "ENDOR_API_CREDENTIALS_KEY=key", "ENDOR_API_CREDENTIALS_SECRET=secret",
	}, env...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func write(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// read gives nothing for a file that is not there.
func read(t *testing.T, folder, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}
