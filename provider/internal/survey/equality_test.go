// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// What is judged once for many objects must be what the engine says of each.
// The constraints select by all that a match can look at, and the objects differ
// in it.
func TestAReportIsWhatTheEngineSaysOfEveryObject(t *testing.T) {
	s := newStage(t, "signed-a", "signed-b")
	s.sign(t, "foreign", "evil")
	kinds := "kinds: [{apiGroups: ['', apps], kinds: [Pod, Deployment, StatefulSet]}]"
	for name, fields := range map[string]string{
		"all":       "match: {" + kinds + "}",
		"labels":    "enforcementAction: warn, match: {labelSelector: {matchLabels: {tier: web}}}",
		"express":   "enforcementAction: dryrun, match: {labelSelector: {matchExpressions: [{key: canary, operator: DoesNotExist}]}}",
		"names":     "enforcementAction: dryrun, match: {name: 'web-*', namespaces: [shop]}",
		"namespace": "enforcementAction: warn, match: {namespaceSelector: {matchLabels: {team: legacy-team}}}",
		"excluded":  "match: {excludedNamespaces: [sh*], " + kinds + "}",
		"strange":   "parameters: {namespace: NAMESPACE, signers: [{sourceRepository: evil/app}], images: ['ghcr.io/acme/*'], exemptContainers: [{name: helper, image: 'ghcr.io/acme/*'}]}, match: {scope: Namespaced}",
	} {
		s.constrain(t, name, fields)
	}
	random := rand.New(rand.NewPCG(1, 2))
	objects := crowd(s, t, random, 150)
	s.Put(objects...)
	s.evaluate(t)

	got := s.run(t)
	want := bruteForce(t, s, objects)
	if diff := cmp.Diff(want, summary(got)); diff != "" {
		t.Errorf("(-engine +report):\n%s", diff)
	}
}

// crowd makes Pods and workloads of few images, names, labels and containers.
func crowd(s *stage, t *testing.T, random *rand.Rand, n int) []*unstructured.Unstructured {
	t.Helper()
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	image := func() string {
		return pick(ref("signed-a"), ref("signed-b"), ref("foreign"), ref("unsigned"), "nginx:1.27", "ghcr.io/acme/x@sha256:short", "")
	}
	entry := func() string {
		return fmt.Sprintf("{name: %s, image: %q}", pick("app", "helper", "proxy"), image())
	}
	var objects []*unstructured.Unstructured
	for i := range n {
		spec := fmt.Sprintf("{nodeName: node-%d, containers: [%s, %s]", i, entry(), entry())
		if random.IntN(3) == 0 {
			spec += fmt.Sprintf(", initContainers: [%s]", entry())
		}
		if random.IntN(3) == 0 {
			spec += fmt.Sprintf(", volumes: [{name: token-%d, emptyDir: {}}, {name: v, image: {reference: %q}}]", i, image())
		}
		spec += "}"
		labels := pick("{tier: web}", "{tier: db, canary: 'yes'}", "{}", fmt.Sprintf("{unlooked: l%d}", i))
		meta := fmt.Sprintf("metadata: {namespace: %s, name: %s-%d, labels: %s}", pick("shop", "legacy"), pick("web", "db"), i, labels)
		text := fmt.Sprintf("apiVersion: v1\nkind: Pod\n%s\nspec: %s", meta, spec)
		if random.IntN(4) == 0 {
			text = fmt.Sprintf("apiVersion: apps/v1\nkind: %s\n%s\nspec: {template: {metadata: {labels: %s}, spec: %s}}", pick("Deployment", "StatefulSet"), meta, labels, spec)
		}
		objects = append(objects, s.object(t, text))
	}
	return objects
}

// digest of a report that two ways to it can be compared by.
type said struct {
	Violations map[string]int                        // :: constraint
	Matched    map[string]int                        // :: constraint
	Refused    map[string]map[string]bool            // :: image -> constraint and code
	Next       map[string]map[string]report.Decision // :: image -> workload, list and container
}

func newSaid() said {
	return said{map[string]int{}, map[string]int{}, map[string]map[string]bool{}, map[string]map[string]report.Decision{}}
}

func (d said) at(image string) {
	if d.Refused[image] == nil {
		d.Refused[image], d.Next[image] = map[string]bool{}, map[string]report.Decision{}
	}
}

func summary(r *report.Report) said {
	d := newSaid()
	for _, c := range r.Constraints {
		d.Violations[c.Name], d.Matched[c.Name] = c.Violations, c.Matched
	}
	for _, i := range r.Images {
		d.at(i.Image)
		for _, refusal := range i.Refusals {
			d.Refused[i.Image][refusal.Constraint+" "+refusal.Code] = true
		}
		for _, p := range i.Places {
			d.Next[i.Image][fmt.Sprint(p.Namespace, p.Kind, p.Name, p.List, p.Container)] = p.Next
		}
	}
	return d
}

