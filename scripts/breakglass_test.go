// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package scripts_test runs scripts that act on a cluster, without one.
package scripts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kubectl": kubectl, "constraints": constraints})
}

// TestBreakGlass runs break-glass.sh on constraints in files, with a kubectl that
// knows as much as that takes. The tests of a cluster run it on a real one.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/break-glass",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			script, err := filepath.Abs("break-glass.sh")
			env.Setenv("BREAK_GLASS", script)
			// A program with the race detector waits for a second when it exits.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return err
		},
	})
}

const kind = "k8sendorsignedimages.constraints.gatekeeper.sh"

// kubectl gets and patches the constraints of the folder that it runs in.
func kubectl() {
	fail := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		os.Exit(1)
	}
	args := os.Args[1:]
	if slices.Equal(args, []string{"config", "current-context"}) {
		context, err := os.ReadFile("context")
		if err != nil {
			fail("error: current-context is not set")
		}
		fmt.Print(string(context))
		return
	}
	context := ""
	if len(args) > 2 && args[0] == "--context" {
		context, args = args[1], args[2:]
	}
	if len(args) < 3 || args[1] != kind {
		fail("error: not known: kubectl %q", args)
	}
	err := record(context + " " + args[0])
	switch {
	case err != nil:
	case args[0] == "get" && args[2] == "-o":
		err = printAll(strings.TrimPrefix(args[3], "jsonpath="))
	case args[0] == "get" && args[3] == "-o":
		err = printOne(args[2], strings.TrimPrefix(args[4], "go-template="))
	case args[0] == "patch" && args[3] == "--type=merge" && args[4] == "-p":
		err = errors.Join(patch(args[2], []byte(args[5])), turnAway(), interrupt())
	default:
		err = fmt.Errorf("not known: kubectl %q", args)
	}
	if err != nil {
		fail("error: %v", err)
	}
}

// record keeps which calls there were.
func record(call string) error {
	calls, err := os.OpenFile("calls", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(calls, call)
	return errors.Join(err, calls.Close())
}

// turnAway makes another context the current one, if there is a file that says so.
func turnAway() error {
	if err := os.Rename("context-after-patch", "context"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// interrupt stops the script as Ctrl-C does, if there is a file that says so.
func interrupt() error {
	if _, err := os.Stat("interrupt"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	script, err := os.FindProcess(os.Getppid())
	if err != nil {
		return err
	}
	return script.Signal(os.Interrupt)
}

func printAll(path string) error {
	list, err := all()
	if err != nil {
		return err
	}
	p := jsonpath.New("output")
	if err := p.Parse(path); err != nil {
		return err
	}
	return p.Execute(os.Stdout, map[string]any{"items": list})
}

// printOne prints a constraint. Audit writes to it right after, as often as the
// file "audits" says.
func printOne(name, text string) error {
	c, err := read(name)
	if err != nil {
		return err
	}
	t, err := template.New("output").Parse(text)
	if err != nil {
		return err
	}
	if err := t.Execute(os.Stdout, c); err != nil {
		return err
	}
	left, err := os.ReadFile("audits")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(left)))
	if err != nil || n == 0 {
		return err
	}
	if err := os.WriteFile("audits", []byte(strconv.Itoa(n-1)), 0o600); err != nil {
		return err
	}
	return c.write()
}

func patch(name string, merge []byte) error {
	c, err := read(name)
	if err != nil {
		return err
	}
	version := c.metadata()["resourceVersion"]
	before, err := json.Marshal(c)
	if err != nil {
		return err
	}
	after, err := jsonpatch.MergePatch(before, merge)
	if err != nil {
		return err
	}
	var patched constraint
	if err := json.Unmarshal(after, &patched); err != nil {
		return err
	}
	if patched.metadata()["resourceVersion"] != version {
		return fmt.Errorf("operation cannot be fulfilled on %s %q: the object has been modified", kind, name)
	}
	return patched.write()
}

// constraints prints what somebody wrote of each constraint.
func constraints() {
	list, err := all()
	for _, c := range list {
		annotations, _ := c.metadata()["annotations"].(map[string]any)
		spec, _ := json.Marshal(c["spec"])
		fmt.Printf("%s %s %s\n", c.metadata()["name"], annotations, spec)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// constraint is an object as JSON has it.
type constraint map[string]any

func (c constraint) metadata() map[string]any {
	m, ok := c["metadata"].(map[string]any)
	if !ok {
		m = map[string]any{}
		c["metadata"] = m
	}
	return m
}

func all() ([]constraint, error) {
	files, err := filepath.Glob("constraints/*.yaml")
	if err != nil {
		return nil, err
	}
	var list []constraint
	for _, file := range files {
		c, err := read(strings.TrimSuffix(filepath.Base(file), ".yaml"))
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// read reads a constraint, of which the file may hold the spec alone.
func read(name string) (constraint, error) {
	text, err := os.ReadFile(filepath.Join("constraints", name+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("%s %q not found", kind, name)
	}
	c := constraint{}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	m := c.metadata()
	m["name"] = name
	if _, ok := m["resourceVersion"]; !ok {
		m["resourceVersion"] = "1"
	}
	return c, nil
}

// write writes a constraint as its next version.
func (c constraint) write() error {
	m := c.metadata()
	version, err := strconv.Atoi(fmt.Sprint(m["resourceVersion"]))
	if err != nil {
		return err
	}
	m["resourceVersion"] = strconv.Itoa(version + 1)
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("constraints", fmt.Sprint(m["name"])+".yaml"), text, 0o600)
}
