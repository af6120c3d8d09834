// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/survey"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestARowSaysWhatIsKnownOfAnImage(t *testing.T) {
	s := newStage(t, "signed")
	s.sign(t, "revoked", "acme")
	if err := s.emulator.Revoke(s.emulator.Namespace, ref("revoked"), ""); err != nil {
		t.Fatal(err)
	}
	s.sign(t, "foreign", "evil")
	s.constrain(t, "deny", "match: {excludedNamespaces: [legacy]}")
	s.constrain(t, "count", "enforcementAction: dryrun, match: {kinds: [{apiGroups: [''], kinds: [Pod]}], namespaces: [shop]}")
	for _, text := range []string{
		workload("apps/v1", "Deployment", "shop", "api", ref("signed")),
		pod("shop", "api-5d9f-1", "ReplicaSet/api-5d9f", ref("signed")), pod("shop", "api-5d9f-2", "ReplicaSet/api-5d9f", ref("signed")),
		"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {namespace: shop, name: api-5d9f, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: api, uid: Deployment-shop-api, controller: true}]}\n" +
			"spec: {replicas: 2, template: {spec: {containers: [{name: app, image: '" + ref("signed") + "'}]}}}",
		pod("shop", "old", "", ref("revoked")), pod("shop", "bought", "", ref("foreign")), pod("shop", "tag", "", "nginx:1.27"),
		pod("legacy", "unasked", "", ref("unsigned")),
	} {
		s.Put(s.object(t, text))
	}
	s.evaluate(t)
	r := s.run(t)

	signed := row(t, r, ref("signed"))
	if signed.Code != "VERIFIED" || signed.Class != verify.ClassVerified || signed.NextRollout != report.Admitted || signed.Pods != 2 ||
		signed.Signer.SourceRepository != "acme/app" || signed.SignedAt == nil || len(signed.Refusals) != 0 || signed.Reason != "" {
		t.Errorf("signed: %+v", signed)
	}
	wantPlaces := []report.Place{{
		Namespace: "shop", Kind: "Deployment", Name: "api", List: "containers", Container: "app", Pods: 2,
		Owner: map[string]string{"app.kubernetes.io/name": "api", "team": "shop-team"}, Next: report.Admitted,
	}}
	if diff := cmp.Diff(wantPlaces, signed.Places); diff != "" {
		t.Errorf("places of the signed image (-want +got):\n%s", diff)
	}
	for name, want := range map[string]struct {
		code string
		next report.Decision
		by   int
	}{ref("revoked"): {"REVOKED", report.Denied, 2}, ref("foreign"): {"WRONG_SIGNER", report.Denied, 2}, "nginx:1.27": {"NO_DIGEST", report.Denied, 2}} {
		got := row(t, r, name)
		if got.Code != want.code || got.Class != verify.ClassRejected || got.NextRollout != want.next || len(got.Refusals) != want.by || got.Reason == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := row(t, r, ref("foreign")); got.Signer.SourceRepository != "evil/app" {
		t.Errorf("the foreign image's signer is %+v", got.Signer)
	}
	if got := row(t, r, ref("unsigned")); got.Class != report.Unchecked || got.Code != "" || got.NextRollout != report.Admitted {
		t.Errorf("an image that no constraint asks about: %+v", got)
	}
	wantNamespaces := []report.Namespace{{Name: "legacy", Unchecked: 1}, {Name: "shop", Verified: 1, Rejected: 3}}
	if diff := cmp.Diff(wantNamespaces, r.Namespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if got := r.Constraints; len(got) != 2 || got[0].Name != "count" || got[0].Violations != 3 || got[0].Matched != 5 || got[1].Violations != 3 || got[1].Matched != 7 {
		t.Errorf("constraints: %+v", got)
	}
	if calls := s.emulator.Counters().Requests["operations"]; calls != 3+1 { // a wildcard is confirmed once more
		t.Errorf("%d calls for 3 images, of which one verifies by a wildcard", calls)
	}
}

// An outage is neither clean nor unsigned, even where no constraint fails on it.
func TestAnOutageIsToldThoughNoConstraintFailsOnIt(t *testing.T) {
	s := newStage(t, "signed")
	s.constrain(t, "deny", "parameters: {namespace: NAMESPACE, signers: [{sourceRepository: acme/app}], failOn: [rejected]}")
	s.Put(s.object(t, pod("shop", "p", "", ref("signed"))), s.object(t, pod("shop", "q", "", "nginx")))
	s.timeout = 200 * time.Millisecond
	s.evaluate(t)
	s.emulator.Close()
	s.config.Readiness = true
	r := s.run(t)
	if got := row(t, r, ref("signed")); got.Class != verify.ClassUnavailable || got.Code != "UNAVAILABLE" || got.Reason == "" || got.NextRollout != report.Admitted || len(got.Refusals) != 0 {
		t.Errorf("%+v", got)
	}
	if got := row(t, r, "nginx"); got.Code != "NO_DIGEST" {
		t.Errorf("%+v", got)
	}
	want := &report.Readiness{Namespaces: []report.NamespaceReady{{Name: "shop", Workloads: 2, Failing: []string{"Pod/q"}, Unknown: []string{"Pod/p"}}},
		Blockers: []report.Blocker{{Image: "nginx", Code: "NO_DIGEST", Workloads: 1}}}
	if diff := cmp.Diff(want, r.Readiness); diff != "" {
		t.Errorf("readiness (-want +got):\n%s", diff)
	}
}

// A constraint that matches only Pods refuses those that a Deployment would make.
func TestTheNextRolloutOfAWorkloadIsThatOfItsPods(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "pods", "match: {kinds: [{apiGroups: [''], kinds: [Pod]}]}")
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		s.Put(s.object(t, workload("apps/v1", kind, "shop", strings.ToLower(kind), ref(strings.ToLower(kind)))))
	}
	s.Put(s.object(t, "apiVersion: batch/v1\nkind: CronJob\nmetadata: {namespace: shop, name: cronjob}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: app, image: '"+ref("cronjob")+"'}]}}}}}"))
	s.evaluate(t)
	r := s.run(t)
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob"} {
		got := row(t, r, ref(strings.ToLower(kind)))
		if got.Code != "NOT_SIGNED" || got.NextRollout != report.Denied || got.Pods != 0 || len(got.Places) != 1 || got.Places[0].Kind != kind || got.Places[0].Next != report.Denied {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	if c := r.Constraints[0]; c.Violations != 0 || c.Matched != 0 {
		t.Errorf("what is not there is counted: %+v", c)
	}
}

