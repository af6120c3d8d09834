// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAVersionIsOneThatGoHelmAndKrewTake(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version string
		ok      bool
	}{
		{"v1.2.3", true},
		{"v0.1.0-rc.1", true},
		{"", false},
		{"1.2.3", false},
		{"v1.2", false},
		{"v1.2.3+build", false},
		{"latest", false},
		{"v1.2.3 -X main.x=y", false},
	} {
		if err := checkVersion(tc.version); (err == nil) != tc.ok {
			t.Errorf("%q: %v", tc.version, err)
		}
	}
}

func TestOnlySelectsProgramsAndPlatforms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		only string
		want int // targets; 0 is an error
	}{
		{"", 18},
		{"kubectl-endor", 6},
		{"linux/amd64", 3},
		{"kubectl-endor,linux/amd64,linux/arm64", 2},
		{"kubectl", 0},
		{"linux", 0},
	} {
		targets, err := selectTargets(tc.only)
		if len(targets) != tc.want || (err != nil) != (tc.want == 0) {
			t.Errorf("%q: %v, %v, want %d targets", tc.only, targets, err, tc.want)
		}
	}
}

func TestARevisionIsThatOfTheFiles(t *testing.T) {
	root := t.TempDir()
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", "x"}} {
		if len(args) == 2 && args[0] == "add" {
			if err := os.WriteFile(filepath.Join(root, "a"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("git", append([]string{"-C", root}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=1700000000 +0000")
		if _, err := output(cmd); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	clean, err := readSource(t.Context(), root, "v1.2.3", false)
	if err != nil || len(clean.revision) != 40 || clean.time.Unix() != 1700000000 {
		t.Fatalf("%+v, %v", clean, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1800000000")
	if got, err := readSource(t.Context(), root, "v1.2.3", false); err != nil || got.time.Unix() != 1800000000 {
		t.Errorf("with SOURCE_DATE_EPOCH: %v, %v", got.time, err)
	}
	if err := os.WriteFile(filepath.Join(root, "b"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readSource(t.Context(), root, "v1.2.3", false); err == nil || !strings.Contains(err.Error(), "?? b") {
		t.Errorf("with a file that is not committed: %v", err)
	}
	if got, err := readSource(t.Context(), root, "v1.2.3", true); err != nil || got.revision != clean.revision+"-dirty" {
		t.Errorf("with -dirty: %q, %v", got.revision, err)
	}
}

func TestAFolderIsReplacedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "dist")
	fill := func(name string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), nil, 0o644) }
	}
	if err := replaceFolder(out, fill(checksumsName)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := replaceFolder(out, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, checksumsName)); err != nil {
		t.Errorf("what was there is gone: %v", err)
	}
	if err := replaceFolder(out, fill("thesis.doc")); err != nil {
		t.Fatal(err)
	}
	if err := replaceFolder(out, fill(checksumsName)); err == nil || !strings.Contains(err.Error(), "thesis.doc") {
		t.Errorf("a folder that is no release is replaced: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) != 1 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
