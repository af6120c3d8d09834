// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

// privileged are the jobs that may have more than read the source, and what each
// needs.
var privileged = map[string][]string{
	"release.yaml/image":   {"attestations", "id-token", "packages"},
	"release.yaml/publish": {"attestations", "contents", "id-token"},
}

var (
	usesLine = regexp.MustCompile(`(?m)^\s*(?:- )?uses:\s*(.*)$`)

	// A tag can be moved to other code; a commit cannot. The comment tells people
	// and robots which version that is.
	pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

	// What others write, titles and branches say, becomes part of the script.
	inserted = regexp.MustCompile(`\$\{\{`)

	// buildx runs its builder as a privileged container, of an image whose tag moves
	// unless it is told another.
	builder       = regexp.MustCompile(`buildx\s+create\b[^\n;&|]*`)
	pinnedBuilder = regexp.MustCompile(`--driver-opt[ =]"?image=[\w./-]+:v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}\b`)
)

// problems are what a workflow does that none should.
func problems(name string, content []byte) ([]string, error) {
	// No shellcheck: whether this machine has one must not matter.
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		return nil, err
	}
	mistakes, err := linter.Lint(filepath.Join(".github", "workflows", name), content, nil)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, m := range mistakes {
		found = append(found, fmt.Sprintf("line %d: %s", m.Line, m.Message))
	}
	for _, use := range usesLine.FindAllStringSubmatch(string(content), -1) {
		if !pinned.MatchString(use[1]) && !strings.HasPrefix(use[1], "./") {
			found = append(found, "not pinned by commit with its version beside it: "+use[1])
		}
	}
	workflow, errs := actionlint.Parse(content)
	if workflow == nil {
		return nil, fmt.Errorf("parse: %v", errs)
	}
	if !readsOnly(workflow.Permissions) {
		found = append(found, "the workflow's permissions are not contents: read alone")
	}
	if workflow.Concurrency == nil {
		found = append(found, "it has no concurrency")
	}
	for _, event := range workflow.On {
		if event.EventName() == "pull_request_target" || event.EventName() == "workflow_run" {
			found = append(found, "it runs with secrets on what strangers send: "+event.EventName())
		}
	}
	for id, job := range workflow.Jobs {
		found = append(found, problemsOfJob(name, id, job)...)
	}
	return found, nil
}

func problemsOfJob(name, id string, job *actionlint.Job) []string {
	var found []string
	if job.Permissions != nil {
		for scope, p := range job.Permissions.Scopes {
			if p.Value.Value != "read" && p.Value.Value != "none" && !slices.Contains(privileged[name+"/"+id], scope) {
				found = append(found, fmt.Sprintf("job %s may %s %s", id, p.Value.Value, scope))
			}
		}
		if job.Permissions.All != nil {
			found = append(found, fmt.Sprintf("job %s has permissions %s", id, job.Permissions.All.Value))
		}
	}
	if job.WorkflowCall == nil && job.TimeoutMinutes == nil {
		found = append(found, "job "+id+" has no timeout")
	}
	for _, step := range job.Steps {
		switch exec := step.Exec.(type) {
		case *actionlint.ExecRun:
			if inserted.MatchString(exec.Run.Value) {
				found = append(found, "job "+id+" inserts an expression into a script, where a variable of env would do: "+exec.Run.Value)
			}
			for _, create := range builder.FindAllString(strings.ReplaceAll(exec.Run.Value, "\\\n", " "), -1) {
				if !pinnedBuilder.MatchString(create) {
					found = append(found, "job "+id+" makes a builder of an image that is not pinned by digest with its version beside it: "+create)
				}
			}
		case *actionlint.ExecAction:
			keeps := exec.Inputs["persist-credentials"]
			if strings.HasPrefix(exec.Uses.Value, "actions/checkout@") && (keeps == nil || keeps.Value.Value != "false") {
				found = append(found, "job "+id+" leaves its token in the checkout")
			}
		}
	}
	return found
}

func readsOnly(p *actionlint.Permissions) bool {
	return p != nil && p.All == nil && len(p.Scopes) == 1 && p.Scopes["contents"] != nil && p.Scopes["contents"].Value.Value == "read"
}

