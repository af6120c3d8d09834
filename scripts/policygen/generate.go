// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

const notice = `# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

`

// tree is the folder that holds src and library.
type tree struct{ root string }

func (t tree) src(elem ...string) string {
	return filepath.Join(append([]string{t.root, "src"}, elem...)...)
}

func (t tree) library(elem ...string) string {
	return filepath.Join(append([]string{t.root, "library"}, elem...)...)
}

// policies lists the policies by name, sorted.
func (t tree) policies() ([]string, error) {
	entries, err := os.ReadDir(t.src())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "lib" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// generate gives the content of each file that is not written by hand, by path.
func (t tree) generate() (map[string][]byte, error) {
	files, err := t.formatted()
	if err != nil {
		return nil, err
	}
	policies, err := t.policies()
	if err != nil {
		return nil, err
	}
	for _, policy := range policies {
		content, err := t.render(policy, files)
		if err != nil {
			return nil, err
		}
		files[t.library(policy, "template.yaml")] = content
		files[t.library(policy, "kustomization.yaml")] = kustomization("template.yaml")
	}
	files[t.library("kustomization.yaml")] = kustomization(policies...)
	return files, nil
}

func kustomization(resources ...string) []byte {
	var b bytes.Buffer
	b.WriteString(notice + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, r := range resources {
		fmt.Fprintf(&b, "  - %s\n", r)
	}
	return b.Bytes()
}

// formatted gives each Rego file of src as opa fmt prints it.
func (t tree) formatted() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(t.src(), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".rego" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files[path], err = format.SourceWithOpts(path, source, format.Opts{RegoVersion: ast.RegoV1})
		return err
	})
	return files, err
}

// render fills in a policy's constraint.tmpl.
func (t tree) render(policy string, rego map[string][]byte) ([]byte, error) {
	pull := func(path string) (string, error) {
		content, ok := rego[path]
		if !ok {
			return "", fmt.Errorf("%s: no such Rego file", path)
		}
		return strings.TrimSuffix(string(content), "\n"), nil
	}
	source, err := os.ReadFile(t.src(policy, "constraint.tmpl"))
	if err != nil {
		return nil, err
	}
	tmpl, err := template.New(policy).Funcs(template.FuncMap{
		"list":   func(names ...string) []string { return names },
		"policy": func() (string, error) { return pull(t.src(policy, "src.rego")) },
		"lib":    func(name string) (string, error) { return pull(t.src("lib", name+".rego")) },
		"indent": indent,
	}).Parse(string(source))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# Generated from policies/src/%s by scripts/policygen; change it there.\n", notice, policy)
	if err := tmpl.Execute(&b, nil); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func indent(columns int, text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", columns) + line
		}
	}
	return strings.Join(lines, "\n")
}

func write(files map[string][]byte) error {
	for path, content := range files {
		if current, err := os.ReadFile(path); err == nil && bytes.Equal(current, content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// drift says how the files on disk differ from what they should be.
func drift(files map[string][]byte) error {
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		current, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("%s is missing; run go run ./scripts/policygen", path))
		case err != nil:
			errs = append(errs, err)
		case !bytes.Equal(current, files[path]):
			diff := cmp.Diff(strings.Split(string(current), "\n"), strings.Split(string(files[path]), "\n"))
			errs = append(errs, fmt.Errorf("%s is out of date; run go run ./scripts/policygen (-is +should be):\n%s", path, diff))
		}
	}
	return errors.Join(errs...)
}
