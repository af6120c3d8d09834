// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

// modes are those of tls.mode: what each needs before the chart is installed,
// and the values for it.
var modes = []struct {
	name    string
	prepare func(*testing.T, release) []string
}{
	{"auto", func(*testing.T, release) []string { return nil }},
	{"cert-manager", func(t *testing.T, r release) []string {
		installCertManagerCRDs(t)
		r.issue(t)
		return nil
	}},
	{"secret", func(t *testing.T, r release) []string {
		ca := r.issue(t)
		return []string{"--set", "tls.existingSecret=" + r.name + "-tls", "--set", "provider.caBundle=" + base64.StdEncoding.EncodeToString(ca)}
	}},
	{"generated", func(t *testing.T, r release) []string {
		folder := filepath.Join(t.TempDir(), "certs")
		r.generate(t, folder)
		applySecret(t, folder)
		return []string{"--values", filepath.Join(folder, "values.yaml")}
	}},
}

// In every mode and with both helms: the chart passes the server's validation,
// what it installs works with the ServiceAccount that it makes, upgrades and a
// rollback while the program runs meet no conflict and change nothing about
// certificates, and nothing is left of it in the end.
func TestTheChartLivesThroughUpgradesInEveryModeAndLeavesNothing(t *testing.T) {
	helms := []struct{ name, program string }{{"helm-4", "helm"}, {"helm-3", buildHelm3(t)}}
	for _, mode := range modes {
		for _, helm := range helms {
			t.Run(mode.name+"/"+helm.name, func(t *testing.T) {
				address, err := cluster.FreeAddress()
				if err != nil {
					t.Fatal(err)
				}
				name := mode.name + "-" + helm.name
				replica, err := cluster.NewReplica(name, "--listen-address="+address, "--drain-delay=0s")
				if err != nil {
					t.Fatal(err)
				}
				t.Parallel()
				r := newRelease(t, name, address, "--set", "tls.mode="+mode.name)
				r.helm = helm.program
				r.values = append(r.values, mode.prepare(t, r)...)
				r.mustBeValid(t)

				r.mustRun(t, "install")
				r.start(t, replica)
				p, endJudging := r.judge(t)
				p.mustJudge(t)
				before := r.state(t)

				r.mustRun(t, "upgrade", "--set", "podAnnotations.example\\.com/revision=two")
				r.mustRun(t, "upgrade", "--set", "replicaCount=3", "--set", "logLevel=debug")
				r.rollback(t, "1")
				if after := r.state(t); after != before {
					t.Errorf("Secret and Provider object were\n%s\nand are\n%s", before, after)
				}
				// One that starts now finds all that it needs, too.
				if err := replica.Stop(); err != nil {
					t.Fatal(err)
				}
				r.start(t, replica)
				p.mustJudge(t)

				r.mustNotBeAllowedMore(t, mode.name)
				r.mustNotBeForbidden(t)

				endJudging()
				r.uninstall(t)
				// As in a cluster, the program ends after that.
				if err := replica.Stop(); err != nil {
					t.Error(err)
				}
				r.mustBeGone(t)
			})
		}
	}
}

// mustBeValid has the API server validate what the chart renders, strictly: a
// field that it does not know is an error.
func (r release) mustBeValid(t *testing.T) {
	t.Helper()
	// Its own program, since helm 3 of a module takes itself for an old one.
	rendered := release{name: r.name, helm: "helm", values: r.values}.mustRun(t, "template", "--no-hooks")
	_, _, err := cluster.Run(t.Context(), localcluster.Command{
		Program: "kubectl", Stdin: rendered,
		Args: []string{"apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"},
	})
	if err != nil {
		t.Error(err)
	}
}

// state is what neither helm nor the program may change when nothing of it is
// due: certificates, and the Provider object.
func (r release) state(t *testing.T) string {
	t.Helper()
	var state strings.Builder
	secret, err := cluster.Kubectl(t.Context(), "get", "secrets", "--namespace", r.name, "--selector=!owner", "-o", "jsonpath={.items[*].data}")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := cluster.Kubectl(t.Context(), "get", "provider", r.name, "-o", "jsonpath={.metadata.uid} {.metadata.generation} {.spec}")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&state, "%s\n%s", secret, provider)
	return state.String()
}

