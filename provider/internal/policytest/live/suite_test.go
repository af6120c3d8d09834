// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"
)

func TestSuitesOfTheLibrary(t *testing.T) {
	runSuites(t, os.DirFS(root))
}

// Whoever copies a sample and changes the obvious names gets what the sample
// promises.
func TestSamplesUnderOtherNames(t *testing.T) {
	renamed := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(root), "policies/library", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		text := string(content)
		// The template is applied as it is.
		if path.Base(name) != "template.yaml" {
			text = rename(text)
		}
		for _, was := range []string{"acme", "ghcr.io", `ghcr\.io`, "namespace: production", "namespace: payments"} {
			if path.Base(name) != "template.yaml" && strings.Contains(text, was) {
				t.Errorf("%s still says %q", name, was)
			}
		}
		renamed[rename(name)] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	runSuites(t, renamed)
}

// rename changes the names that somebody who copies a sample has to change.
func rename(text string) string { return otherNames.Replace(text) }

var otherNames = strings.NewReplacer(
	"acme", "contoso",
	"production", "prod-eu",
	"payments", "billing",
	"ghcr.io", "registry.contoso.io",
	`ghcr\.io`, `registry\.contoso\.io`,
)

func runSuites(t *testing.T, fsys fs.FS) {
	e, err := stage.Engine(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	results, err := e.RunSuites(t.Context(), fsys, "policies/library")
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

// Each sample has a test of the suite with something that it admits and
// something that it refuses.
func TestEverySampleIsShownBothWays(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "policies", "library", "k8sendorsignedimages", "suite.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests []struct {
			Constraint string `json:"constraint"`
			Cases      []struct {
				Assertions []struct {
					Violations any `json:"violations"`
				} `json:"assertions"`
			} `json:"cases"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(content, &suite); err != nil {
		t.Fatal(err)
	}
	type shown struct{ admits, refuses bool }
	tested := map[string]shown{}
	for _, test := range suite.Tests {
		s := tested[test.Constraint]
		for _, c := range test.Cases {
			// YAML reads "no" as false.
			if admits := c.Assertions[0].Violations == false; admits {
				s.admits = true
			} else {
				s.refuses = true
			}
		}
		tested[test.Constraint] = s
	}
	samples, err := fs.Glob(os.DirFS(filepath.Join(root, "policies", "library", "k8sendorsignedimages")), "samples/*/constraint.yaml")
	if err != nil || len(samples) < 10 {
		t.Fatalf("found the samples %v, %v", samples, err)
	}
	for _, sample := range samples {
		if tested[sample] != (shown{admits: true, refuses: true}) {
			t.Errorf("%s is not shown to admit and to refuse: %+v", sample, tested[sample])
		}
	}
}
