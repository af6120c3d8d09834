// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Policygen makes policies/library from policies/src.
//
// Each folder of policies/src but lib is a policy: its constraint.tmpl becomes
// library/<policy>/template.yaml with the Rego of src.rego and of the shared
// lib pulled in, and a kustomization.yaml beside it. The suite and the samples
// there are written by hand. Rego files are formatted as opa fmt does.
//
//	go run ./scripts/policygen         writes
//	go run ./scripts/policygen -check  writes nothing, exit code 1 if something would change
//
// Both fail when a policy lacks what an author of constraints needs: title,
// version and description, a description of each parameter, a suite, and
// samples that the suite applies.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "policygen:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("policygen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "write nothing and fail if a file is out of date")
	dir := flags.String("dir", "policies", "folder with src and library")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tree := tree{root: *dir}
	files, err := tree.generate()
	if err != nil {
		return err
	}
	if *check {
		return errors.Join(drift(files), tree.review())
	}
	if err := write(files); err != nil {
		return err
	}
	return tree.review()
}
