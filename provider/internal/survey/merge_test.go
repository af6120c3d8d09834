// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/gatekeeper"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// audited writes a status into a constraint, as the audit does.
func (s *stage) audited(t *testing.T, name string, at time.Time, total int, violations ...any) {
	t.Helper()
	c := s.Get(constraintGVK, "", name)
	c.Object["status"] = map[string]any{"auditTimestamp": at.Format(time.RFC3339), "totalViolations": int64(total), "violations": violations}
	s.Put(c)
}

func violated(kind, namespace, name, message string) map[string]any {
	return map[string]any{"group": "", "version": "v1", "kind": kind, "namespace": namespace, "name": name, "message": message, "enforcementAction": "deny"}
}

func unsigned(image string) string {
	return fmt.Sprintf(`[NOT_SIGNED] container "app": %s... has no Endor Labs signature. Sign it.`, ref(image)[:len(ref(image))-60])
}

func TestWhatTheAuditFoundTooIsASourceOfTheRow(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	s.Put(s.object(t, pod("shop", "a", "", ref("unsigned"))))
	s.audited(t, "deny", now.Add(-time.Minute), 1, violated("Pod", "shop", "a", unsigned("unsigned")))
	seen := now.Add(-72 * time.Hour)
	s.config.Export = &gatekeeper.Audits{At: now.Add(-time.Minute), Finished: true, Violations: []gatekeeper.Violation{{
		ConstraintKind: policies.Kind, ConstraintName: "deny", Kind: "Pod", Namespace: "shop", Name: "a", EnforcementAction: "deny",
		Code: "NOT_SIGNED", Container: "app", Image: ref("unsigned"), Exact: true, FirstSeen: seen,
	}}}
	s.evaluate(t)
	r := s.run(t)
	got := row(t, r, ref("unsigned"))
	want := []report.Source{report.SourceEvaluation, report.SourceExport, report.SourceStatus}
	if !cmp.Equal(got.Sources, want) || len(got.Refusals) != 1 || !cmp.Equal(got.Refusals[0].Sources, want) || !got.FirstSeen.Equal(seen) {
		t.Errorf("%+v", got)
	}
	if strings.Contains(got.Refusals[0].Message, "...") && !strings.HasSuffix(got.Refusals[0].Message, "redeploy.") {
		t.Errorf("the message is the audit's: %s", got.Refusals[0].Message)
	}
	if len(r.Notices) != 0 {
		t.Errorf("notices %q", r.Notices)
	}
}

func TestSourcesThatDisagreeOrAreOldAreSaid(t *testing.T) {
	s := newStage(t, "signed")
	s.constrain(t, "deny", "")
	s.constrain(t, "never", "match: {namespaces: [nowhere]}")
	s.Put(s.object(t, pod("shop", "signed", "", ref("signed"))), s.object(t, pod("shop", "new", "", ref("unsigned"))))
	s.audited(t, "deny", now.Add(-time.Hour), 34, violated("Pod", "shop", "signed", unsigned("signed")), violated("Pod", "shop", "left", unsigned("left")))
	s.config.Log = &gatekeeper.Audits{At: now, Lines: 10, Skipped: 2}
	s.evaluate(t)
	r := s.run(t)
	for _, text := range []string{
		"K8sEndorSignedImages/deny: Gatekeeper's audit last finished at 2026-03-01T11:00:00Z",
		"K8sEndorSignedImages/deny: 1 violations of the audit (status) are none now, such as Pod shop/signed, container \"app\"",
		"K8sEndorSignedImages/deny: 1 violations of the audit (status) are about objects that are no longer there",
		"K8sEndorSignedImages/deny: the audit of 2026-03-01T11:00:00Z counted 34 violations and this evaluation 1",
		"K8sEndorSignedImages/never: Gatekeeper's audit has not looked at it yet",
		"2 of 10 lines of the audit's log could not be understood",
		"the newest audit in the log has no end",
	} {
		if !noticed(r, text) {
			t.Errorf("nothing says %q in %q", text, r.Notices)
		}
	}
	if got := row(t, r, ref("signed")); got.Class != verify.ClassVerified || len(got.Refusals) != 0 {
		t.Errorf("what was signed since: %+v", got)
	}
}