// uninstall uninstalls the release with the check before it.
func (r release) uninstall(t *testing.T) {
	t.Helper()
	whileJobsRun(t, r.name, func() {
		if _, err := r.run(t, "uninstall", r.name, "--timeout=1m"); err != nil {
			t.Error(err)
		}
	})
}

// whileJobsRun stands in for a kubelet meanwhile.
func whileJobsRun(t *testing.T, namespace string, do func()) {
	t.Helper()
	kubelet, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- cluster.RunJobs(kubelet, namespace) }()
	do()
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// mustBeGone waits until no object of any kind is left that the release made,
// not the Provider object that the program made either.
func (r release) mustBeGone(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		// A kind of the release's own may be going, too.
		kinds, err := listable(t.Context())
		if err != nil {
			return err
		}
		left, err := cluster.Kubectl(t.Context(), "get", kinds, "--all-namespaces",
			"--selector=app.kubernetes.io/instance="+r.name, "--ignore-not-found", "-o", "name")
		if err != nil {
			return err
		}
		history, err := cluster.Kubectl(t.Context(), "get", "secrets", "--namespace", r.name, "--selector=owner=helm", "-o", "name")
		if err != nil {
			return err
		}
		provider, err := cluster.Kubectl(t.Context(), "get", "provider", r.name, "--ignore-not-found", "-o", "name")
		if err != nil {
			return err
		}
		if left+history+provider != "" {
			return fmt.Errorf("left behind:\n%s%s%s", left, history, provider)
		}
		return nil
	})
}

// listable are all kinds of objects that can be listed.
func listable(ctx context.Context) (string, error) {
	names, err := cluster.Kubectl(ctx, "api-resources", "--verbs=list", "-o", "name")
	return strings.Join(slices.DeleteFunc(strings.Fields(names), func(name string) bool {
		return strings.HasPrefix(name, "events") // their own labels are none
	}), ","), err
}

// mustNotBeAllowedMore holds what the ServiceAccount may do, and some of what
// it may not.
func (r release) mustNotBeAllowedMore(t *testing.T, mode string) {
	t.Helper()
	own, owns := mode == "auto", mode == "auto" || mode == "cert-manager"
	const (
		externalData = "externaldata.gatekeeper.sh"
		admission    = "admissionregistration.k8s.io"
		rbac         = "rbac.authorization.k8s.io"
		webhooks     = "validatingwebhookconfigurations"
	)
	for _, may := range []struct {
		verbs, group, resource, name string
		want                         bool
	}{
		{"get list watch update", "", "secrets", r.name + "-tls", own},
		{"create patch delete", "", "secrets", r.name + "-tls", false},
		{"get update patch delete", "", "secrets", "endor-api-key", false},
		{"list watch create delete", "", "secrets", "", false},
		{"get list watch create patch", externalData, "providers", r.name, owns},
		{"update delete", externalData, "providers", r.name, false},
		{"get list watch create patch update delete", externalData, "providers", localcluster.Release, false},
		{"list watch create", externalData, "providers", "", false},
		{"get list watch", admission, webhooks, localcluster.WebhookName, true},
		{"create update patch delete", admission, webhooks, localcluster.WebhookName, false},
		{"get list watch", admission, webhooks, "", false},
		{"get", rbac, "clusterroles", r.name, owns},
		{"update patch delete bind escalate", rbac, "clusterroles", r.name, false},
		{"get list watch", rbac, "clusterroles", "cluster-admin", false},
		{"get list watch create", "", "pods", "", false},
		{"get list watch", "", "configmaps", "", false},
		{"list", "constraints.gatekeeper.sh", "k8sendorsignedimages", "", true}, // they are counted for metrics
		{"get watch create update patch delete", "constraints.gatekeeper.sh", "k8sendorsignedimages", "", false},
		{"create", "", "serviceaccounts/token", r.name, false},
	} {
		for verb := range strings.FieldsSeq(may.verbs) {
			if got := r.may(t, verb, may.group, may.resource, may.name); got != may.want {
				t.Errorf("%s %s %q of %q: allowed is %t, want %t", verb, may.resource, may.name, may.group, got, may.want)
			}
		}
	}
}

