// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build reproducible

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The program that guards a cluster is built twice, of copies of the source in
// other folders and with a build cache of its own for each, as two people would:
// the same bytes, which tell of neither folder.
func TestTheProviderIsReproducible(t *testing.T) {
	src := madeOf(t)
	linux := target{server, platform{"linux", "amd64"}}
	var sums []string
	for _, folder := range []string{"a", filepath.Join("somewhere", "else", "b")} {
		dir := filepath.Join(t.TempDir(), folder)
		copied := src
		copied.root = filepath.Join(dir, "src")
		copySource(t, src.root, copied.root)
		binary := filepath.Join(dir, linux.binary())
		if err := build(t.Context(), copied, linux, binary, "GOCACHE="+filepath.Join(dir, "cache")); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), dir) || strings.Contains(string(content), src.root) {
			t.Errorf("the program names a folder that it was built in, %s or %s", dir, src.root)
		}
		sum, err := sha256File(binary)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s  built in %s", sum, copied.root)
		sums = append(sums, sum)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ: %q", sums)
	}
}

// copySource copies what programs are built of.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(to, "provider"), os.DirFS(filepath.Join(from, "provider"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