// What could not be asked about again is not signed since.
func TestInAnOutageWhatTheAuditFoundIsNotSettled(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "parameters: {namespace: NAMESPACE, signers: [{sourceRepository: acme/app}], failOn: [rejected]}")
	s.Put(s.object(t, pod("shop", "p", "", ref("unsigned"))))
	s.audited(t, "deny", now, 1, violated("Pod", "shop", "p", unsigned("unsigned")))
	s.timeout = 200 * time.Millisecond
	s.evaluate(t)
	s.emulator.Close()
	r := s.run(t)
	if !noticed(r, `deny: of 1 violations of the audit (status) it could not be found out whether they still are, such as Pod shop/p, container "app"`) ||
		len(r.Notices) != 1 {
		t.Errorf("notices %v", r.Notices)
	}
}

func TestWithoutEvaluationTheReportIsWhatTheAuditFound(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	s.Define("constraints.gatekeeper.sh/v1beta1", "k8srequiredlabels", "K8sRequiredLabels", false)
	foreign := s.object(t, "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: K8sRequiredLabels\nmetadata: {name: owners}\nspec: {enforcementAction: warn}")
	foreign.Object["status"] = map[string]any{"auditTimestamp": now.Format(time.RFC3339), "totalViolations": int64(1), "violations": []any{
		violated("Pod", "shop", "a", "you must provide labels: {owner}"),
	}}
	s.Put(foreign, s.object(t, pod("shop", "a", "", ref("unsigned"))))
	s.audited(t, "deny", now, 34, violated("Pod", "shop", "a", unsigned("unsigned")), violated("Pod", "shop", "left", unsigned("left")))
	s.config.AllConstraints = true
	r := s.survey(t)
	got := row(t, r, ref("unsigned"))
	if got.Code != "NOT_SIGNED" || got.Class != verify.ClassRejected || got.NextRollout != report.Denied || len(got.Refusals) != 2 || got.Refusals[1].Code != "VIOLATION" {
		t.Errorf("of an object that can be read: %+v", got)
	}
	shortened := strings.TrimSuffix(strings.SplitN(unsigned("left"), " ", 4)[3], " has no Endor Labs signature. Sign it.")
	if got := row(t, r, shortened); got.Code != "NOT_SIGNED" || got.Places[0].Name != "left" {
		t.Errorf("of an object that is gone: %+v", got)
	}
	if !noticed(r, "2 of 34 violations are listed") || r.Complete {
		t.Errorf("32 violations are missing, and it is complete: %v, notices %q", r.Complete, r.Notices)
	}
	if r.Constraints[0].Violations != -1 || r.Constraints[0].AuditListed != 2 {
		t.Errorf("constraints %+v, notices %q", r.Constraints, r.Notices)
	}
	for asked := range s.Asked() {
		if strings.HasPrefix(asked, "list ") && !strings.Contains(asked, "constraints.gatekeeper.sh") {
			t.Errorf("it was asked to %s", asked)
		}
	}
}

// A foreign policy has its say on rollouts, and none on who signed an image.
func TestAForeignConstraintDoesNotMakeASignedImageUnsigned(t *testing.T) {
	s := newStage(t, "signed")
	s.constrain(t, "deny", "")
	s.Define("constraints.gatekeeper.sh/v1beta1", "k8srequiredlabels", "K8sRequiredLabels", false)
	foreign := s.object(t, "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: K8sRequiredLabels\nmetadata: {name: owners}\nspec: {}")
	foreign.Object["status"] = map[string]any{"auditTimestamp": now.Format(time.RFC3339), "totalViolations": int64(1), "violations": []any{
		violated("Pod", "shop", "a", "you must provide labels: {owner}"),
	}}
	s.Put(foreign, s.object(t, pod("shop", "a", "", ref("signed"))))
	s.config.AllConstraints = true
	s.evaluate(t)
	got := row(t, s.run(t), ref("signed"))
	if got.Class != verify.ClassVerified || got.NextRollout != report.Denied || len(got.Refusals) != 1 || got.Refusals[0].Constraint != "K8sRequiredLabels/owners" {
		t.Errorf("%+v", got)
	}
}
