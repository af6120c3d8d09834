// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// excluded are the namespaces that no sample may judge: a constraint that
// refuses there can keep its own provider, Gatekeeper or nodes from starting.
var excluded = []string{"kube-system", "kube-node-lease", "gatekeeper-system", "endor-gatekeeper-provider"}

// review says what is missing in what people wrote by hand.
func (t tree) review() error {
	policies, err := t.policies()
	if err != nil {
		return err
	}
	var errs []error
	for _, policy := range policies {
		errs = append(errs, t.reviewTemplate(policy), t.reviewSamples(policy))
	}
	return errors.Join(errs...)
}

type constraintTemplate struct {
	Metadata struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		CRD struct {
			Spec struct {
				Names      struct{ Kind string } `json:"names"`
				Validation struct {
					Schema schema `json:"openAPIV3Schema"`
				} `json:"validation"`
			} `json:"spec"`
		} `json:"crd"`
	} `json:"spec"`
}

type schema struct {
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Preserve    bool              `json:"x-kubernetes-preserve-unknown-fields"`
}

var semver = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)

func (t tree) reviewTemplate(policy string) error {
	path := t.library(policy, "template.yaml")
	var tmpl constraintTemplate
	if err := read(path, &tmpl); err != nil {
		return err
	}
	var errs []error
	complain := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
	}
	if tmpl.Metadata.Name != policy || strings.ToLower(tmpl.Spec.CRD.Spec.Names.Kind) != policy {
		complain("name, folder and lower-case kind differ")
	}
	for _, name := range []string{"metadata.gatekeeper.sh/title", "metadata.gatekeeper.sh/version", "description"} {
		if tmpl.Metadata.Annotations[name] == "" {
			complain("no annotation %s", name)
		}
	}
	if v := tmpl.Metadata.Annotations["metadata.gatekeeper.sh/version"]; !semver.MatchString(v) {
		complain("%q is no semantic version", v)
	}
	tmpl.Spec.CRD.Spec.Validation.Schema.walk("parameters", func(at string, s schema) {
		if s.Description == "" {
			complain("%s has no description", at)
		}
		if s.Type == "object" && !s.Preserve {
			complain("%s drops unknown fields, so the policy cannot refuse them", at)
		}
	})
	return errors.Join(errs...)
}

func (s schema) walk(at string, visit func(string, schema)) {
	visit(at, s)
	for name, property := range s.Properties {
		property.walk(at+"."+name, visit)
	}
	if s.Items != nil {
		s.Items.walk(at+"[]", visit)
	}
}

type suite struct {
	Tests []struct {
		Template   string `json:"template"`
		Constraint string `json:"constraint"`
		Cases      []struct {
			Object string `json:"object"`
		} `json:"cases"`
	} `json:"tests"`
}

type constraint struct {
	Spec struct {
		Match struct {
			ExcludedNamespaces []string `json:"excludedNamespaces"`
		} `json:"match"`
	} `json:"spec"`
}

func (t tree) reviewSamples(policy string) error {
	var cases suite
	if err := read(t.library(policy, "suite.yaml"), &cases); err != nil {
		return err
	}
	var used []string
	for _, test := range cases.Tests {
		used = append(used, test.Template, test.Constraint)
		for _, c := range test.Cases {
			used = append(used, c.Object)
		}
	}
	var errs []error
	if !slices.Contains(used, "template.yaml") {
		errs = append(errs, fmt.Errorf("%s: the suite does not test template.yaml", policy))
	}
	samples, err := filepath.Glob(t.library(policy, "samples", "*"))
	if err != nil {
		return err
	}
	if len(samples) == 0 {
		errs = append(errs, fmt.Errorf("%s: no samples", policy))
	}
	for _, dir := range samples {
		errs = append(errs, reviewSample(dir, used))
	}
	return errors.Join(errs...)
}

// reviewSample holds a sample to a constraint, an example that is admitted and
// one that is refused, all of which the suite uses.
func reviewSample(dir string, used []string) error {
	var errs []error
	for _, pattern := range []string{"constraint.yaml", "example_allowed*.yaml", "example_disallowed*.yaml"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			errs = append(errs, fmt.Errorf("%s: no %s", dir, pattern))
		}
		for _, path := range found {
			if name := "samples/" + filepath.Base(dir) + "/" + filepath.Base(path); !slices.Contains(used, name) {
				errs = append(errs, fmt.Errorf("%s is not used by the suite", path))
			}
		}
	}
	var c constraint
	if err := read(filepath.Join(dir, "constraint.yaml"), &c); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, namespace := range excluded {
		if !slices.Contains(c.Spec.Match.ExcludedNamespaces, namespace) {
			errs = append(errs, fmt.Errorf("%s: its constraint does not exclude namespace %s", dir, namespace))
		}
	}
	return errors.Join(errs...)
}

func read(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