// may asks the API server whether the ServiceAccount may do it in the release's
// namespace.
func (r release) may(t *testing.T, verb, group, resource, name string) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(resource, "/")
	reviews := schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"}
	review, err := cluster.Dynamic.Resource(reviews).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{
			"user":   "system:serviceaccount:" + r.name + ":" + r.name,
			"groups": []any{"system:serviceaccounts", "system:serviceaccounts:" + r.name, "system:authenticated"},
			"resourceAttributes": map[string]any{
				"namespace": r.name, "verb": verb, "group": group, "resource": resource, "subresource": sub, "name": name,
			},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	allowed, _, err := unstructured.NestedBool(review.Object, "status", "allowed")
	if err != nil {
		t.Fatal(err)
	}
	return allowed
}

// issue writes the Secret of a certificate of a new authority, as cert-manager
// does, and gives the authority's certificate.
func (r release) issue(t *testing.T) []byte {
	t.Helper()
	ca, err := certs.NewAuthority(r.name+"-ca", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(24*time.Hour, r.name+"."+r.name+".svc", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": map[string]any{"name": r.name + "-tls", "namespace": r.name},
		"data":     map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": ca.CertPEM()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Apply(t.Context(), string(manifest)); err != nil {
		t.Fatal(err)
	}
	return ca.CertPEM()
}

// generate writes the Secret of a certificate, and the values that go with it,
// into a folder, as scripts/gen-certs.sh does.
func (r release) generate(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(config.Root, "scripts", "gen-certs.sh"),
		append([]string{"--namespace", r.name, "--name", r.name, "--extra-name", "localhost", "--out", folder}, args...)...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gen-certs.sh: %v\n%s", err, output)
	}
}

// applySecret applies the Secret that [release.generate] wrote.
func applySecret(t *testing.T, folder string) {
	t.Helper()
	if _, err := cluster.Kubectl(t.Context(), "apply", "-f", filepath.Join(folder, "secret.yaml")); err != nil {
		t.Fatal(err)
	}
}

// The module of cert-manager, for its CustomResourceDefinitions: that they
// accept what the chart renders is what a test can see. Certificates are issued
// by the test, since no cert-manager runs.
const (
	certManager    = "github.com/cert-manager/cert-manager@v1.21.2"
	certManagerSum = "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68="
)

var certManagerCRDs sync.Once

// installCertManagerCRDs installs them once.
func installCertManagerCRDs(t *testing.T) {
	t.Helper()
	certManagerCRDs.Do(func() {
		output := goTool(t, t.TempDir(), "mod", "download", "-json", certManager)
		var module struct{ Dir, Sum string }
		if err := json.Unmarshal(output, &module); err != nil {
			t.Fatal(err)
		}
		if module.Sum != certManagerSum {
			t.Fatalf("%s has the sum %s, want %s", certManager, module.Sum, certManagerSum)
		}
		var files, names []string
		for _, kind := range []string{"certificates", "issuers"} {
			files = append(files, "-f", filepath.Join(module.Dir, "deploy", "crds", "cert-manager.io_"+kind+".yaml"))
			names = append(names, "crd/"+kind+".cert-manager.io")
		}
		if _, err := cluster.Kubectl(t.Context(), append([]string{"apply", "--server-side"}, files...)...); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			// It fails, rather than to wait, as long as there is no condition at all.
			_, err := cluster.Kubectl(t.Context(), append([]string{"wait", "--for=condition=Established", "--timeout=1m"}, names...)...)
			return err
		})
	})
}

// buildHelm3 builds helm 3 of the version that scripts/chart pins, and gives its
// path.
func buildHelm3(t *testing.T) string {
	t.Helper()
	program := filepath.Join(config.Programs, "helm-3")
	goTool(t, filepath.Join(config.Root, "scripts", "chart"), "build", "-o", program, "helm.sh/helm/v3/cmd/helm")
	return program
}

// goTool runs go in a folder and gives what it prints.
func goTool(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, output, stderr.String())
	}
	return output
}

// logLines are the lines with a text, in any case, in the files of a pattern.
func logLines(t *testing.T, pattern, text string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = errors.New("there is no log " + pattern)
	}
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
			if strings.Contains(strings.ToLower(lines.Text()), text) {
				found = append(found, lines.Text())
			}
		}
	}
	return found
}
