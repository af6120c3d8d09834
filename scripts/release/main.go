// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Release makes all files of a release, from one commit and for every platform:
// archives of the programs with the licenses of what is linked into them, a bill
// of materials for each, the chart's package, the manifest for krew and the
// checksums of it all.
//
//	go -C scripts/release run . -version v1.2.3
//
// The same commit, version and Go give the same bytes, wherever and whenever:
// nothing of this machine's paths, users or clock gets in. It writes nothing
// beyond -out, publishes nothing, and leaves an older -out as it was when it
// fails. It is a module of its own for what it depends on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing was changed")
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, progress io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(progress)
	version := flags.String("version", "", "what is released, such as `v1.2.3`; required")
	root := flags.String("root", "../..", "`folder` of the repository")
	out := flags.String("out", "", "`folder` to make; an older one is replaced (default dist in the repository)")
	only := flags.String("only", "", "comma-separated `programs` and platforms, such as kubectl-endor,linux/amd64, to make no others; then there is no chart")
	dirty := flags.Bool("dirty", false, "also with changes that are not committed, to try it out; the revision says so")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("what is %q? There are only flags, see -help", flags.Arg(0))
	}
	src, err := readSource(ctx, *root, *version, *dirty)
	if err != nil {
		return err
	}
	targets, err := selectTargets(*only)
	if err != nil {
		return err
	}
	if *out == "" {
		*out = filepath.Join(src.root, "dist")
	}
	return replaceFolder(*out, func(dir string) error {
		r := &release{source: src, dir: dir, progress: progress}
		return r.make(ctx, targets, *only == "")
	})
}

// release is one in the making.
type release struct {
	source

	dir      string // holds the finished files
	progress io.Writer
}

// make leaves in r.dir what is released.
func (r *release) make(ctx context.Context, targets []target, chart bool) error {
	modules, err := readModules(ctx, r.root)
	if err != nil {
		return err
	}
	for _, t := range targets {
		fmt.Fprintf(r.progress, "%s %s\n", t.program, t.platform)
		if err := r.add(ctx, t, modules); err != nil {
			return fmt.Errorf("%s for %s: %w", t.program, t.platform, err)
		}
	}
	if slices.ContainsFunc(targets, func(t target) bool { return t.program == plugin }) {
		if err := r.addKrewManifest(ctx, targets); err != nil {
			return fmt.Errorf("manifest for krew: %w", err)
		}
	}
	if chart {
		if err := r.addChart(ctx); err != nil {
			return fmt.Errorf("chart: %w", err)
		}
	}
	return writeChecksums(r.dir)
}

// add makes the archive of a program and its bill of materials.
func (r *release) add(ctx context.Context, t target, modules modules) error {
	dir, err := os.MkdirTemp("", "endor-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, t.binary())
	if err := build(ctx, r.source, t, binary); err != nil {
		return err
	}
	bom, notices, err := r.describe(binary, t, modules)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.dir, t.name(r.version)+".cdx.json"), bom, 0o644); err != nil {
		return err
	}
	files, err := readFiles(map[string]string{
		t.binary():  binary,
		"LICENSE":   filepath.Join(r.root, "LICENSE"),
		"README.md": filepath.Join(r.root, "README.md"),
	})
	if err != nil {
		return err
	}
	files = append(files, file{name: "THIRD-PARTY-LICENSES.txt", content: notices})
	for i := range files {
		files[i].executable = files[i].name == t.binary()
	}
	return writeArchive(filepath.Join(r.dir, t.archive(r.version)), files, r.time)
}

// replaceFolder makes a folder whole or not at all: fill gets a new one beside
// it, which takes its place.
func replaceFolder(path string, fill func(dir string) error) error {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(parent, "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := fill(dir); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := mayReplace(path); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Rename(dir, path)
}

// mayReplace refuses to remove what is not an older release: -out may be
// anything that somebody typed.
func mayReplace(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == checksumsName }) {
		names := make([]string, 0, 3)
		for _, e := range entries[:min(3, len(entries))] {
			names = append(names, e.Name())
		}
		return fmt.Errorf("%s holds %s and no %s: it is no older release and is left alone", path, strings.Join(names, ", "), checksumsName)
	}
	return nil
}
