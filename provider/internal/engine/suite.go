// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	constraintclient "github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator"
	gatorverify "github.com/open-policy-agent/gatekeeper/v3/pkg/gator/verify"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// SuiteResult is what became of one suite.yaml.
type SuiteResult struct {
	Path  string
	Cases []CaseResult

	// Err is why the suite could not run at all.
	Err error
}

// CaseResult is what became of one case of a suite.
type CaseResult struct {
	Test, Case string

	// Err is nil if every assertion held.
	Err error

	Skipped bool
}

// Failed joins the errors of a suite; nil means that all of it passed.
func (r SuiteResult) Failed() error {
	errs := []error{r.Err}
	for _, c := range r.Cases {
		if c.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", c.Test, c.Case, c.Err))
		}
	}
	return errors.Join(errs...)
}

// RunSuites runs the suite in a file of fsys, or every suite at and below a
// folder, in gator's format and by gator's own runner, with the providers of
// this engine.
func (e *Engine) RunSuites(ctx context.Context, fsys fs.FS, path string) ([]SuiteResult, error) {
	info, err := fs.Stat(fsys, path)
	if err != nil {
		return nil, err
	}
	suites, err := gatorverify.ReadSuites(fsys, path, path, info.IsDir())
	if err != nil {
		return nil, fmt.Errorf("read suites below %s: %w", path, err)
	}
	runner, err := gatorverify.NewRunner(fsys, e.gatorClient)
	if err != nil {
		return nil, fmt.Errorf("make gator's runner: %w", err)
	}
	results := make([]SuiteResult, 0, len(suites))
	for _, s := range suites {
		results = append(results, flatten(runner.Run(ctx, everything{}, s)))
	}
	return results, nil
}

// SuiteFiles are the files that a suite in dir names: they belong to its tests
// and to nothing else.
func SuiteFiles(suite *unstructured.Unstructured, dir string) ([]string, error) {
	// Gator's own type has fields that only its own reader understands.
	var names struct {
		Tests []struct {
			Template   string `json:"template"`
			Constraint string `json:"constraint"`
			Expansion  string `json:"expansion"`
			Cases      []struct {
				Object    string   `json:"object"`
				Inventory []string `json:"inventory"`
			} `json:"cases"`
		} `json:"tests"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(suite.Object, &names); err != nil {
		return nil, fmt.Errorf("read the suite: %w", err)
	}
	var files []string
	add := func(names ...string) {
		for _, name := range names {
			if name != "" {
				files = append(files, filepath.Join(dir, name))
			}
		}
	}
	for _, t := range names.Tests {
		add(t.Template, t.Constraint, t.Expansion)
		for _, c := range t.Cases {
			add(c.Object)
			add(c.Inventory...)
		}
	}
	return files, nil
}

func (e *Engine) gatorClient(opts ...gator.Opt) (gator.Client, error) {
	return gator.NewOPAClient(false, append(opts, func() ([]constraintclient.Opt, []rego.Arg, error) {
		return nil, e.args, nil
	})...)
}

func flatten(r gatorverify.SuiteResult) SuiteResult {
	out := SuiteResult{Path: r.Path, Err: r.Error}
	for _, t := range r.TestResults {
		if t.Error != nil || len(t.CaseResults) == 0 {
			out.Cases = append(out.Cases, CaseResult{Test: t.Name, Err: t.Error, Skipped: t.Skipped})
		}
		for _, c := range t.CaseResults {
			out.Cases = append(out.Cases, CaseResult{Test: t.Name, Case: c.Name, Err: c.Error, Skipped: c.Skipped})
		}
	}
	return out
}

// everything is a filter that passes all tests and cases.
type everything struct{}

func (everything) MatchesTest(*gatorverify.Test) bool { return true }
func (everything) MatchesCase(string, string) bool    { return true }
