// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory/inventorytest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// The images of testdata/report-cluster.yaml; the emulator signed the first two.
var (
	apiImage = "ghcr.io/acme/api@sha256:" + strings.Repeat("1", 64)
	oldImage = "ghcr.io/acme/old@sha256:" + strings.Repeat("2", 64)
)

// newCluster is an API server with what testdata/report-cluster.yaml has.
func newCluster() (*inventorytest.Server, error) {
	s := &inventorytest.Server{}
	s.Define("templates.gatekeeper.sh/v1", "constrainttemplates", "ConstraintTemplate", false)
	s.Define("config.gatekeeper.sh/v1alpha1", "configs", "Config", true)
	s.Define("constraints.gatekeeper.sh/v1beta1", "k8sendorsignedimages", policies.Kind, false)
	s.Define("wgpolicyk8s.io/v1alpha2", "policyreports", "PolicyReport", true)
	s.Define("wgpolicyk8s.io/v1alpha2", "clusterpolicyreports", "ClusterPolicyReport", false)
	template := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(policies.Template, &template.Object); err != nil {
		return nil, err
	}
	s.Put(template)
	objects, err := manifest.Read([]string{"testdata/report-cluster.yaml"}, nil)
	for _, o := range objects {
		s.Put(o.Unstructured)
	}
	return s, err
}

// newEmulator has signed apiImage and oldImage.
func newEmulator(t *testing.T) *endortest.Server {
	t.Helper()
	e := endortest.Start(t, endortest.Config{Namespaces: []string{"acme"}})
	for _, image := range []string{apiImage, oldImage} {
		if err := e.Sign(endortest.Signing{Namespace: "acme", Image: image, Claims: endortest.GitHubClaims("acme", "app", "refs/heads/main")}); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func writeKubeconfig(path, url string) error {
	return os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: %q}}]
