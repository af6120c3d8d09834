// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/release"
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
	return alertsOf(t, rendered(t, values{"prometheusRule": values{"enabled": true}}))
}

func alertsOf(t *testing.T, r *release.Release) ruleFile {
	t.Helper()
	for _, document := range documents(t, whole(r)) {
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

// TestAlertsAboutConstraints holds that there are none where the provider does not
// count constraints: they could never fire, not even the one that says so.
func TestAlertsAboutConstraints(t *testing.T) {
	const about = metricPrefix + "constraints"
	isAbout := func(r rule) bool { return strings.Contains(r.Expr, about) }
	others := len(slices.DeleteFunc(alerts(t).Groups[0].Rules, isAbout))
	counting := 0
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		for _, wanted := range []bool{true, false} {
			set := maps.Clone(modes[mode])
			set["prometheusRule"], set["constraintMetrics"] = values{"enabled": true}, wanted
			r := rendered(t, set)
			counts := strings.Contains(r.Manifest, "--count-constraints-of=")
			if counts {
				counting++
			}
			rules := alertsOf(t, r).Groups[0].Rules
			if got := slices.ContainsFunc(rules, isAbout); got != counts {
				t.Errorf("%s, constraintMetrics %t: constraints are counted: %t, there are alerts about them: %t", mode, wanted, counts, got)
			}
			if got := len(slices.DeleteFunc(rules, isAbout)); got != others {
				t.Errorf("%s, constraintMetrics %t: %d other alerts, want %d", mode, wanted, got, others)
			}
			const effect = "constraintMetrics has no effect"
			if got, want := strings.Contains(r.Info.Notes, effect), wanted && !counts; got != want {
				t.Errorf("%s, constraintMetrics %t: the notes say %q: %t, want %t", mode, wanted, effect, got, want)
			}
		}
	}
	if counting == 0 || counting == len(modes) {
		t.Errorf("constraints are counted in %d of %d modes", counting, len(modes))
	}
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
