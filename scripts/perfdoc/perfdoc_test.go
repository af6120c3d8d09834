// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// As the benchmarks print it.
const output = `go: go1.26.8
cores: 2
goos: linux
goarch: amd64
pkg: example.com/bench
cpu: AMD EPYC
BenchmarkCrowd-2 	 19	 1.000 calls/crowd
PASS
`

func TestThePageSaysOnWhichDayAndOfWhichCommitItWasMeasured(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, file, want string }{
		{"with the line", "measured: 2026-11-27 at commit 19726fb\n" + output, "Measured on linux/amd64 with go1.26.8, 2 cores (AMD EPYC), on 2026-11-27 at commit 19726fb.\n"},
		{"of before there was one", output, "Measured on linux/amd64 with go1.26.8, 2 cores (AMD EPYC).\n"},
	} {
		file := filepath.Join(t.TempDir(), "performance.txt")
		if err := os.WriteFile(file, []byte(tc.file), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := read(file)
		if err != nil {
			t.Fatal(err)
		}
		page, err := fill([]byte(begin+end), m)
		if err != nil || !strings.Contains(string(page), tc.want) || !strings.Contains(string(page), "| ≤ 1 calls | 1 calls | met |") {
			t.Errorf("%s: %v\n%.500s\nwant %s", tc.name, err, page, tc.want)
		}
	}
}

func TestWhatIsMeasuredIsNamedByDayAndCommitAndWhetherThatIsAllOfIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		cmd.Dir = dir
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	evening := time.Date(2026, time.November, 27, 23, 30, 0, 0, time.FixedZone("", -3600))
	if got, err := when(t.Context(), dir, evening); err == nil {
		t.Errorf("outside of a repository: %q", got)
	} else {
		t.Logf("Got expected error: %v", err)
	}

	file := filepath.Join(dir, "file")
	git("init", "--quiet")
	for _, step := range []struct {
		content string
		commit  bool
		dirty   string
	}{{"one", true, ""}, {"two", false, "-dirty"}} {
		if err := os.WriteFile(file, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if step.commit {
			git("add", "file")
			git("commit", "--quiet", "--message=one")
		}
		want := "measured: 2026-11-28 at commit " + git("rev-parse", "--short", "HEAD") + step.dirty + "\n"
		if got, err := when(t.Context(), dir, evening); err != nil || got != want {
			t.Errorf("with %q: %q, %v; want %q", step.content, got, err, want)
		}
	}
}
