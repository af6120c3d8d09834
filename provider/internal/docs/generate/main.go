// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command generate makes the parts of docs that are lists of what the code
// says: the flags of endor-gatekeeper-provider serve, as package config declares
// them, the values of the chart, as its schema describes them, and the messages
// of both. What stands around those is written by hand.
//
//	go run ./provider/internal/docs/generate         writes
//	go run ./provider/internal/docs/generate -check  writes nothing, status 1 if something is out of date
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "write nothing and fail if a document is out of date")
	root := flags.String("root", ".", "folder of the repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	parts, err := generate(*root)
	if err != nil {
		return err
	}
	var errs []error
	for document, byName := range parts {
		errs = append(errs, put(*root, document, byName, *check))
	}
	return errors.Join(errs...)
}

// generate gives the generated parts of each document, by their names.
func generate(root string) (map[string]map[string]string, error) {
	c, err := readChart(root)
	if err != nil {
		return nil, err
	}
	flags, err := flagTable(c)
	if err != nil {
		return nil, err
	}
	settings, err := settingMessages(root)
	if err != nil {
		return nil, err
	}
	checks, err := chartMessages(root)
	if err != nil {
		return nil, err
	}
	return map[string]map[string]string{
		"docs/configuration.md":   {"flags": flags, "values": valueTable(c)},
		"docs/troubleshooting.md": {"settings": settings, "chart": checks},
	}, nil
}

// put replaces the parts of a document, or only looks whether they are as they
// should be.
func put(root, document string, parts map[string]string, check bool) error {
	path := filepath.Join(root, document)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	made := string(content)
	for name, part := range parts {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- /generated -->"
		before, rest, found := strings.Cut(made, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return fmt.Errorf("%s needs the lines %s and %s", document, strings.TrimSpace(begin), end)
		}
		made = before + begin + "\n" + part + "\n" + end + after
	}
	switch {
	case made == string(content):
		return nil
	case check:
		return errors.New(document + " is out of date; run make generate")
	default:
		return os.WriteFile(path, []byte(made), 0o644) //nolint:gosec // a document is for everybody, and its place was given
	}
}
