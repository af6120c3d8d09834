// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const policy = "k8sendorsignedimages"

func copyPolicies(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../policies")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func change(t *testing.T, path, old, replacement string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		t.Fatalf("%s does not hold %q", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), old, replacement)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	if err := run([]string{"-check", "-dir", "../../policies"}, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestCheckComplains(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, src, library string)
		want   string
	}{
		{
			name: "a template that was edited",
			change: func(t *testing.T, _, library string) {
				change(t, library+"/template.yaml", "_max_images := 256", "_max_images := 512")
			},
			want: "template.yaml is out of date",
		},
		{
			name:   "a template that is missing",
			change: func(t *testing.T, _, library string) { remove(t, library+"/template.yaml") },
			want:   "template.yaml is missing",
		},
		{
			name: "Rego that is not formatted",
			change: func(t *testing.T, src, _ string) {
				change(t, src+"/lib/workload.rego", "\tfound := ", "    found := ")
			},
			want: "workload.rego is out of date",
		},
		{
			name: "Rego that does not parse",
			change: func(t *testing.T, src, _ string) {
				change(t, src+"/lib/workload.rego", "package lib.workload", "package")
			},
			want: "rego_parse_error",
		},
		{
			name:   "a policy without a suite",
			change: func(t *testing.T, _, library string) { remove(t, library+"/suite.yaml") },
			want:   "suite.yaml: no such file",
		},
		{
			name:   "a sample without an example to admit",
			change: func(t *testing.T, _, library string) { remove(t, library+"/samples/release-tags/example_allowed.yaml") },
			want:   "no example_allowed",
		},
		{
			name: "an example that the suite leaves out",
			change: func(t *testing.T, _, library string) {
				change(t, library+"/suite.yaml", "samples/release-tags/example_disallowed.yaml", "samples/release-tags/other.yaml")
			},
			want: "is not used by the suite",
		},
		{
			name: "a sample that judges kube-system",
			change: func(t *testing.T, _, library string) {
				change(t, library+"/samples/release-tags/constraint.yaml", "kube-system, ", "")
			},
			want: "does not exclude namespace kube-system",
		},
		{
			name: "a parameter without a description",
			change: func(t *testing.T, src, library string) {
				const description = "              description: Commit that was built.\n"
				for _, path := range []string{src + "/" + policy + "/constraint.tmpl", library + "/template.yaml"} {
					change(t, path, "      "+description, "")
				}
			},
			want: "sourceRepositoryDigest has no description",
		},
		{
			name: "a version that is none",
			change: func(t *testing.T, src, library string) {
				for _, path := range []string{src + "/" + policy + "/constraint.tmpl", library + "/template.yaml"} {
					change(t, path, "version: 1.0.0", "version: v1")
				}
			},
			want: `"v1" is no semantic version`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := copyPolicies(t)
			tc.change(t, filepath.Join(dir, "src"), filepath.Join(dir, "library", policy))
			err := run([]string{"-check", "-dir", dir}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one about %q", err, tc.want)
			}
		})
	}
}

func TestGenerateRepairsWhatCheckComplainsOf(t *testing.T) {
	t.Parallel()
	dir := copyPolicies(t)
	change(t, filepath.Join(dir, "src", "lib", "workload.rego"), "\tfound := ", "    found := ")
	remove(t, filepath.Join(dir, "library", policy, "template.yaml"))
	remove(t, filepath.Join(dir, "library", "kustomization.yaml"))
	if err := run([]string{"-dir", dir}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-check", "-dir", dir}, io.Discard); err != nil {
		t.Error(err)
	}
}
