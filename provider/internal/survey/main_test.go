// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory/inventorytest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/survey"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Tests of this package have an engine each and are not parallel.

// now is when reports are made.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ref is an image with a digest that is made of its name.
func ref(name string) string {
	return "ghcr.io/acme/" + name + "@sha256:" + strings.Repeat(fmt.Sprintf("%02x", len(name)%256), 28) + fmt.Sprintf("%08x", hash(name))
}

func hash(s string) uint32 {
	h := uint32(2166136261)
	for _, b := range []byte(s) {
		h = (h ^ uint32(b)) * 16777619
	}
	return h
}

// stage is a cluster, the emulator of Endor Labs, and what a survey takes.
type stage struct {
	*inventorytest.Server
	emulator *endortest.Server
	config   survey.Config

	timeout time.Duration // of a question to Endor Labs; default its client's
}

// newStage has Gatekeeper installed, with the shipped template. Images that
// begin with "signed" are.
func newStage(t testing.TB, signed ...string) *stage {
	t.Helper()
	s := &stage{Server: &inventorytest.Server{}, emulator: endortest.Start(t, endortest.Config{})}
	for _, name := range signed {
		s.sign(t, name, "acme")
	}
	s.Define("templates.gatekeeper.sh/v1", "constrainttemplates", "ConstraintTemplate", false)
	s.Define("config.gatekeeper.sh/v1alpha1", "configs", "Config", true)
	s.Define("constraints.gatekeeper.sh/v1beta1", "k8sendorsignedimages", policies.Kind, false)
	template := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(policies.Template, &template.Object); err != nil {
		t.Fatal(err)
	}
	s.Put(template)
	for _, name := range []string{"shop", "legacy"} {
		s.Put(s.object(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+name+", labels: {team: "+name+"-team, kubernetes.io/metadata.name: "+name+"}}"))
	}
	listener := httptest.NewServer(s.Server)
	t.Cleanup(listener.Close)
	cluster, err := inventory.New(&rest.Config{Host: listener.URL})
	if err != nil {
		t.Fatal(err)
	}
	s.config = survey.Config{
		Cluster: cluster, Name: "test", Generator: "kubectl-endor test", OwnerLabels: []string{"app.kubernetes.io/name", "team"},
		StaleAfter: 10 * time.Minute, Now: func() time.Time { return now },
	}
	return s
}

func (s *stage) sign(t testing.TB, name, owner string) {
	t.Helper()
	if err := s.emulator.Sign(endortest.Signing{Image: ref(name), Claims: endortest.GitHubClaims(owner, "app", "refs/heads/main")}); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	o.SetUID(uid(o))
	return o
}

// constrain adds a constraint for images that acme signed; fields go into its
// spec, as YAML in one line.
func (s *stage) constrain(t testing.TB, name, fields string) {
	t.Helper()
	spec := "parameters: {namespace: " + s.emulator.Namespace + ", signers: [{sourceRepository: acme/*}]}"
	if strings.Contains(fields, "parameters:") {
		spec = strings.ReplaceAll(fields, "NAMESPACE", s.emulator.Namespace)
	} else if fields != "" {
		spec += ", " + fields
	}
	s.Put(s.object(t, "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: "+policies.Kind+"\nmetadata: {name: "+name+"}\nspec: {"+spec+"}"))
}

// evaluate starts a provider and its engine for the survey.
func (s *stage) evaluate(t testing.TB) *localprovider.Provider {
	t.Helper()
	client, err := endor.New(endor.Config{
		BaseURL: s.emulator.URL, Credentials: endor.Credentials{Key: s.emulator.APIKey, Secret: s.emulator.APISecret}, Timeout: s.timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := localprovider.Start(context.WithoutCancel(t.Context()), localprovider.Config{
		Verifier: verify.NewEndor(client, nil), Resolver: verify.Resolver{Namespace: s.emulator.Namespace},
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.Engine(context.WithoutCancel(t.Context()), localprovider.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		client.Close()
	})
	s.config.Evaluation = &survey.Evaluation{Engine: e, Provider: localprovider.Name, Answers: p.ByImage}
	return p
}

// run makes a report that is to be complete.
func (s *stage) run(t testing.TB) *report.Report {
	t.Helper()
	r, err := survey.Run(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Complete {
		t.Errorf("the report is not complete: %q", r.Notices)
	}
	return r
}

func row(t testing.TB, r *report.Report, image string) report.Image {
	t.Helper()
	i := slices.IndexFunc(r.Images, func(i report.Image) bool { return i.Image == image })
	if i < 0 {
		t.Fatalf("the report has no row for %s", image)
	}
	return r.Images[i]
}

func noticed(r *report.Report, text string) bool {
	return slices.ContainsFunc(r.Notices, func(n report.Notice) bool { return strings.Contains(n.Text, text) })
}

// pod is a Pod of one container; owner is kind/name, or empty.
func pod(namespace, name, owner, image string) string {
	text := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: %s\n  name: %s\n", namespace, name)
	if kind, of, ok := strings.Cut(owner, "/"); ok {
		text += fmt.Sprintf("  ownerReferences: [{apiVersion: apps/v1, kind: %s, name: %s, uid: %s, controller: true}]\n", kind, of, kind+"-"+namespace+"-"+of)
	}
	return text + fmt.Sprintf("spec: {containers: [{name: app, image: %q}]}\nstatus: {phase: Running}\n", image)
}

// workload makes Pods of one container.
func workload(apiVersion, kind, namespace, name, image string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {namespace: %s, name: %s}\nspec: {template: {metadata: {labels: {app.kubernetes.io/name: %s}}, spec: {containers: [{name: app, image: %q}]}}}\n",
		apiVersion, kind, namespace, name, name, image)
}

func uid(o *unstructured.Unstructured) types.UID {
	return types.UID(o.GetKind() + "-" + o.GetNamespace() + "-" + o.GetName())
}

var templateGVK = schema.GroupVersionKind{Group: "templates.gatekeeper.sh", Version: "v1", Kind: "ConstraintTemplate"}

var constraintGVK = schema.GroupVersionKind{Group: "constraints.gatekeeper.sh", Version: "v1beta1", Kind: policies.Kind}
