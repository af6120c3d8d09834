// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/docs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

// A reader has a copy of the repository and copies one command after another: the
// tutorial to its end, but for the last block, which ends the cluster; then what
// the other documents show on such a cluster.
func TestWhatTheDocumentsShowIsWhatAReaderSees(t *testing.T) {
	copied := copyOfRepository(t)
	blocks := onCluster(t, "docs/tutorial.md")
	if len(blocks) < 5 {
		t.Fatalf("the tutorial has only %d blocks for make cluster", len(blocks))
	}
	session := terminal(t, copied)
	last := blocks[len(blocks)-1]
	if text := last.Commands[len(last.Commands)-1].Text; text != "make cluster-down" {
		t.Fatalf("the tutorial ends with %q, not with make cluster-down", text)
	}
	t.Cleanup(func() {
		// A new one: the other may be what failed.
		if err := terminal(t, copied).Run(last); err != nil {
			t.Error(err)
		}
	})
	begin := time.Now()
	for _, block := range blocks[:len(blocks)-1] {
		if err := session.Run(block); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the tutorial: %s", time.Since(begin).Round(time.Second))

	files, err := docs.Files(config.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file == "docs/tutorial.md" {
			continue
		}
		session := terminal(t, copied)
		for i, block := range onCluster(t, file) {
			if i == 0 {
				block.Commands = append([]docs.Command{{Line: block.Line, Text: ". .cache/cluster/run/env"}}, block.Commands...)
			}
			if err := session.Run(block); err != nil {
				t.Error(err)
				break
			}
		}
	}
}

// onCluster are the blocks of a document that a cluster is needed for.
func onCluster(t *testing.T, file string) []docs.Block {
	t.Helper()
	all, err := docs.Blocks(config.Root, file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []docs.Block
	for _, block := range all {
		if block.Mark == docs.Cluster {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// terminal is a shell in the folder, with what a reader has: Go, make and git.
func terminal(t *testing.T, dir string) *docs.Session {
	t.Helper()
	env := []string{"HOME=" + t.TempDir()}
	for _, name := range []string{"PATH", "GOFLAGS", "CGO_ENABLED", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	// What was compiled and downloaded already.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		env = append(env, name+"="+goEnv(t, name))
	}
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	endLater(func() error {
		kill()
		// Which knows what was begun, too.
		_, err := localcluster.Down(runFolder(dir))
		return err
	})
	session, err := docs.Start(ctx, dir, t.TempDir(), env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
	return session
}

// copyOfRepository is a fresh copy, in which make cluster makes a cluster of its
// own, but for the programs of others, which take ten minutes to build. It is in
// .cache/cluster/reader, where the logs stay until the next time.
func copyOfRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(config.Dir), "reader")
	_, err := localcluster.Down(runFolder(dir))
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(config.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		within, err := filepath.Rel(config.Root, path)
		if err != nil {
			return err
		}
		switch {
		case within == ".git" || within == ".cache" || within == "bin":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(dir, within), 0o755)
		default:
			return copyFile(path, filepath.Join(dir, within))
		}
	})
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Join(dir, ".cache", "cluster"), 0o755),
			os.Symlink(filepath.Join(config.Root, ".cache", "cluster", "kit"), filepath.Join(dir, ".cache", "cluster", "kit")))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func runFolder(root string) string { return filepath.Join(root, ".cache", "cluster", "run") }

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
