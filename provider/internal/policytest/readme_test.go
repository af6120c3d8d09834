// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package policytest

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The template that the README gives to authors keeps the README's rules.
func TestTemplateOfTheReadmeIsSound(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(Root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "```rego\n")
	source, _, _ := strings.Cut(after, "```")
	module, err := ast.ParseModuleWithOpts("README.md", source, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := newPolicy(t.Context(), "data.signedbyacme.violation", map[string]*ast.Module{"README.md": module})
	if err != nil {
		t.Fatal(err)
	}
	image := "ghcr.io/acme/api@" + digest
	key := url.Values{"image": {image}, "source_repository": {"acme/*"}}.Encode()
	good := map[string]any{"verified": true, "code": "VERIFIED", "digest": digest}
	pairs := func(all ...any) []any { return append([]any{}, all...) }
	for _, tc := range []struct {
		name     string
		answer   any
		admitted bool
	}{
		{name: "vouched for", answer: map[string]any{"responses": pairs([]any{key, good}), "errors": pairs()}, admitted: true},
		{name: "an error beside it", answer: map[string]any{"responses": pairs([]any{key, good}), "errors": pairs([]any{key, "REVOKED: no"})}},
		{name: "another value beside it", answer: map[string]any{"responses": pairs([]any{key, good}, []any{key, nil}), "errors": pairs()}},
		{name: "another key", answer: map[string]any{"responses": pairs([]any{"image=x", good}), "errors": pairs()}},
		{name: "another digest", answer: map[string]any{"responses": pairs([]any{key, map[string]any{"verified": true, "code": "VERIFIED", "digest": "sha256:00"}})}},
		{name: "null lists", answer: map[string]any{"responses": nil, "errors": nil, "system_error": "UNAVAILABLE: no"}},
		{name: "empty", answer: map[string]any{}},
		{name: "undefined", answer: nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got []Violation
			answer := Answer(func(string, []string) any { return tc.answer })
			if err := policy.Eval(t.Context(), map[string]any{"review": pod(image, "x\u007f")}, answer, &got); err != nil {
				t.Fatal(err)
			}
			want := 2
			if tc.admitted {
				want = 1 // the image that cannot be one
			}
			if len(got) != want {
				t.Errorf("got %v, want %d violations", got, want)
			}
		})
	}
}