func TestActionsOfWebhookAndAuditAreToldApart(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "both", "enforcementAction: scoped, scopedEnforcementActions: [{action: warn, enforcementPoints: [{name: validation.gatekeeper.sh}]}, {action: deny, enforcementPoints: [{name: audit.gatekeeper.sh}]}]")
	s.constrain(t, "audit", "enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: audit.gatekeeper.sh}]}], match: {namespaces: [legacy]}")
	s.Put(s.object(t, pod("shop", "p", "", ref("one"))), s.object(t, pod("legacy", "p", "", ref("two"))))
	s.evaluate(t)
	r := s.run(t)
	if got := row(t, r, ref("one")); got.NextRollout != report.Warned || len(got.Refusals) != 1 || got.Refusals[0].EnforcementAction != "warn" {
		t.Errorf("a webhook that warns: %+v", got)
	}
	got := row(t, r, ref("two"))
	if got.NextRollout != report.Warned || len(got.Refusals) != 2 || got.Refusals[0].EnforcementAction != "deny" {
		t.Errorf("an audit that denies, which keeps nothing out: %+v", got)
	}
}

func TestNamespacesThatGatekeeperLeavesOutAreNotRefused(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	s.Put(
		s.object(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: ignored, labels: {admission.gatekeeper.sh/ignore: 'true'}}"),
		s.object(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}"),
		s.object(t, "apiVersion: config.gatekeeper.sh/v1alpha1\nkind: Config\nmetadata: {name: config, namespace: gatekeeper-system}\nspec: {match: [{excludedNamespaces: [kube-*], processes: ['*']}]}"),
		s.object(t, pod("ignored", "p", "", ref("ignored"))), s.object(t, pod("kube-system", "p", "", ref("system"))),
	)
	s.evaluate(t)
	r := s.run(t)
	// Audit sees what the webhook is not called for.
	if got := row(t, r, ref("ignored")); got.Code != "NOT_SIGNED" || got.NextRollout != report.DryRun {
		t.Errorf("in a namespace that the webhook ignores: %+v", got)
	}
	if got := row(t, r, ref("system")); got.Class != report.Unchecked || got.NextRollout != report.Admitted {
		t.Errorf("in a namespace that Gatekeeper excludes: %+v", got)
	}
}

