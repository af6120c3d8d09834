// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build alerts

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestPromtoolChecksTheAlerts has Prometheus read every expression and every
// template of an annotation.
func TestPromtoolChecksTheAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "--lint-fatal", written(t, filepath.Join(t.TempDir(), "rules.yaml"), alerts(t)))
}

// TestAlertsFireWhenTheyShould runs testdata/alerts.yaml.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	rules := alerts(t)
	cases, err := os.ReadFile(filepath.Join("testdata", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	eachFiresAndDoesNot(t, rules, cases)

	// What annotations say is not what is tested, and promtool compares all.
	for _, group := range rules.Groups {
		for i := range group.Rules {
			group.Rules[i].Annotations = nil
		}
	}
	dir := t.TempDir()
	written(t, filepath.Join(dir, "rules.yaml"), rules)
	cases = []byte(strings.NewReplacer("$P", metricPrefix, "$J", releaseLabels).Replace(string(cases)))
	file := filepath.Join(dir, "alerts.yaml")
	if err := os.WriteFile(file, cases, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", file)
}

// releaseLabels are those that the rules ask for.
const releaseLabels = `job="` + name + `",namespace="` + name + `"`

// eachFiresAndDoesNot holds that no alert goes untested.
func eachFiresAndDoesNot(t *testing.T, rules ruleFile, cases []byte) {
	t.Helper()
	var file struct {
		Tests []struct {
			Expected []struct {
				Alert  string `json:"alertname"`
				Alerts []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(cases, &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, expected := range test.Expected {
			fires[expected.Alert] = fires[expected.Alert] || len(expected.Alerts) > 0
			quiet[expected.Alert] = quiet[expected.Alert] || len(expected.Alerts) == 0
		}
	}
	for _, group := range rules.Groups {
		for _, r := range group.Rules {
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("%s: tested when it fires: %t, when it does not: %t", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
		}
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func written(t *testing.T, file string, content any) string {
	t.Helper()
	text, err := yaml.Marshal(content)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}
