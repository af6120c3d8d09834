// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/policytest/live"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
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
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "endorctl-init": endorctlInit, "interrupted": interrupted},
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"EXAMPLES":   filepath.Join(root, "examples"),
				"TEMPLATE":   filepath.Join(root, "policies", "library", "k8sendorsignedimages", "template.yaml"),
				"PRODUCTION": filepath.Join(root, "policies", "library", "k8sendorsignedimages", "samples", "production", "constraint.yaml"),
				"SIGNED":     "ghcr.io/acme/api@sha256:b23b7b932a692b817873eb74069d5d684d2214653d14a5618e64038dc0512b32",
				"POLICIES":   filepath.Join(root, "policies", "library"),
				"HOME":       env.WorkDir, // no endorctl of whoever runs the tests
				"EMULATOR":   stage.Emulator.URL, "APIKEY": testbed.APIKey, "APISECRET": testbed.APISecret,
				"URL": stage.Provider.URL, "CA": stage.Certificates.ServerCAFile(), "CERT": cert, "KEY": key,
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

// endorctl-init writes the file that "endorctl init" does.
func endorctlInit(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.MkAbs(".endorctl")
	content := "ENDOR_API: " + ts.Getenv("EMULATOR") + "\nENDOR_NAMESPACE: acme\nENDOR_API_CREDENTIALS_KEY: " + ts.Getenv("APIKEY") +
		"\nENDOR_API_CREDENTIALS_SECRET: " + ts.Getenv("APISECRET") + "\n"
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(content), 0o600))
}

// interrupted STATUS PROGRAM [ARG...] runs a program before an Endor Labs that
// never answers, and interrupts it once it asked.
func interrupted(ts *testscript.TestScript, _ bool, args []string) {
	asked := make(chan struct{})
	var once sync.Once
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(asked) })
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hangs.Close()
	defer close(release)
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "ENDOR_API="+hangs.URL, "HOME="+ts.Getenv("HOME"), "ENDOR_NAMESPACE=acme", "ENDOR_TOKEN=token")
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	ts.Check(cmd.Start())
	<-asked
	ts.Check(cmd.Process.Signal(os.Interrupt))
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("ended with %v, want status %s", err, args[0])
	}
}
