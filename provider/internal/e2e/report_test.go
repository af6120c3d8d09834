// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// One estate for all that is asked about it: audit takes seconds.
func TestAReportOfWhatRan(t *testing.T) {
	e := newEstate(t)
	t.Run("holds what audit found and what it cut off", e.holdsWhatAuditFound)
	t.Run("from the status says what is cut off", e.saysWhatIsCutOff)
	t.Run("from the log lacks nothing", e.logLacksNothing)
	t.Run("from the export lacks nothing", e.exportLacksNothing)
	t.Run("without Endor Labs shows nothing as clean", e.nothingIsCleanInAnOutage)
	t.Run("predicts what is refused once the constraint denies", e.predicts)
}

func (e estate) holdsWhatAuditFound(t *testing.T) {
	status := e.status(t)
	if len(status.violations) != listed || status.total != estateViolations {
		t.Fatalf("audit lists %d of %d, want %d of %d", len(status.violations), status.total, listed, estateViolations)
	}
	r := plugin{}.report(t, 0)
	if !r.Complete || len(r.Notices) > 0 {
		t.Errorf("complete %v, with notices %v; audit and evaluation should agree", r.Complete, r.Notices)
	}
	if c := e.of(t, r); int64(c.Violations) != status.total || int64(c.AuditViolations) != status.total || c.AuditListed != listed {
		t.Errorf("violations %d, audit %d of which %d are listed; want %d, %d and %d",
			c.Violations, c.AuditViolations, c.AuditListed, status.total, status.total, listed)
	}

	refused := e.refused(r)
	short := map[found]bool{}
	for v := range refused {
		short[v.short()] = true
	}
	for _, v := range status.violations {
		if !short[v] {
			t.Errorf("the status lists %+v, and the report does not have it", v)
		}
	}
	logged := map[found]bool{}
	for v := range e.logged(e.log(t)) {
		logged[v] = true
	}
	if diff := cmp.Diff(logged, refused); diff != "" {
		t.Errorf("-audit +report:\n%s", diff)
	}
	want := map[string]verify.Class{signed: verify.ClassVerified, unsigned: verify.ClassRejected, foreign: verify.ClassRejected, exempt: report.Unchecked}
	if got := e.classes(r); !maps.Equal(got, want) {
		t.Errorf("classes %v, want %v", got, want)
	}
}

// classes are those of the images of the estate.
func (e estate) classes(r report.Report) map[string]verify.Class {
	classes := map[string]verify.Class{}
	for _, image := range r.Images {
		if slices.ContainsFunc(image.Places, func(p report.Place) bool { return p.Namespace == e.name }) {
			classes[image.Image] = image.Class
		}
	}
	return classes
}

func (e estate) saysWhatIsCutOff(t *testing.T) {
	// Nobody is asked.
	r := plugin{env: []string{nobody}}.report(t, 2, "--from-status")
	want := fmt.Sprintf("%s: %d of %d violations are listed", e.constraint, listed, estateViolations)
	if !slices.ContainsFunc(r.Notices, func(n report.Notice) bool {
		return n.Level == report.LevelError && strings.Contains(n.Text, want)
	}) || r.Complete {
		t.Errorf("it is complete: %v, and does not say that %s: %v", r.Complete, want, r.Notices)
	}
	if got := e.places(r); got != listed {
		t.Errorf("it has %d violations, want the %d of the status", got, listed)
	}
}

// places counts the containers that a report has of the estate.
func (e estate) places(r report.Report) int {
	n := 0
	for _, image := range r.Images {
		for _, p := range image.Places {
			if p.Namespace == e.name {
				n++
			}
		}
	}
	return n
}