// bruteForce asks the engine about each object, and about the Pod of each
// workload, and remembers nothing.
func bruteForce(t *testing.T, s *stage, objects []*unstructured.Unstructured) said {
	t.Helper()
	d := newSaid()
	e := s.config.Evaluation.Engine
	constraints, err := s.config.Cluster.Constraints(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range constraints {
		d.Violations[c.GetName()], d.Matched[c.GetName()] = 0, 0
		if err := e.AddConstraint(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := e.RemoveConstraint(t.Context(), c); err != nil {
				t.Error(err)
			}
		}()
	}
	for _, o := range objects {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: o.GetNamespace(), Labels: map[string]string{"team": o.GetNamespace() + "-team", "kubernetes.io/metadata.name": o.GetNamespace()},
		}}
		for _, c := range constraints {
			if matched, err := engine.Matches(c, o, namespace); err != nil || matched {
				d.Matched[c.GetName()]++
			}
		}
		judged := []*unstructured.Unstructured{o}
		if o.GetKind() != "Pod" {
			template := o.Object["spec"].(map[string]any)["template"].(map[string]any)
			future := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
				"metadata": map[string]any{"namespace": o.GetNamespace(), "generateName": o.GetName() + "-", "labels": template["metadata"].(map[string]any)["labels"]},
			}}
			judged = append(judged, future)
		}
		for n, judging := range judged {
			violations, err := e.Review(t.Context(), engine.Request{Object: judging, Namespace: namespace})
			if err != nil {
				t.Fatal(err)
			}
			d.judge(o, judging, violations, n == 0)
		}
	}
	return d
}

func (d said) judge(o, judged *unstructured.Unstructured, violations []engine.Violation, counted bool) {
	decision := report.Admitted
	for _, v := range violations {
		decision = report.Worst(decision, report.DecisionOf(v.EnforcementAction))
		if counted {
			d.Violations[v.Constraint.GetName()]++
		}
	}
	for _, use := range podspec.Images(judged) {
		d.at(use.Reference)
		place := fmt.Sprint(o.GetNamespace(), o.GetKind(), o.GetName(), use.List, use.Name)
		before := d.Next[use.Reference][place]
		if before == "" {
			before = report.Admitted
		}
		d.Next[use.Reference][place] = report.Worst(before, decision)
		for _, v := range violations {
			if report.IsAbout(v, use) {
				d.Refused[use.Reference][v.Constraint.GetKind()+"/"+v.Constraint.GetName()+" "+v.Details["code"].(string)] = true
			}
		}
	}
}

// However many Pods run an image, Endor Labs is asked about it once, and what is
// alike is judged once.
func TestOneCallForEachImageOfManyPods(t *testing.T) {
	const pods, owners = 2300, 20
	var signed []string
	for i := range owners {
		signed = append(signed, fmt.Sprint("app-", i))
	}
	s := newStage(t, signed...)
	s.constrain(t, "deny", "parameters: {namespace: NAMESPACE, signers: [{sourceRepository: acme/app}]}")
	for i := range pods {
		name := fmt.Sprint("app-", i%owners)
		s.Put(s.object(t, pod("shop", fmt.Sprintf("%s-%d", name, i), "StatefulSet/"+name, ref(name))))
	}
	s.evaluate(t)
	var progress []string
	s.config.Progress = func(kind string, objects int) { progress = append(progress, fmt.Sprint(kind, " ", objects)) }
	r := s.run(t)
	if calls := s.emulator.Counters().Requests["operations"]; calls != owners {
		t.Errorf("%d calls for %d images", calls, owners)
	}
	if len(r.Images) != owners || r.Images[0].Pods != pods/owners || r.Totals().Verified != owners {
		t.Errorf("%d images, the first in %d Pods", len(r.Images), r.Images[0].Pods)
	}
	if limits := s.Limits(); slices.ContainsFunc(limits, func(l int) bool { return l != 500 }) {
		t.Errorf("lists with limits %v", limits)
	}
	if want := "Pod 500,Pod 500,Pod 500,Pod 500,Pod 300"; strings.Join(progress, ",") != want {
		t.Errorf("progress %v", progress)
	}
	for verb := range maps.Keys(s.Asked()) {
		if strings.HasPrefix(verb, "get ") && !strings.Contains(verb, "gatekeeper.sh") {
			t.Errorf("it was asked to %s, one by one", verb)
		}
	}
}