func workflows(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../.github/workflows/*")
	if err != nil || len(paths) < 2 {
		t.Fatalf("found %q, %v", paths, err)
	}
	found := map[string][]byte{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(path)] = content
	}
	return found
}

func TestWorkflowsKeepTheRules(t *testing.T) {
	t.Parallel()
	for name, content := range workflows(t) {
		found, err := problems(name, content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, problem := range found {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// Each rule finds what breaks it, in the real workflow with one thing changed.
func TestBrokenWorkflowsAreFound(t *testing.T) {
	t.Parallel()
	release := string(workflows(t)["release.yaml"])
	for _, tc := range []struct{ name, old, changed, want string }{
		{"a tag instead of a commit", "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "actions/checkout@v6", "not pinned"},
		{"a pin of which nobody knows the version", " # v6.0.2", "", "not pinned"},
		{"an expression in a script", `VERSION="$GITHUB_REF_NAME"`, "VERSION=${{ github.ref_name }}", "inserts an expression"},
		{"a title in a script", `VERSION="$GITHUB_REF_NAME"`, "VERSION=${{ github.event.head_commit.message }}", "potentially untrusted"},
		{"the token in the checkout", "persist-credentials: false", "persist-credentials: true", "leaves its token"},
		{"all permissions by default", "permissions:\n  contents: read\n", "", "permissions are not"},
		{"permission to write by default", "permissions:\n  contents: read\n", "permissions: write-all\n", "permissions are not"},
		{"more permission for a job", "      packages: write", "      actions: write", "may write actions"},
		{"what strangers send", "on:\n  push:\n    tags: [\"v*.*.*\"]", "on: pull_request_target", "with secrets"},
		{"a job without an end", "    timeout-minutes: 90\n", "", "no timeout"},
		{"a job that waits for none", "needs: [test, build]", "needs: [test, biuld]", "biuld"},
		{"a builder of whatever is the newest", " --driver-opt image=docker.io/moby/buildkit:v0.32.2@sha256:28a898719c18a33f4e8000685287fa36fd0dd9560c6440227d3a732d79bb41d8", "", "not pinned by digest"},
		{"a builder of a tag", "@sha256:28a898719c18a33f4e8000685287fa36fd0dd9560c6440227d3a732d79bb41d8", "", "not pinned by digest"},
		{"two releases at a time", "concurrency:\n  group: release-${{ github.ref }}\n  cancel-in-progress: false\n", "", "no concurrency"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(release, tc.old) {
				t.Fatalf("the workflow has no %q any more", tc.old)
			}
			found, err := problems("release.yaml", []byte(strings.ReplaceAll(release, tc.old, tc.changed)))
			if err != nil || !strings.Contains(strings.Join(found, "\n"), tc.want) {
				t.Errorf("found %q, %v, want %q", found, err, tc.want)
			}
		})
	}
}

// What GitHub calls the latest release is what /releases/latest leads to. A fix of
// an older line that comes after a newer one must not become it.
func TestTheLatestReleaseIsTheOneWithTheHighestVersion(t *testing.T) {
	t.Parallel()
	script := scriptOf(t, "release.yaml", "publish", "Make the release")
	for _, tc := range []struct{ name, tag, published, want string }{
		{"the first", "v0.1.0", "", "--latest"},
		{"a newer one", "v1.10.0", "v1.9.0 v1.2.0", "--latest"},
		{"a fix of an older line", "v1.1.9", "v1.2.0 v1.1.8", "--latest=false"},
		{"a fix of an older line, by number", "v1.9.1", "v1.9.0 v1.10.0", "--latest=false"},
		{"one to try", "v2.0.0-rc.1", "v1.2.0", "--prerelease"},
		{"one to try of an older line", "v1.1.9-rc.1", "v1.2.0", "--prerelease"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			// A gh that knows releases, one of them to try and one a draft, and writes down
			// which it is to make.
			const gh = `#!/bin/sh
case "$1 $2" in
"release list")
	printf '%s\n' $PUBLISHED
	case "$*" in *--exclude-pre-releases*) ;; *) echo v8.0.0-rc.1 ;; esac
	case "$*" in *--exclude-drafts*) ;; *) echo v9.0.0 ;; esac
	;;
"release create") echo "$@" >>made ;;
*) exit 1 ;;
esac
`
			if err := os.WriteFile(filepath.Join(dir, "gh"), []byte(gh), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", script) // as GitHub runs it
			cmd.Dir = dir
			cmd.Env = []string{
				"PATH=" + dir + ":" + os.Getenv("PATH"), "PUBLISHED=" + tc.published,
				"GITHUB_REF_NAME=" + tc.tag, "GITHUB_REPOSITORY=acme/provider",
			}
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			made, err := os.ReadFile(filepath.Join(dir, "made"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Fields(string(made)); len(got) < 3 || got[2] != tc.tag || !slices.Contains(got, tc.want) || strings.Count(string(made), "latest")+strings.Count(string(made), "prerelease") != 1 {
				t.Errorf("gh %s; want %s", made, tc.want)
			}
		})
	}
}

// scriptOf is what a step of a workflow runs.
func scriptOf(t *testing.T, name, job, step string) string {
	t.Helper()
	workflow, errs := actionlint.Parse(workflows(t)[name])
	if workflow == nil || workflow.Jobs[job] == nil {
		t.Fatalf("%s has no job %s: %v", name, job, errs)
	}
	for _, s := range workflow.Jobs[job].Steps {
		if run, ok := s.Exec.(*actionlint.ExecRun); ok && s.Name != nil && s.Name.Value == step {
			return run.Run.Value
		}
	}
	t.Fatalf("job %s of %s runs no step %q", job, name, step)
	return ""
}

// The archives and the image are of one Go, down to the patch.
func TestEverythingIsBuiltWithTheSameGo(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	image := regexp.MustCompile(`golang:(\d+\.\d+\.\d+)-`).FindSubmatch(dockerfile)
	if image == nil {
		t.Fatal("the Dockerfile names no Go")
	}
	for name, content := range workflows(t) {
		for _, got := range regexp.MustCompile(`go-version: (\S+)`).FindAllSubmatch(content, -1) {
			if string(got[1]) != string(image[1]) {
				t.Errorf("%s uses Go %s, the Dockerfile %s", name, got[1], image[1])
			}
		}
	}
}