func (e estate) logLacksNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, []byte(e.log(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := plugin{env: []string{nobody}}.report(t, 0, "--from-status", "--from-log", file)
	if got := e.places(r); got != estateViolations {
		t.Errorf("it has %d violations, want %d", got, estateViolations)
	}
	e.agrees(t, report.SourceLog, "--from-log", file)
}

// agrees holds that the source confirms all that is refused.
func (e estate) agrees(t *testing.T, source report.Source, args ...string) report.Report {
	t.Helper()
	r := plugin{}.report(t, 0, args...)
	if !r.Complete || len(r.Notices) > 0 {
		t.Errorf("complete %v, with notices %v; the sources should agree", r.Complete, r.Notices)
	}
	for _, image := range r.Images {
		for _, refusal := range image.Refusals {
			if !slices.Contains(refusal.Sources, source) || !slices.Contains(refusal.Sources, report.SourceEvaluation) {
				t.Errorf("%s is refused according to %v, want %s too", image.Image, refusal.Sources, source)
			}
		}
	}
	return r
}

func (e estate) exportLacksNothing(t *testing.T) {
	folder := e.export(t)
	r := plugin{env: []string{nobody}}.report(t, 0, "--from-status", "--from-export", folder)
	if got := e.places(r); got != estateViolations {
		t.Errorf("it has %d violations, want %d", got, estateViolations)
	}
	r = e.agrees(t, report.SourceExport, "--from-export", folder)
	for _, image := range r.Images {
		if len(image.Refusals) > 0 && image.FirstSeen == nil {
			t.Errorf("%s is in the export, and it is not known since when", image.Image)
		}
	}
}

// export has audit export to a folder until the test ends, and gives another
// one with a whole audit of it: while the next one runs, its file has no end.
func (e estate) export(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	before := cluster.Audit.Args
	cluster.Audit.Args = append(slices.Clone(before), "--enable-violation-export=true", "--audit-connection=files", "--audit-channel=audits")
	t.Cleanup(func() {
		cluster.Audit.Args = before
		ctx := context.WithoutCancel(t.Context())
		if err := cluster.Audit.Restart(ctx); err != nil {
			t.Error(err)
		}
		if _, err := cluster.Kubectl(ctx, "delete", "connections.connection.gatekeeper.sh", "files", "--namespace", localcluster.GatekeeperNamespace); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.Audit.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Apply(t.Context(), fmt.Sprintf(`
apiVersion: connection.gatekeeper.sh/v1alpha1
kind: Connection
metadata: {name: files, namespace: %s}
spec:
  driver: disk
  config: {path: %q, maxAuditResults: 3}
`, localcluster.GatekeeperNamespace, folder)); err != nil {
		t.Fatal(err)
	}
	whole := t.TempDir()
	eventually(t, func() error {
		files, err := filepath.Glob(filepath.Join(folder, "audits", "*.log"))
		if err != nil {
			return err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			// A new process may audit before it has taken in constraint and Provider.
			if err == nil && strings.Count(string(content), `"`+e.constraint+`"`) == estateViolations && !strings.Contains(string(content), "UNAVAILABLE") {
				return os.WriteFile(filepath.Join(whole, filepath.Base(file)), content, 0o600)
			}
		}
		return fmt.Errorf("%s holds no whole audit: %v", folder, files)
	})
	eventually(t, func() error {
		status := e.status(t)
		if status.total != estateViolations || slices.ContainsFunc(status.violations, func(v found) bool { return v.code == "UNAVAILABLE" }) {
			return fmt.Errorf("audit counts %d violations, want %d: %v", status.total, estateViolations, status.violations)
		}
		return nil
	})
	return whole
}

// A constraint that fails on rejections only says nothing in an outage.
func (e estate) nothingIsCleanInAnOutage(t *testing.T) {
	e.enforce(t, "deny", pods, `{namespace: acme, signers: [{sourceRepository: acme/*}], exemptImages: [registry.k8s.io/*], failOn: [rejected]}`)
	// It has nothing against these Pods then, and readiness is asked of it. Asking
	// in vain takes its time, so this is one run.
	r := plugin{env: []string{nobody}}.report(t, 2, "--readiness", e.name+"-deny")
	want := map[string]verify.Class{signed: verify.ClassUnavailable, unsigned: verify.ClassUnavailable, foreign: verify.ClassUnavailable, exempt: report.Unchecked}
	if got := e.classes(r); !maps.Equal(got, want) {
		t.Errorf("classes %v, want %v", got, want)
	}
	for _, n := range r.Namespaces {
		if n.Verified > 0 || n.Rejected > 0 || n.Name == e.name && n.Unavailable != 3 {
			t.Errorf("namespace %+v in an outage", n)
		}
	}
	if r.Readiness.Ready || len(r.Readiness.Namespaces) != 1 {
		t.Errorf("in an outage %+v", r.Readiness)
	}
	for _, n := range r.Readiness.Namespaces {
		// All but the one that is exempt.
		if n.Ready || len(n.Failing) > 0 || len(n.Unknown) != n.Workloads-1 {
			t.Errorf("in an outage %+v", n)
		}
	}
	for _, n := range r.Notices {
		if strings.Contains(n.Text, "signed since") {
			t.Errorf("nobody knows that: %s", n.Text)
		}
	}
}

// What --readiness predicts comes true.
func (e estate) predicts(t *testing.T) {
	r := plugin{}.report(t, 1, "--readiness", e.constraint)
	predicted := map[string]bool{} // :: workload → would be admitted
	for workload := range e.images {
		predicted[workload] = true
	}
	ready := map[string]bool{}
	for _, n := range r.Readiness.Namespaces {
		ready[n.Name] = n.Ready
		for _, failing := range n.Failing {
			predicted[n.Name+"/"+failing] = false
		}
		if len(n.Unknown) > 0 {
			t.Errorf("of %s it could not find out %v", n.Name, n.Unknown)
		}
	}
	if want := map[string]bool{e.name: false, e.ready.name: true}; r.Readiness.Ready || !maps.Equal(ready, want) {
		t.Errorf("ready are %v, want %v", ready, want)
	}

	if _, err := cluster.Kubectl(t.Context(), "patch", "k8sendorsignedimages", e.constraint, "--type=merge", "--patch", `{"spec":{"enforcementAction":"deny"}}`); err != nil {
		t.Fatal(err)
	}
	if err := cluster.WaitForConstraint(t.Context(), e.constraint); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(predicted, e.tryAgain(t)); diff != "" {
		t.Errorf("-predicted +admitted:\n%s", diff)
	}
}

// tryAgain creates the Pods of the estate anew, as a dry run, and gives whether
// each was admitted, by workload.
func (e estate) tryAgain(t *testing.T) map[string]bool {
	t.Helper()
	var manifest strings.Builder
	admitted := map[string]bool{}
	workloads := slices.Sorted(maps.Keys(e.images))
	for i, workload := range workloads {
		namespace, _, _ := strings.Cut(workload, "/")
		fmt.Fprintf(&manifest, "---\n%s\n", podOf(namespace, fmt.Sprintf("again-%02d", i), e.images[workload]...))
	}
	stdout, _, err := cluster.Run(t.Context(), localcluster.Command{
		Program: "kubectl", Args: []string{"create", "--dry-run=server", "-f", "-"}, Stdin: manifest.String(),
	})
	if err == nil {
		t.Fatalf("nothing was refused: %s", stdout)
	}
	for i, workload := range workloads {
		name := fmt.Sprintf("again-%02d", i)
		admitted[workload] = strings.Contains(stdout, "pod/"+name+" created")
	}
	// All others were refused, and by the policy.
	refused := len(workloads) - strings.Count(stdout, " created")
	if by := strings.Count(err.Error(), `"validation.gatekeeper.sh" denied the request: [`+e.constraint+"]"); by != refused {
		t.Errorf("the policy refused %d of %d: %v", by, refused, err)
	}
	return admitted
}