func TestRunningDigestsAreComparedIfTheyAreOfOneKind(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	other := "sha256:" + strings.Repeat("ab", 32)
	for i, tc := range []struct{ image, id string }{
		{ref("same"), ref("same")},
		{ref("differs"), "ghcr.io/acme/differs@" + other},
		{ref("pullable"), "docker-pullable://ghcr.io/acme/pullable@" + other},
		{ref("config"), other},
		{ref("config2"), "docker://" + other},
		{ref("elsewhere"), "ghcr.io/mirror/elsewhere@" + other},
		{ref("pending"), ""},
		{"nginx", "docker.io/library/nginx@" + other},
	} {
		o := s.object(t, pod("shop", fmt.Sprint("p", i), "", tc.image))
		o.Object["status"] = map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{"name": "app", "image": tc.image, "imageID": tc.id}, "broken"}}
		s.Put(o)
	}
	s.evaluate(t)
	r := s.run(t)
	for _, image := range r.Images {
		differs := slices.Contains([]string{ref("differs"), ref("pullable"), "nginx"}, image.Image)
		if want := []report.RunningDigest{{Digest: other, Pods: 1}}; differs != (len(image.Running) > 0) || differs && !cmp.Equal(image.Running, want) {
			t.Errorf("%s runs %v", image.Image, image.Running)
		}
	}
}

func TestWhatMayNotBeReadIsSaidAndTheRestReported(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "match: {kinds: [{apiGroups: [''], kinds: [Pod]}]}")
	s.Put(s.object(t, pod("shop", "p", "ReplicaSet/api-5d9f", ref("unsigned"))))
	s.Forbid("list", "deployments.apps")
	s.Forbid("list", "replicasets.apps")
	s.Forbid("get", "configs.config.gatekeeper.sh")
	s.evaluate(t)
	r, err := survey.Run(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"may not list deployments.apps: allow the verb list on deployments of API group apps",
		"may not list replicasets.apps", "may not get configs.config.gatekeeper.sh in namespace gatekeeper-system",
	} {
		if !noticed(r, text) {
			t.Errorf("nothing says %q in %q", text, r.Notices)
		}
	}
	if got := row(t, r, ref("unsigned")); r.Complete || got.Code != "NOT_SIGNED" || got.Places[0].Kind != "ReplicaSet" || got.Places[0].Name != "api-5d9f" {
		t.Errorf("complete %v, %+v", r.Complete, got)
	}
}

func TestAnInterruptionLeavesAPartialReport(t *testing.T) {
	s := newStage(t, "signed")
	s.constrain(t, "deny", "")
	s.Put(s.object(t, workload("apps/v1", "Deployment", "shop", "api", ref("signed"))), s.object(t, pod("shop", "p", "", ref("unseen"))))
	s.evaluate(t)
	ctx, interrupt := context.WithCancel(t.Context())
	s.OnList(func(resource string) {
		if resource == "pods" {
			interrupt()
		}
	})
	r, err := survey.Run(ctx, s.config)
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || !noticed(r, "interrupted") || len(r.Images) != 1 || r.Images[0].Class != verify.ClassVerified {
		t.Errorf("complete %v, notices %q, images %+v", r.Complete, r.Notices, r.Images)
	}
}

