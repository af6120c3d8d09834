// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Chart makes what is generated about the Helm chart: its README and its schema
// from values.yaml, its copy of the ConstraintTemplate from policies/library,
// its dashboard, and the manifests of deploy from its own output.
//
//	go -C scripts/chart run .         writes
//	go -C scripts/chart run . -check  writes nothing, exit code 1 if something would change
//
// It is a module of its own because Helm brings many dependencies with it. The
// tests hold the chart and deploy/ to what the generators cannot know.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "write nothing and fail if a file is out of date")
	root := flags.String("root", "../..", "folder of the repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := generate(*root)
	if err != nil {
		return err
	}
	if *check {
		return drift(*root, files)
	}
	for path, content := range files {
		path = filepath.Join(*root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func drift(root string, files map[string][]byte) error {
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		current, err := os.ReadFile(filepath.Join(root, path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("%s is missing; run make generate", path))
		case err != nil:
			errs = append(errs, err)
		case !bytes.Equal(current, files[path]):
			diff := cmp.Diff(strings.Split(string(current), "\n"), strings.Split(string(files[path]), "\n"))
			errs = append(errs, fmt.Errorf("%s is out of date; run make generate (-is +should be):\n%s", path, diff))
		}
	}
	return errors.Join(errs...)
}
