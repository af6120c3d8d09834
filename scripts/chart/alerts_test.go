// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// ruleFile is the part of a file of Prometheus' rules that is looked at.
type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// alerts are the rules that the chart gives to the Prometheus operator.
func alerts(t *testing.T) ruleFile {
	t.Helper()
	for _, document := range documents(t, whole(rendered(t, values{"prometheusRule": values{"enabled": true}}))) {
		var object struct {
			Kind string   `json:"kind"`
			Spec ruleFile `json:"spec"`
		}
		if err := yaml.Unmarshal(document, &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind == "PrometheusRule" {
			return object.Spec
		}
	}
	t.Fatal("no PrometheusRule")
	return ruleFile{}
}

// TestRunbooks holds that whoever is woken by an alert finds what it means, how
// to see what is wrong and how to mend it.
func TestRunbooks(t *testing.T) {
	folder := filepath.Join(repository, "docs", "runbooks")
	known := map[string]bool{"README.md": true}
	index, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range alerts(t).Groups {
		for _, r := range group.Rules {
			file := r.Alert + ".md"
			known[file] = true
			text, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Errorf("alert without a runbook: %v", err)
				continue
			}
			for _, part := range []string{"# " + r.Alert + "\n", "\n## What it means\n", "\n## What to look at\n", "\n## What to do\n"} {
				if !strings.Contains(string(text), part) {
					t.Errorf("%s lacks %q", file, strings.TrimSpace(part))
				}
			}
			if !strings.Contains(string(index), "("+file+")") {
				t.Errorf("docs/runbooks/README.md does not list %s", file)
			}
			if severity := r.Labels["severity"]; !slices.Contains([]string{"critical", "warning"}, severity) {
				t.Errorf("%s: severity %q", r.Alert, severity)
			}
			if url := r.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/runbooks/"+file) {
				t.Errorf("%s: runbook_url %q", r.Alert, url)
			}
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !known[entry.Name()] {
			t.Errorf("docs/runbooks/%s is about no alert", entry.Name())
		}
	}
}
