// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the directions of imports: who may use whom among our
// packages, and what a program must not contain.
//
// The rules are in rules_test.go, each a sentence. A failure names both ends of
// the edge that breaks it and, where it is far, the way between them.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// graph has what each package imports, tests aside.
type graph map[string][]string

func TestImportsFollowTheRules(t *testing.T) {
	t.Parallel()
	imports := load(t)
	for _, r := range rules {
		for _, edge := range imports.breaks(r) {
			t.Errorf("%s\n\t%s", r.says, edge)
		}
	}
}

// A package that no layer names would be free of all of them.
func TestEachPackageHasALayer(t *testing.T) {
	t.Parallel()
	for path := range load(t) {
		if !strings.HasPrefix(path, internal) {
			continue
		}
		n := 0
		for _, layer := range layers {
			if layer.from(path) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d layers name %s, want 1: say in rules_test.go which of our packages it may import", n, path)
		}
	}
}

func TestEachRuleCanBeBroken(t *testing.T) {
	t.Parallel()
	imports := load(t)
	for _, r := range rules {
		t.Run(r.says, func(t *testing.T) {
			t.Parallel()
			if !slices.ContainsFunc(slices.Collect(maps.Keys(imports)), r.from) {
				t.Error("the rule is about no package")
			}
			broken := maps.Clone(imports)
			for i, from := range r.broken[:len(r.broken)-1] {
				broken[from] = append(slices.Clone(broken[from]), r.broken[i+1])
			}
			first, last := r.broken[0], r.broken[len(r.broken)-1]
			got := broken.breaks(r)
			if !slices.ContainsFunc(got, func(edge string) bool {
				return strings.HasPrefix(edge, first+" ") && strings.HasSuffix(edge, " "+last)
			}) {
				t.Errorf("with %s imported, the rule finds %q", strings.Join(r.broken, " -> "), got)
			}
		})
	}
}

// An import of an import breaks only a rule about what is linked.
func TestOnlyLinkedRulesLookFurther(t *testing.T) {
	t.Parallel()
	imports := graph{"a": {"b"}, "b": {"c"}, "c": nil}
	r := rule{from: below("a"), never: below("c")}
	if got := imports.breaks(r); got != nil {
		t.Errorf("direct imports: %q", got)
	}
	r.linked = true
	if got := imports.breaks(r); !slices.Equal(got, []string{"a -> b -> c"}) {
		t.Errorf("linked: %q, want a -> b -> c", got)
	}
}

// breaks gives the edges that break r, each with the shortest way.
func (g graph) breaks(r rule) []string {
	var found []string
	for _, path := range slices.Sorted(maps.Keys(g)) {
		if r.from(path) {
			found = append(found, g.walk(path, r)...)
		}
	}
	return found
}

// walk goes through the imports of start, nearest first. It does not go on
// behind a package that breaks the rule, as that is the one to be removed.
func (g graph) walk(start string, r rule) []string {
	var found []string
	seen := map[string]bool{start: true}
	for queue := [][]string{{start}}; len(queue) > 0; queue = queue[1:] {
		way := queue[0]
		for _, next := range g[way[len(way)-1]] {
			if seen[next] {
				continue
			}
			seen[next] = true
			further := append(slices.Clone(way), next)
			switch {
			case r.never(next):
				found = append(found, strings.Join(further, " -> "))
			case r.linked:
				queue = append(queue, further)
			}
		}
	}
	return found
}

func load(t *testing.T) graph {
	t.Helper()
	noticeChanges(t)
	// As programs are built: with cgo or without the tag they contain more.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=grpcnotrace", "-json=ImportPath,GoFiles,Imports", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	imports := graph{}
	for packages := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath       string
			GoFiles, Imports []string
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			return imports
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 { // it has more than tests
			imports[p.ImportPath] = p.Imports
		}
	}
}

// noticeChanges reads the folders that hold our packages. go test does not see
// what go list reads, and would show an old result again; it does see these.
func noticeChanges(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"provider", "scripts"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
}