func TestAClusterWithoutConstraintsIsReportedAsUnchecked(t *testing.T) {
	s := newStage(t)
	s.Put(s.object(t, pod("shop", "p", "", ref("any"))))
	s.evaluate(t)
	r := s.run(t)
	if got := row(t, r, ref("any")); got.Class != report.Unchecked || !noticed(r, "no image is checked in this cluster") {
		t.Errorf("%+v, notices %q", got, r.Notices)
	}
}

func TestADifferentTemplateInTheClusterIsSaid(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	s.evaluate(t)
	if r := s.run(t); noticed(r, "template") {
		t.Errorf("of the same template: %q", r.Notices)
	}
	theirs := s.Get(templateGVK, "", "k8sendorsignedimages")
	theirs.Object["spec"].(map[string]any)["targets"].([]any)[0].(map[string]any)["operations"] = []any{"CREATE"}
	s.Put(theirs)
	if r := s.run(t); !noticed(r, "the Rego of the cluster's template is not that of version") {
		t.Errorf("of changed Rego: %q", r.Notices)
	}
	theirs.SetAnnotations(map[string]string{"metadata.gatekeeper.sh/version": "0.9.0"})
	s.Put(theirs)
	if r := s.run(t); !noticed(r, `the cluster's template is version "0.9.0"`) {
		t.Errorf("of another version: %q", r.Notices)
	}
}

func TestKindsOfWhichNobodyKnowsTheImagesAreCounted(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "match: {kinds: [{apiGroups: [argoproj.io], kinds: [Rollout]}]}")
	s.Define("argoproj.io/v1alpha1", "rollouts", "Rollout", true)
	s.Put(s.object(t, "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {namespace: shop, name: r}"))
	s.evaluate(t)
	if diff := cmp.Diff([]report.KindCount{{Kind: "Rollout.argoproj.io", Count: 1}}, s.run(t).NotJudged); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadinessIsAskedOfChosenConstraints(t *testing.T) {
	s := newStage(t, "signed")
	s.constrain(t, "shop", "enforcementAction: dryrun, match: {namespaces: [shop]}")
	s.constrain(t, "legacy", "enforcementAction: dryrun, match: {namespaces: [legacy]}")
	s.Put(
		s.object(t, workload("apps/v1", "Deployment", "shop", "good", ref("signed"))), s.object(t, workload("apps/v1", "Deployment", "shop", "bad", ref("unsigned"))),
		s.object(t, workload("apps/v1", "Deployment", "shop", "worse", ref("unsigned"))), s.object(t, workload("apps/v1", "Deployment", "legacy", "old", ref("unsigned"))),
	)
	done := s.object(t, pod("shop", "done", "", ref("done")))
	done.Object["status"] = map[string]any{"phase": "Succeeded"}
	s.Put(done)
	s.evaluate(t)
	s.config.Readiness, s.config.Constraints = true, []string{"shop"}
	want := &report.Readiness{
		Namespaces: []report.NamespaceReady{{Name: "shop", Workloads: 3, Failing: []string{"Deployment/bad", "Deployment/worse"}}},
		Blockers:   []report.Blocker{{Image: ref("unsigned"), Code: "NOT_SIGNED", Workloads: 2}},
	}
	if diff := cmp.Diff(want, s.run(t).Readiness); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.config.Constraints = []string{"unheard-of"}
	if _, err := survey.Run(t.Context(), s.config); err == nil || !strings.Contains(err.Error(), "no constraint unheard-of") {
		t.Errorf("of a constraint that is not there: %v", err)
	}
}
