// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Chart makes what is generated about the Helm chart: its README and its schema
// from values.yaml, its copy of the ConstraintTemplate from policies/library,
// and the manifests of deploy from its own output.
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
	"maps"
	"os"
	"path/filepath"
	"slices"
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

// drift names the files on disk that are not what they should be.
func drift(root string, files map[string][]byte) error {
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		current, err := os.ReadFile(filepath.Join(root, path))
		if err == nil && !bytes.Equal(current, files[path]) {
			err = fmt.Errorf("%s is not what make generate writes", path)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