users: [{name: test, user: {}}]
`, url), 0o600)
}

// TestReportScripts drives the program before a cluster of its own.
func TestReportScripts(t *testing.T) {
	emulator := newEmulator(t)
	if err := emulator.Revoke("acme", oldImage, ""); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/report",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "forbid": func(ts *testscript.TestScript, _ bool, args []string) {
			ts.Value("cluster").(*inventorytest.Server).Forbid(args[0], args[1])
		}},
		Setup: func(env *testscript.Env) error {
			cluster, err := newCluster()
			if err != nil {
				return err
			}
			listener := httptest.NewServer(cluster)
			env.Defer(listener.Close)
			env.Values["cluster"] = cluster
			kubeconfig := filepath.Join(env.WorkDir, "kubeconfig")
			for name, value := range map[string]string{
				"KUBECONFIG": kubeconfig, "ENDOR_API": emulator.URL, "ENDOR_NAMESPACE": "acme",
				"ENDOR_API_CREDENTIALS_KEY": emulator.APIKey, "ENDOR_API_CREDENTIALS_SECRET": emulator.APISecret,
			} {
				env.Setenv(name, value)
			}
			return writeKubeconfig(kubeconfig, listener.URL)
		},
	})
}

// inProcess gives a function that runs the program within this process, which
// an interruption can be timed for.
func inProcess(t *testing.T) (*inventorytest.Server, *endortest.Server, func(ctx context.Context, stdout, stderr io.Writer, args ...string) int) {
	t.Helper()
	cluster, err := newCluster()
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(cluster)
	t.Cleanup(listener.Close)
	emulator := newEmulator(t)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := writeKubeconfig(kubeconfig, listener.URL); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"KUBECONFIG": kubeconfig, "ENDOR_API": emulator.URL, "ENDOR_NAMESPACE": "acme", "HOME": t.TempDir(),
		"ENDOR_API_CREDENTIALS_KEY": emulator.APIKey, "ENDOR_API_CREDENTIALS_SECRET": emulator.APISecret,
	} {
		t.Setenv(name, value)
	}
	return cluster, emulator, func(ctx context.Context, stdout, stderr io.Writer, args ...string) int {
		return run(ctx, append([]string{"report"}, args...), strings.NewReader(""), stdout, stderr)
	}
}

// Not parallel, as all that follows: one engine a process.
func TestAnInterruptedReportIsWrittenAndSaysSo(t *testing.T) {
	cluster, _, reportOn := inProcess(t)
	ctx, interrupt := context.WithCancel(t.Context())
	cluster.OnList(func(resource string) {
		if resource == "pods" {
			interrupt()
		}
	})
	var stdout, stderr bytes.Buffer
	code := reportOn(ctx, &stdout, &stderr, "-o", "json")
	var r report.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s, stderr %s", err, stdout.String(), stderr.String())
	}
	// Of what runs it has the Deployment, and of the Pods what audit says.
	if code != 2 || r.Complete || len(r.Images) != 2 || r.Images[0].Image != "nginx:1.27" || r.Images[1].Image != apiImage || !strings.Contains(stderr.String(), "not complete") {
		t.Errorf("status %d, stderr %s, report %+v", code, stderr.String(), r)
	}
}

func TestAWatchPrintsARevocationAndEndsWhenItIsInterrupted(t *testing.T) {
	_, emulator, reportOn := inProcess(t)
	ctx, interrupt := context.WithCancel(t.Context())
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- reportOn(ctx, outW, errW, "--watch-revocations", "--interval", "1s")
		outW.Close()
		errW.Close()
	}()
	begun, err := bufio.NewReader(errR).ReadString('\n')
	if err != nil || !strings.Contains(begun, "Watching 3 images, of which 2 are verified and 1 refused") {
		t.Fatalf("it began with %q, %v", begun, err)
	}
	go func() { _, _ = io.Copy(io.Discard, errR) }()
	if err := emulator.Revoke("acme", oldImage, ""); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(outR).ReadString('\n')
	if err != nil || !strings.Contains(line, "newly revoked  "+oldImage+"  was VERIFIED  is REVOKED  in production/Pod/old") {
		t.Errorf("it printed %q, %v", line, err)
	}
	interrupt()
	if code := <-ended; code != 0 {
		t.Errorf("status %d", code)
	}
}

// A report of a namespace that runs nothing any more would be believed for ever.
func TestAppliedReportsOfEmptiedNamespacesAreDeletedAndThoseOfOthersLeft(t *testing.T) {
	cluster, _, reportOn := inProcess(t)
	gvk := schema.GroupVersionKind{Group: "wgpolicyk8s.io", Version: "v1alpha2", Kind: "PolicyReport"}
	for namespace, by := range map[string]string{"emptied": "endor-gatekeeper-provider", "theirs": "kyverno"} {
		cluster.Put(&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
			"metadata": map[string]any{"name": "r", "namespace": namespace, "labels": map[string]any{"app.kubernetes.io/managed-by": by}},
		}})
	}
	var stdout, stderr bytes.Buffer
	if code := reportOn(t.Context(), &stdout, &stderr, "--apply", "-n", "staging"); code != 0 || cluster.Get(gvk, "emptied", "r") == nil {
		t.Fatalf("of one namespace: status %d, %s; reports of others must be left", code, stderr.String())
	}
	if code := reportOn(t.Context(), &stdout, &stderr, "--apply"); code != 0 {
		t.Fatalf("status %d: %s", code, stderr.String())
	}
	if cluster.Get(gvk, "emptied", "r") != nil || cluster.Get(gvk, "theirs", "r") == nil {
		t.Error("the report of the emptied namespace is there still, or that of others is not")
	}
	if cluster.Asked()["patch policyreports.wgpolicyk8s.io"] != 3 {
		t.Errorf("asked %v", cluster.Asked())
	}
}

// An audit may name an object that is in no namespace.
func TestImagesOfNoNamespaceAreAppliedAsAClusterPolicyReportAndDeletedAsOne(t *testing.T) {
	cluster, _, reportOn := inProcess(t)
	gvk := schema.GroupVersionKind{Group: "wgpolicyk8s.io", Version: "v1alpha2", Kind: "ClusterPolicyReport"}
	log := filepath.Join(t.TempDir(), "audit.log")
	text := `{"semantic":true,"audit_id":"2026-03-01T10:00:00Z","event_type":"violation_audited","constraint_kind":"` + policies.Kind + `","constraint_name":"signed-images",` +
		`"constraint_action":"deny","resource_kind":"Machine","resource_name":"m","details":{"code":"NO_DIGEST","container":"c","image":"nginx"}}` + "\n" +
		`{"semantic":true,"audit_id":"2026-03-01T10:00:00Z","event_type":"audit_finished"}` + "\n"
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := reportOn(t.Context(), &stdout, &stderr, "--apply", "--from-status", "--from-log", log); code != 0 || cluster.Get(gvk, "", "endor-gatekeeper-provider") == nil {
		t.Fatalf("status %d, %s; there is no ClusterPolicyReport", code, stderr.String())
	}
	if code := reportOn(t.Context(), &stdout, &stderr, "--apply"); code != 0 || cluster.Get(gvk, "", "endor-gatekeeper-provider") != nil {
		t.Errorf("status %d, %s; what is no longer so is said still", code, stderr.String())
	}
}
