// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/docs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

const root = "../../.."

// bin is a folder with our programs, and helps is what each says of each of its
// commands, by words such as "endor-gatekeeper-provider preflight uninstall".
var (
	bin   string
	helps = map[string]string{}
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	if bin, err = os.MkdirTemp("", "docs-*"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	programs, err := testbed.Build(bin, "endor-gatekeeper-provider", "kubectl-endor", "endor-emulator")
	if err != nil {
		return 0, err
	}
	for _, program := range programs {
		if err := readHelp(program); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// readHelp asks for the help of a command, and of those below it.
func readHelp(program string, command ...string) error {
	out, err := exec.Command(program, append(command, "--help")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s --help: %w\n%s", program, strings.Join(command, " "), err, out)
	}
	name := strings.Join(append([]string{filepath.Base(program)}, command...), " ")
	helps[name] = string(out)
	_, list, found := strings.Cut(string(out), "Available Commands:\n")
	if !found {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		sub := strings.Fields(line)[0]
		if sub == "help" || sub == "completion" {
			continue
		}
		if err := readHelp(program, append(command[:len(command):len(command)], sub)...); err != nil {
			return err
		}
	}
	return nil
}

// documents are the blocks of each document.
func documents(t *testing.T) map[string][]docs.Block {
	t.Helper()
	files, err := docs.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]docs.Block{}
	for _, file := range files {
		blocks, err := docs.Blocks(root, file)
		if err != nil {
			t.Error(err)
		}
		all[file] = blocks
	}
	if len(all) < 10 {
		t.Fatalf("only %d documents", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
