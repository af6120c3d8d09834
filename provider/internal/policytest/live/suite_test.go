// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/policytest/live"
)

// stage is shared by the tests, which run one after the other.
var (
	stage *live.Stage
	root  string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if root, err = live.Root(); err != nil {
		return 0, err
	}
	policies := filepath.Join(root, "policies")
	// What the emulator answers with an error must not be retried for long.
	stage, err = live.NewStage(context.Background(), filepath.Join(policies, "testdata", "signatures.yaml"), "--upstream-timeout=1s")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	faults, err := os.ReadFile(filepath.Join(policies, "testdata", "faults.yaml"))
	if err != nil {
		return 0, err
	}
	document, err := yaml.YAMLToJSON(faults)
	if err != nil {
		return 0, err
	}
	if err := stage.Emulator.Switch(context.Background(), document); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func TestSuitesOfTheLibrary(t *testing.T) {
	e, err := stage.Engine(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	results, err := e.RunSuites(t.Context(), os.DirFS(root), "policies/library")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, suite := range results {
		for _, c := range suite.Cases {
			cases++
			t.Run(c.Test+"/"+c.Case, func(t *testing.T) {
				if c.Err != nil || c.Skipped {
					t.Errorf("%s: skipped %v, %v", suite.Path, c.Skipped, c.Err)
				}
			})
		}
		if suite.Err != nil {
			t.Errorf("%s: %v", suite.Path, suite.Err)
		}
	}
	if len(results) == 0 || cases < 50 {
		t.Errorf("%d suites with %d cases; some were not found", len(results), cases)
	}
}
