// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package gatekeeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const digest = "sha256:1a2b4c5d6e7f1a2b4c5d6e7f1a2b4c5d6e7f1a2b4c5d6e7f1a2b4c5d6e7f1a2b"

func TestAMessageSaysCodeContainerAndImage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, message          string
		details                map[string]any
		code, container, image string
		exact                  bool
	}{
		{name: "of the policy", message: `[NOT_SIGNED] container "api": ghcr.io/acme/api@sha256:1a2b... has no Endor Labs signature. Sign it.`,
			code: "NOT_SIGNED", container: "api", image: "ghcr.io/acme/api@sha256:1a2b..."},
		{name: "of an init container", message: `[REVOKED] initContainer "db": x@sha256:1a2b... has`, code: "REVOKED", container: "db", image: "x@sha256:1a2b..."},
		{name: "of an expansion", message: `[Implied by expand-deployments] [NO_DIGEST] container "api": nginx names no digest.`, code: "NO_DIGEST", container: "api", image: "nginx"},
		{name: "about the object", message: "[TOO_MANY_IMAGES] Pod: 300, at most 256 are judged", code: "TOO_MANY_IMAGES"},
		{name: "cut within the container", message: `[NOT_SIGNED] container "ap...`, code: "NOT_SIGNED"},
		{name: "of another policy", message: "you must provide labels"},
		{name: "with details", message: `[NOT_SIGNED] container "api": ghcr.io/acme/api@sha256:1a2b... has`,
			details: map[string]any{"code": "NOT_SIGNED", "container": "api", "image": "ghcr.io/acme/api@" + digest},
			code:    "NOT_SIGNED", container: "api", image: "ghcr.io/acme/api@" + digest, exact: true},
		{name: "with details of other types", message: "[NO_DIGEST] x", details: map[string]any{"code": 7, "image": []any{"a"}}, code: "NO_DIGEST"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := Violation{Message: tc.message}
			v.explain(tc.details)
			if v.Code != tc.code || v.Container != tc.container || v.Image != tc.image || v.Exact != tc.exact {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestAViolationIsAboutWhatItsMessageShortens(t *testing.T) {
	t.Parallel()
	image, long := "ghcr.io/acme/api@"+digest, strings.Repeat("x", 20)+strings.Repeat("y", 20)
	for _, tc := range []struct {
		v                Violation
		container, image string
		want             bool
	}{
		{Violation{Container: "api", Image: "ghcr.io/acme/api@sha256:1a2b..."}, "api", image, true},
		{Violation{Container: "api", Image: "ghcr.io/acme/api@sha256:1a2b..."}, "web", image, false},
		{Violation{Container: "api", Image: "ghcr.io/acme/api@sha256:ffff..."}, "api", image, false},
		{Violation{Container: "xxxxxxxxxxxxxx...yyyyyyyyyyyyyyy"}, long, image, true},
		{Violation{Container: "xx...xx"}, "xxx", image, false},
		{Violation{Image: "a%20b"}, "api", "a b", true},
		{Violation{Container: "api", Image: image, Exact: true}, "api", image, true},
		{Violation{Container: "api", Image: image, Exact: true}, "api", image + "x", false},
		{Violation{}, "api", image, true},
	} {
		if got := tc.v.About(tc.container, tc.image); got != tc.want {
			t.Errorf("%+v is about %s of %s: %v", tc.v, tc.image, tc.container, got)
		}
	}
}

func TestAStatusIsReadAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	constraint := func(status any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"kind": "K", "metadata": map[string]any{"name": "c"}, "status": status}}
	}
	got, err := ReadStatus(constraint(map[string]any{
		"auditTimestamp": "2026-03-01T10:00:00Z", "totalViolations": int64(34),
		"violations": []any{map[string]any{
			"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "api", "enforcementAction": "deny",
			"message": `[NO_DIGEST] container "api": nginx names no digest.`,
		}},
	}))
	want := Status{AuditedAt: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), Total: 34, Violations: []Violation{{
		ConstraintKind: "K", ConstraintName: "c", Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "api", EnforcementAction: "deny",
		Code: "NO_DIGEST", Container: "api", Image: "nginx", Message: `[NO_DIGEST] container "api": nginx names no digest.`,
	}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if s, err := ReadStatus(constraint(nil)); err != nil || !s.AuditedAt.IsZero() {
		t.Errorf("no status: %+v, %v", s, err)
	}
	for name, status := range map[string]any{
		"a time that is none": map[string]any{"auditTimestamp": "yesterday"}, "violations that are none": map[string]any{"violations": "many"}, "a string": "x",
	} {
		if _, err := ReadStatus(constraint(status)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// line is a line of the audit's log.
func line(event, audit, name string) string {
	return fmt.Sprintf(`{"level":"info","ts":1.5,"logger":"controller","msg":"[NOT_SIGNED] container \"c\": i has","process":"audit","audit_id":%q,`+
		`"details":{"code":"NOT_SIGNED","container":"c","image":"i@%s"},"event_type":%q,"semantic":true,"constraint_kind":"K","constraint_name":"c",`+
		`"constraint_action":"deny","resource_group":"","resource_kind":"Pod","resource_namespace":"shop","resource_name":%q}`, audit, digest, event, name)
}

const (
	first  = "2026-03-01T10:00:00Z"
	second = "2026-03-01T10:01:00Z"
	third  = "2026-03-01T10:02:00Z"
)

func TestALogHasTheViolationsOfItsNewestAuditAndWhenTheyWereFirstSeen(t *testing.T) {
	t.Parallel()
	begin, end, found := "audit_started", "audit_finished", "violation_audited"
	for _, tc := range []struct {
		name     string
		lines    []string
		names    string
		seen     string // first, of the first violation
		at       string
		finished bool
		skipped  int
	}{
		{name: "two audits", names: "a c", seen: first, at: second, finished: true, lines: []string{
			line(begin, first, ""), line(found, first, "a"), line(found, first, "b"), line(end, first, ""),
			line(begin, second, ""), line(found, second, "a"), line(found, second, "c"), line(end, second, ""),
		}},
		{name: "the newest is not finished", names: "a b", seen: first, at: first, finished: true, lines: []string{
			line(found, first, "a"), line(found, first, "b"), line(end, first, ""), line(found, second, "a"),
		}},
		{name: "none is finished", names: "c", seen: second, at: second, lines: []string{line(found, first, "a"), line(found, second, "c")}},
		{name: "in any order", names: "a", seen: first, at: second, finished: true, lines: []string{
			line(end, second, ""), line(found, second, "a"), line(found, first, "a"), line(end, first, ""),
		}},
		{name: "an audit that found nothing", at: second, finished: true, lines: []string{
			line(found, first, "a"), line(end, first, ""), line(begin, second, ""), line(end, second, ""),
		}},
		{name: "lines of others and broken ones", names: "a", seen: first, at: first, finished: true, skipped: 3, lines: []string{
			"I0301 starting", "", `{"msg":"hello"}`, `{"audit_id": "x`, line(found, "not a time", "b"), line(found, first, "a"), line(end, first, ""),
			`{"audit_id":"` + strings.Repeat("x", 2<<20) + `"}`,
		}},
		{name: "nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadLog(strings.NewReader(strings.Join(tc.lines, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, v := range got.Violations {
				names = append(names, v.Name)
			}
			at := ""
			if !got.At.IsZero() {
				at = got.At.Format(time.RFC3339)
			}
			if strings.Join(names, " ") != tc.names || at != tc.at || got.Finished != tc.finished || got.Skipped != tc.skipped {
				t.Errorf("%q of %s, finished %v, skipped %d", names, at, got.Finished, got.Skipped)
			}
			if tc.seen != "" && got.Violations[0].FirstSeen.Format(time.RFC3339) != tc.seen {
				t.Errorf("first seen %s, want %s", got.Violations[0].FirstSeen, tc.seen)
			}
		})
	}
}

// exported is a line of the audit's export.
func exported(event, audit, name string) string {
	return fmt.Sprintf(`{"id":%q,"details":{"code":"NO_DIGEST","container":"c","image":"nginx"},"eventType":%q,"group":"constraints.gatekeeper.sh","version":"v1beta1",`+
		`"kind":"K","name":"c","message":"[NO_DIGEST] it","enforcementAction":"warn","resourceKind":"Pod","resourceNamespace":"shop","resourceName":%q}`, audit, event, name)
}

func write(t *testing.T, dir, name string, lines ...string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestAnExportIsReadFromWholeFilesAndFromThoseInProgress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	found := "violation_audited"
	write(t, dir, "audit-channel/2026-03-01T10_00_00Z.log", exported("", first, ""), exported(found, first, "a"), exported(found, first, "b"))
	write(t, dir, "audit-channel/2026-03-01T10_01_00Z.log", exported(found, second, "a"))
	write(t, dir, "audit-channel/2026-03-01T10_02_00Z.txt", exported(found, third, "c"), `{"id": "2026-`)
	write(t, dir, "audit-channel/notes.md", "no export")
	outside := filepath.Join(t.TempDir(), "outside.log")
	if err := errors.Join(os.WriteFile(outside, []byte(exported(found, third, "z")), 0o600), os.Symlink(outside, filepath.Join(dir, "link.log"))); err != nil {
		t.Fatal(err)
	}
	got, err := ReadExport(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	violation := func(name, firstSeen string) Violation {
		return Violation{
			ConstraintKind: "K", ConstraintName: "c", Kind: "Pod", Namespace: "shop", Name: name, EnforcementAction: "warn",
			Code: "NO_DIGEST", Container: "c", Image: "nginx", Exact: true, Message: "[NO_DIGEST] it", FirstSeen: seen(firstSeen),
		}
	}
	// The audit in progress adds what it has found, and takes nothing away.
	want := Audits{At: seen(second), Finished: true, Lines: 6, Skipped: 1, Violations: []Violation{violation("a", first), violation("c", third)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := ReadExport(t.Context(), t.TempDir()); !errors.Is(err, errNoExport) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := ReadExport(t.Context(), filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that is missing: no error")
	}
}

func TestAViolationIsKeptInBounds(t *testing.T) {
	t.Parallel()
	v := Violation{Message: strings.Repeat("m", 10_000), Name: strings.Repeat("n", 10_000)}
	v.explain(map[string]any{"image": strings.Repeat("i", 10_000)})
	if len(v.Message) > maxText || len(v.Name) > maxText || len(v.Image) > maxText {
		t.Errorf("%d, %d and %d bytes are kept", len(v.Message), len(v.Name), len(v.Image))
	}
	c := newCollector()
	for i := range maxKept + 10 {
		c.add(first, Violation{Name: fmt.Sprint(i)})
	}
	if len(c.seen) != maxKept {
		t.Errorf("%d violations are kept", len(c.seen))
	}
}
