// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package policytest runs the policies' Rego in process, without a provider.
//
// It teaches OPA the builtin external_data, which only Gatekeeper has, so that
// the *_test.rego files of policies/src run with go test, which demands that
// they reach each line, and so that a [Policy] can be asked what it makes of
// any answer at all. What Gatekeeper makes of the generated templates is tested
// in package gatekeeper beside it, and what the real provider answers elsewhere.
package policytest

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
)

// Root is the folder of the policies, seen from a package beside this one.
const Root = "../../../policies"

// externalData is Gatekeeper's builtin as its driver declares it.
var externalData = &ast.Builtin{
	Name: "external_data",
	Decl: types.NewFunction(types.Args(types.A), types.A),
}

// load parses each Rego file of policies/src, with tests or without.
func load(tests bool) (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	err := filepath.WalkDir(filepath.Join(Root, "src"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".rego" || !tests && strings.HasSuffix(path, "_test.rego") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		modules[path], err = ast.ParseModuleWithOpts(path, string(source), ast.ParserOptions{RegoVersion: ast.RegoV1})
		return err
	})
	return modules, err
}

// compiler compiles strictly, with external_data known.
func compiler() *ast.Compiler {
	capabilities := ast.CapabilitiesForThisVersion()
	capabilities.Builtins = append(capabilities.Builtins, externalData)
	return ast.NewCompiler().WithCapabilities(capabilities).WithStrict(true)
}

// Policy is a query over the policies of policies/src.
type Policy struct{ query rego.PreparedEvalQuery }

// Violation is one element of a template's violation set.
type Violation struct {
	Msg     string
	Details struct {
		Code, Class, Container, Image, Digest, Namespace, Fix string

		Signers []map[string]string
	}
}

// Answer stands in for external_data. It returns what Rego sees; nil makes the
// call undefined.
type Answer func(provider string, keys []string) any

type answerKey struct{}

// NewPolicy prepares a query, for example "data.k8sendorsignedimages.violation".
func NewPolicy(ctx context.Context, query string) (*Policy, error) {
	modules, err := load(false)
	if err != nil {
		return nil, err
	}
	return newPolicy(ctx, query, modules)
}

func newPolicy(ctx context.Context, query string, modules map[string]*ast.Module) (*Policy, error) {
	c := compiler()
	if c.Compile(modules); c.Failed() {
		return nil, c.Errors
	}
	prepared, err := rego.New(
		rego.Query(query),
		rego.Compiler(c),
		rego.Function1(&rego.Function{Name: externalData.Name, Decl: externalData.Decl}, ask),
	).PrepareForEval(ctx)
	return &Policy{query: prepared}, err
}

func ask(bctx rego.BuiltinContext, request *ast.Term) (*ast.Term, error) {
	answer, ok := bctx.Context.Value(answerKey{}).(Answer)
	if !ok {
		return nil, nil
	}
	var asked struct {
		Provider string   `json:"provider"`
		Keys     []string `json:"keys"`
	}
	if err := ast.As(request.Value, &asked); err != nil {
		return nil, err
	}
	said := answer(asked.Provider, asked.Keys)
	if said == nil {
		return nil, nil
	}
	value, err := ast.InterfaceToValue(said)
	if err != nil {
		return nil, err
	}
	return ast.NewTerm(value), nil
}

// Eval evaluates the query for an input and decodes its value into out.
func (p *Policy) Eval(ctx context.Context, input any, answer Answer, out any) error {
	results, err := p.query.Eval(context.WithValue(ctx, answerKey{}, answer), rego.EvalInput(input))
	if err != nil {
		return err
	}
	if len(results) != 1 {
		return fmt.Errorf("the query is undefined")
	}
	value, err := json.Marshal(results[0].Expressions[0].Value)
	if err != nil {
		return err
	}
	return json.Unmarshal(value, out)
}
