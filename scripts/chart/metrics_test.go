// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An alert about a metric that does not exist is never wrong and never fires, and
// so is one about a value that a label does not have. docs/metrics.md is what the
// program says of itself.
func TestWhoSpeaksOfAMetricMeansOneThatExists(t *testing.T) {
	t.Parallel()
	known := documented(t)
	texts := map[string]string{}
	for _, pattern := range []string{
		"charts/endor-gatekeeper-provider/files/*.yaml", "charts/endor-gatekeeper-provider/files/dashboard.json",
		"docs/*.md", "docs/runbooks/*.md", "scripts/chart/testdata/alerts.yaml",
	} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = strings.NewReplacer("$P", metricPrefix, `\"`, `"`).Replace(string(text))
		}
	}
	found := 0
	for file, text := range texts {
		for _, use := range used.FindAllStringSubmatch(text, -1) {
			found++
			for _, complaint := range known.complain(use[1], use[2]) {
				t.Errorf("%s: %s", strings.TrimPrefix(file, repository+"/"), complaint)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d metrics are spoken of", found)
	}
}

func TestAMetricThatDoesNotExistIsFound(t *testing.T) {
	t.Parallel()
	known := documented(t)
	for _, tc := range []struct {
		name, labels string
		wrong        int
	}{
		{"verdicts_total", `code="VERIFIED"`, 0},
		{"upstream_wait_seconds_bucket", `le="0.1"`, 0},
		{"unready", `job="a",reason!="DRAINING"`, 0},
		{"tls_handshake_failures_total", `reason!~"not_tls|other"`, 0},
		{"verdict_total", "", 1},
		{"verdicts_total", `code="SIGNED"`, 1},
		{"verdicts_total", `cause="budget"`, 1},
		{"verdicts_total_bucket", "", 1},
		{"tls_handshake_failures_total", `reason!~"not_tls|no_tls"`, 1},
	} {
		if got := known.complain(tc.name, tc.labels); len(got) != tc.wrong {
			t.Errorf("%s{%s}: %q, want %d complaints", tc.name, tc.labels, got, tc.wrong)
		}
	}
}

var (
	used     = regexp.MustCompile(metricPrefix + `([a-z_]+[a-z])(?:\{([^}]*)\})?`)
	selector = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"([^"]*)"`)
	tableRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| (.*?) \\| ")
	quoted   = regexp.MustCompile("`([^`]+)`")
)

// metrics are what the program has: the type of each, and its labels with their
// values.
type metrics map[string]struct {
	kind   string
	labels map[string][]string
}

func documented(t *testing.T) metrics {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := metrics{}
	for _, m := range tableRow.FindAllStringSubmatch(string(text), -1) {
		labels := map[string][]string{}
		for label := range strings.SplitSeq(m[3], "<br>") {
			if names := quoted.FindAllStringSubmatch(label, -1); names != nil {
				labels[names[0][1]] = nil
				for _, value := range names[1:] {
					labels[names[0][1]] = append(labels[names[0][1]], value[1])
				}
			}
		}
		entry := known[m[1]]
		entry.kind, entry.labels = m[2], labels
		known[m[1]] = entry
	}
	return known
}

// ofTarget are the labels that Prometheus adds.
var ofTarget = []string{"job", "namespace", "pod", "instance"}

func (known metrics) complain(name, selectors string) (complaints []string) {
	m, ok := known[name]
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if of, is := strings.CutSuffix(name, suffix); !ok && is && known[of].kind == "histogram" {
			m, ok = known[of], true
		}
	}
	if !ok {
		return []string{"no metric " + name}
	}
	for _, s := range selector.FindAllStringSubmatch(selectors, -1) {
		label, values := s[1], s[2]
		if slices.Contains(ofTarget, label) || label == "le" && m.kind == "histogram" {
			continue
		}
		have, ok := m.labels[label]
		if !ok {
			complaints = append(complaints, name+" has no label "+label)
			continue
		}
		for value := range strings.SplitSeq(values, "|") {
			if !slices.Contains(have, value) {
				complaints = append(complaints, name+": "+label+" is never "+value)
			}
		}
	}
	return complaints
}
