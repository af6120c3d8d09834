// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package surveybench measures a report of a large cluster beside what
// Gatekeeper's engine alone takes for its Pods. It is a package of its own
// because a process has one engine.
package surveybench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory/inventorytest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/survey"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// The cluster: 10,000 Pods of 500 owners, each of ten images out of 1,000.
const (
	pods         = 10_000
	owners       = 500
	imagesPerPod = 10
	images       = 1_000

	upstreamLatency = 20 * time.Millisecond
)

func image(n int) string { return fmt.Sprintf("ghcr.io/acme/app-%d@sha256:%064x", n%images, n%images) }

// pod is the Pod of a replica, with what kubelet and defaults add to it.
func pod(n int) *unstructured.Unstructured {
	owner := n % owners
	var containers, statuses []any
	for i := range imagesPerPod {
		name, ref := fmt.Sprint("c", i), image(owner*imagesPerPod+i)
		containers = append(containers, map[string]any{
			"name": name, "image": ref, "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
			"resources":    map[string]any{"limits": map[string]any{"cpu": "1", "memory": "1Gi"}},
			"env":          []any{map[string]any{"name": "POD", "value": fmt.Sprint(n)}},
			"volumeMounts": []any{map[string]any{"name": fmt.Sprint("kube-api-access-", n), "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}},
		})
		statuses = append(statuses, map[string]any{"name": name, "image": ref, "imageID": ref, "ready": true, "restartCount": int64(0)})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": fmt.Sprintf("app-%d-%d", owner, n), "namespace": fmt.Sprint("team-", owner%20), "uid": fmt.Sprint("pod-", n),
			"labels": map[string]any{"app.kubernetes.io/name": fmt.Sprint("app-", owner)},
			"ownerReferences": []any{map[string]any{
				"apiVersion": "apps/v1", "kind": "StatefulSet", "name": fmt.Sprint("app-", owner), "uid": fmt.Sprint("set-", owner), "controller": true,
			}},
		},
		"spec":   map[string]any{"nodeName": fmt.Sprint("node-", n%100), "containers": containers},
		"status": map[string]any{"phase": "Running", "containerStatuses": statuses},
	}}
}

// stage is the cluster and the emulator of Endor Labs.
type stage struct {
	url      string
	emulator *endortest.Server
}

func newStage(b *testing.B) stage {
	b.Helper()
	server, emulator := &inventorytest.Server{}, endortest.Start(b, endortest.Config{})
	for n := range images {
		if err := emulator.Sign(endortest.Signing{Image: image(n), Claims: endortest.GitHubClaims("acme", "app", "refs/heads/main")}); err != nil {
			b.Fatal(err)
		}
	}
	if err := emulator.Inject(endortest.Fault{Kind: endortest.FaultLatency, Delay: upstreamLatency}); err != nil {
		b.Fatal(err)
	}
	server.Define("templates.gatekeeper.sh/v1", "constrainttemplates", "ConstraintTemplate", false)
	server.Define("constraints.gatekeeper.sh/v1beta1", "k8sendorsignedimages", policies.Kind, false)
	server.Put(object(b, string(policies.Template)), object(b, `
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sEndorSignedImages
metadata: {name: signed}
spec: {parameters: {namespace: `+emulator.Namespace+`, signers: [{sourceRepository: acme/app}]}}`))
	for n := range pods {
		server.Put(pod(n))
	}
	listener := httptest.NewServer(server)
	b.Cleanup(listener.Close)
	return stage{listener.URL, emulator}
}

func object(b *testing.B, text string) *unstructured.Unstructured {
	b.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		b.Fatal(err)
	}
	return o
}

// evaluation starts a provider that has not been asked yet, and an engine.
func (s stage) evaluation(b *testing.B) (survey.Evaluation, func()) {
	b.Helper()
	client, err := endor.New(endor.Config{BaseURL: s.emulator.URL, Credentials: endor.Credentials{Key: s.emulator.APIKey, Secret: s.emulator.APISecret}})
	if err != nil {
		b.Fatal(err)
	}
	p, err := localprovider.Start(b.Context(), localprovider.Config{
		Verifier: verify.NewEndor(client, nil), Resolver: verify.Resolver{Namespace: s.emulator.Namespace},
	})
	if err != nil {
		b.Fatal(err)
	}
	e, err := p.Engine(b.Context(), localprovider.Name)
	if err != nil {
		b.Fatal(err)
	}
	return survey.Evaluation{Engine: e, Provider: localprovider.Name, Answers: p.ByImage}, func() {
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
		client.Close()
	}
}

