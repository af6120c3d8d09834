// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/docs"
)

// Commands that need nothing but our programs work as the documents show them.
func TestCommandsWork(t *testing.T) {
	ran := 0
	for file, blocks := range documents(t) {
		var session *docs.Session
		for _, block := range blocks {
			if block.Mark != docs.Here {
				continue
			}
			if session == nil {
				session = start(t)
			}
			if err := session.Run(block); err != nil {
				t.Error(err)
			}
			ran++
		}
		if session != nil {
			if err := session.Close(); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if ran == 0 {
		t.Error("no document has a command to run")
	}
}

func start(t *testing.T) *docs.Session {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	session, err := docs.Start(t.Context(), dir, t.TempDir(), []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestASessionIsATerminal(t *testing.T) {
	session := start(t)
	block := func(fails bool, commands ...docs.Command) docs.Block {
		return docs.Block{File: "x.md", LastFails: fails, Commands: commands}
	}
	for _, tc := range []struct {
		name  string
		block docs.Block
		works bool
	}{
		{name: "variables stay", block: block(false, docs.Command{Text: "export A=1"}, docs.Command{Text: "echo $A", Output: []string{"1"}}), works: true},
		{name: "folders stay", block: block(false, docs.Command{Text: "cd docs"}, docs.Command{Text: "ls README.md", Output: []string{"README.md"}}, docs.Command{Text: "cd .."}), works: true},
		{name: "other output", block: block(false, docs.Command{Text: "echo yes", Output: []string{"no"}})},
		{name: "more output", block: block(false, docs.Command{Text: "printf 'a\\nb\\n'", Output: []string{"a"}})},
		{name: "less output", block: block(false, docs.Command{Text: "echo a", Output: []string{"a", "b"}})},
		{name: "wildcards", block: block(false, docs.Command{Text: "printf 'a\\nb\\nc d e\\n'", Output: []string{"…", "c … e"}}), works: true},
		{name: "nothing for a line of anything", block: block(false, docs.Command{Text: "echo a", Output: []string{"…", "a", "…"}}), works: true},
		{name: "any output", block: block(false, docs.Command{Text: "echo yes"}), works: true},
		{name: "a failure", block: block(false, docs.Command{Text: "false"})},
		{name: "a failure that is expected", block: block(true, docs.Command{Text: "echo no >&2; false", Output: []string{"no"}}), works: true},
		{name: "a success that is not", block: block(true, docs.Command{Text: "true"})},
		{name: "no line break at the end", block: block(false, docs.Command{Text: "printf x", Output: []string{"x"}}), works: true},
		{name: "standard input is empty", block: block(false, docs.Command{Text: "cat", Output: []string{""}}), works: true},
	} {
		err := session.Run(tc.block)
		if (err == nil) != tc.works {
			t.Errorf("%s: %v, want success %v", tc.name, err, tc.works)
		}
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}
