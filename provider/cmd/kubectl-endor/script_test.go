// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/policytest/live"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main})
}

// TestScripts drives the program as a person would, before a provider and an
// emulator that run.
func TestScripts(t *testing.T) {
	root, err := live.Root()
	if err != nil {
		t.Fatal(err)
	}
	stage, err := live.NewStage(t.Context(), filepath.Join(root, "provider", "internal", "demo", "signatures.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	})
	cert, key := stage.Certificates.ClientFiles()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"EXAMPLES":   filepath.Join(root, "examples"),
				"TEMPLATE":   filepath.Join(root, "policies", "library", "k8sendorsignedimages", "template.yaml"),
				"PRODUCTION": filepath.Join(root, "policies", "library", "k8sendorsignedimages", "samples", "production", "constraint.yaml"),
				"URL":        stage.Provider.URL, "CA": stage.Certificates.ServerCAFile(), "CERT": cert, "KEY": key,
			} {
				env.Setenv(name, value)
			}
			return nil
		},
	})
}

// exits STATUS PROGRAM [ARG...] runs a program that is to end with a status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil && args[0] == "0":
	case !failed || strconv.Itoa(exit.ExitCode()) != args[0]:
		ts.Fatalf("ended with %v, want status %s", err, args[0])
	}
}
