// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command configuration makes the tables of docs/configuration.md: of the flags
// of endor-gatekeeper-provider serve, as package config declares them, and of the
// values of the chart, as its schema describes them. What stands around the
// tables is written by hand.
//
//	go run ./provider/internal/docs/configuration         writes
//	go run ./provider/internal/docs/configuration -check  writes nothing, status 1 if it is out of date
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
		fmt.Fprintln(os.Stderr, "configuration:", err)
		os.Exit(1)
	}
}

const document = "docs/configuration.md"

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("configuration", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "write nothing and fail if the document is out of date")
	root := flags.String("root", ".", "folder of the repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path := filepath.Join(*root, document)
	current, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	made, err := generate(*root, string(current))
	if err != nil {
		return err
	}
	switch {
	case made == string(current):
		return nil
	case *check:
		return errors.New(document + " is out of date; run make generate")
	default:
		return os.WriteFile(path, []byte(made), 0o644)
	}
}

// generate gives the document with its tables made anew.
func generate(root, current string) (string, error) {
	c, err := readChart(root)
	if err != nil {
		return "", err
	}
	flags, err := flagTable(c)
	if err != nil {
		return "", err
	}
	for name, table := range map[string]string{"flags": flags, "values": valueTable(c)} {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- /generated -->"
		before, rest, found := strings.Cut(current, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return "", fmt.Errorf("%s needs the lines %s and %s", document, strings.TrimSpace(begin), end)
		}
		current = before + begin + "\n" + table + "\n" + end + after
	}
	return current, nil
}
