// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package policytest

import (
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// The Rego tests pass, and between them they reach every line of every policy.
func TestRego(t *testing.T) {
	t.Parallel()
	modules, err := load(true)
	if err != nil {
		t.Fatal(err)
	}
	coverage := cover.New()
	results, err := tester.NewRunner().
		SetCompiler(compiler().WithEnablePrintStatements(true)).
		AddCustomBuiltins([]*tester.Builtin{{
			Decl: externalData,
			Func: rego.Function1(&rego.Function{Name: externalData.Name, Decl: externalData.Decl}, ask),
		}}).
		SetStore(inmem.New()).
		SetModules(modules).
		SetCoverageQueryTracer(coverage).
		SetTimeout(time.Minute).
		CapturePrintOutput(true).
		RunTests(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for result := range results {
		count++
		if !result.Pass() {
			t.Errorf("%s\n%s%v", result, result.Output, result.Error)
		}
	}
	lines := 0
	for path, file := range coverage.Report(modules).Files {
		if strings.HasSuffix(path, "_test.rego") {
			continue
		}
		lines += file.CoveredLines
		for _, missed := range file.NotCovered {
			t.Errorf("%s:%d-%d: no test reaches this", path, missed.Start.Row, missed.End.Row)
		}
	}
	t.Logf("%d Rego tests cover %d lines of policy", count, lines)
}