// BenchmarkReport makes a report whose images nobody has asked about, another
// while all answers are remembered, and has the same engine review every Pod
// with an empty template.
func BenchmarkReport(b *testing.B) {
	s := newStage(b)
	cluster, err := inventory.New(&rest.Config{Host: s.url})
	if err != nil {
		b.Fatal(err)
	}
	all := make([]*unstructured.Unstructured, pods)
	for n := range all {
		all[n] = pod(n)
	}
	var cold, warm, empty time.Duration
	calls := 0
	for b.Loop() {
		evaluation, closed := s.evaluation(b)
		s.emulator.ResetCounters()
		cold += s.report(b, cluster, evaluation)
		calls = s.emulator.Counters().Requests["operations"]
		warm += s.report(b, cluster, evaluation)
		empty += reviewAll(b, evaluation.Engine, all)
		closed()
	}
	rate := func(d time.Duration) float64 { return float64(pods) * float64(b.N) / d.Seconds() }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate(cold), "report-new-images-pods/s")
	b.ReportMetric(rate(warm), "report-known-images-pods/s")
	b.ReportMetric(rate(empty), "empty-template-pods/s")
	b.ReportMetric(rate(warm)/rate(empty), "report/empty")
	b.ReportMetric(float64(calls), "calls")
	if calls != images {
		b.Errorf("%d calls to Endor Labs for %d images", calls, images)
	}
}

func (s stage) report(b *testing.B, cluster *inventory.Cluster, evaluation survey.Evaluation) time.Duration {
	b.Helper()
	start := time.Now()
	r, err := survey.Run(b.Context(), survey.Config{Cluster: cluster, Evaluation: &evaluation})
	took := time.Since(start)
	if err != nil {
		b.Fatal(err)
	}
	check(b, r)
	return took
}

func check(b *testing.B, r *report.Report) {
	b.Helper()
	running := 0
	for _, i := range r.Images {
		running += i.Pods
	}
	if r.Totals().Verified != images || running != pods*imagesPerPod || r.Constraints[0].Matched != pods {
		b.Fatalf("totals %+v, %d images in Pods, %q", r.Totals(), running, r.Notices)
	}
}

// reviewAll is what the engine takes for every Pod, with a template that finds
// nothing.
func reviewAll(b *testing.B, e *engine.Engine, all []*unstructured.Unstructured) time.Duration {
	b.Helper()
	template := object(b, `
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: nothing}
spec:
  crd: {spec: {names: {kind: Nothing}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      code: [{engine: Rego, source: {version: v1, rego: "package nothing\n\nviolation contains {\"msg\": \"\"} if false\n"}}]`)
	constraint := object(b, "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Nothing\nmetadata: {name: nothing}\nspec: {}")
	if err := e.AddTemplate(b.Context(), template); err != nil {
		b.Fatal(err)
	}
	if err := e.AddConstraint(b.Context(), constraint); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	for _, p := range all {
		if v, err := e.Review(b.Context(), engine.Request{Object: p}); err != nil || len(v) > 0 {
			b.Fatalf("%v, %v", v, err)
		}
	}
	took := time.Since(start)
	if err := e.RemoveConstraint(b.Context(), constraint); err != nil {
		b.Fatal(err)
	}
	return took
}

// maxMiB is what the program may need for the cluster.
const maxMiB = 300

// BenchmarkReportMemory is the most memory that the real program holds at a time.
func BenchmarkReportMemory(b *testing.B) {
	s := newStage(b)
	dir := b.TempDir()
	program, err := testbed.Build(dir, "kubectl-endor")
	if err != nil {
		b.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, fmt.Appendf(nil, "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: %q}}]}", s.url), 0o600); err != nil {
		b.Fatal(err)
	}
	most := 0.0
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), program[0], "report", "-o", "json")
		cmd.Env = append(os.Environ(), "HOME="+dir, "KUBECONFIG="+kubeconfig, "ENDOR_API="+s.emulator.URL, "ENDOR_NAMESPACE="+s.emulator.Namespace,
			"ENDOR_API_CREDENTIALS_KEY="+s.emulator.APIKey, "ENDOR_API_CREDENTIALS_SECRET="+s.emulator.APISecret)
		r, peak := runReport(b, cmd)
		check(b, r)
		most = max(most, peak)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(most, "peak-MiB")
	if most > maxMiB {
		b.Errorf("the program had %.0f MiB, more than %d", most, maxMiB)
	}
}

// runReport gives the report and the most memory that the program had when it
// began to write it, which is when it is waiting for its reader.
func runReport(b *testing.B, cmd *exec.Cmd) (*report.Report, float64) {
	b.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if _, err := out.Peek(1); err != nil {
		b.Fatalf("%v, %v: %s", err, cmd.Wait(), stderr.String())
	}
	peak, err := testbed.Mebibytes(cmd.Process.Pid, "VmHWM")
	if err != nil {
		b.Fatal(err)
	}
	var r report.Report
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%v: %s", err, stderr.String())
	}
	return &r, peak
}
