// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const troubleshooting = "docs/troubleshooting.md"

// Whoever looks a code, a cause or a reason up finds it.
func TestEveryCodeIsInTroubleshooting(t *testing.T) {
	text := read(t, troubleshooting)
	for _, of := range []struct {
		folder, kind string
		least        int
	}{
		{"provider/internal/verify", "Code", 15},
		{"provider/internal/verify", "Cause", 5},
		{"provider/internal/endor", "Reason", 10},
		{"provider/internal/server", "Reason", 5},
	} {
		found := constants(t, of.folder, of.kind)
		if len(found) < of.least {
			t.Errorf("%s: only %d constants of type %s: %q", of.folder, len(found), of.kind, found)
		}
		for _, value := range found {
			if !strings.Contains(text, "`"+value+"`") {
				t.Errorf("%s has nothing about `%s`, a %s of %s", troubleshooting, value, of.kind, of.folder)
			}
		}
	}
	codes := regexp.MustCompile(`(?m)^\t"([A-Z_]+)": \{$`).FindAllStringSubmatch(read(t, "policies/src/lib/messages.rego"), -1)
	if len(codes) < 15 {
		t.Errorf("only %d codes of the policy", len(codes))
	}
	for _, m := range codes {
		if !strings.Contains(text, "`"+m[1]+"`") {
			t.Errorf("%s has nothing about `%s`, a code of the policy", troubleshooting, m[1])
		}
	}
}

// Each sentence that the provider answers is there word for word, since people
// search for what they see.
func TestEverySentenceIsInTroubleshooting(t *testing.T) {
	text := read(t, troubleshooting)
	found := 0
	inspect(t, "provider/internal/verify", func(node ast.Node) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || !strings.HasSuffix(strings.ToLower(spec.Names[0].Name), "sentences") {
			return
		}
		for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
			sentence := unquoted(t, element.(*ast.KeyValueExpr).Value)
			found++
			if !strings.Contains(text, sentence) {
				t.Errorf("%s does not have the sentence %q", troubleshooting, sentence)
			}
		}
	})
	if found < 25 {
		t.Errorf("only %d sentences", found)
	}
}

// Each line that the provider logs as a warning or an error is there.
func TestEveryWarningIsInTroubleshooting(t *testing.T) {
	text := read(t, troubleshooting)
	found := 0
	for _, folder := range ofTheProvider(t) {
		inspect(t, folder, func(node ast.Node) {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || method.Sel.Name != "LogAttrs" {
				return
			}
			if level, ok := call.Args[1].(*ast.SelectorExpr); ok && (level.Sel.Name == "LevelInfo" || level.Sel.Name == "LevelDebug") {
				return
			}
			message, ok := call.Args[2].(*ast.BasicLit)
			if !ok {
				return // what others say, such as net/http
			}
			found++
			if text, message := text, unquoted(t, message); !strings.Contains(text, "`"+message+"`") {
				t.Errorf("%s has nothing about the line %q of the log", troubleshooting, message)
			}
		})
	}
	if found < 8 {
		t.Errorf("only %d lines of the log", found)
	}
}

// Every test that security.md relies on is there.
func TestSecurityNamesTestsThatThereAre(t *testing.T) {
	tests := map[string]bool{}
	for _, folder := range []string{"provider", "scripts"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok {
					tests[f.Name.Name] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(read(t, "docs/security.md"), -1)
	if len(named) < 25 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("docs/security.md names %s, which there is not", m[1])
		}
	}
}

// ofTheProvider are the folders of the packages of ours that the provider
// contains.
func ofTheProvider(t *testing.T) []string {
	t.Helper()
	const module = "github.com/endorlabs/endor-gatekeeper-provider/"
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"provider/cmd/endor-gatekeeper-provider")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for line := range strings.Lines(string(out)) {
		if folder, ours := strings.CutPrefix(strings.TrimSpace(line), module); ours {
			folders = append(folders, folder)
		}
	}
	if len(folders) < 8 {
		t.Fatalf("only %q", folders)
	}
	return folders
}

// constants are the values of a package's constants of one of its string types.
func constants(t *testing.T, folder, kind string) []string {
	t.Helper()
	var values []string
	inspect(t, folder, func(node ast.Node) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 {
			return
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == kind {
			values = append(values, unquoted(t, spec.Values[0]))
		}
	})
	return values
}

// inspect visits the code of a package, tests apart.
func inspect(t *testing.T, folder string, visit func(ast.Node)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", folder, len(files), err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			visit(node)
			return true
		})
	}
}

func unquoted(t *testing.T, e ast.Expr) string {
	t.Helper()
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		t.Fatalf("%T is no literal", e)
	}
	s, err := strconv.Unquote(literal.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
