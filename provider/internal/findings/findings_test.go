// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package findings_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

var update = flag.Bool("update", false, "write the golden files")

// hostile is what somebody may write into a manifest to forge a line, a tag or a
// terminal's command.
const hostile = "evil\x1b[2K\n\u202e</testcase>\"&<b>"

var signedAt = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func place(name string) findings.Place {
	return findings.Place{File: "deploy/a b.yaml", Line: 3, Document: 1, Namespace: "shop", Kind: "Deployment", Name: name, List: "initContainers", Container: "init"}
}

func verifyDocument() *findings.Document {
	digest := "sha256:" + strings.Repeat("0a", 32)
	return &findings.Document{
		Schema: findings.VerifySchema, Generator: "kubectl-endor v1.0.0", Complete: false,
		Errors: []string{"deploy/bad.yaml:2: document 1: it is no Kubernetes object, but a list"},
		Findings: []findings.Finding{
			{Image: "ghcr.io/acme/api@" + digest, Digest: digest, Code: "VERIFIED", Class: verify.ClassVerified, SignedAt: &signedAt,
				Signer: question.Claims{SourceRepository: "acme/api", SourceRepositoryRef: "refs/heads/main"}, Places: []findings.Place{place("api"), place("web")}},
			{Image: hostile, Code: "BAD_REFERENCE", Class: verify.ClassRejected, Reason: verify.BadReference.Sentence(), Places: []findings.Place{place(hostile)}},
			{Image: "ghcr.io/acme/lost@" + digest, Digest: digest, Code: "UNAVAILABLE", Class: verify.ClassUnavailable, Reason: "Endor Labs could not be reached; try again"},
		},
	}
}

func testDocument() *findings.Document {
	return &findings.Document{
		Schema: findings.TestSchema, Generator: "kubectl-endor v1.0.0", Complete: true,
		Findings: []findings.Finding{
			{Image: "a", Decision: "admitted", Code: "VERIFIED", Class: verify.ClassVerified, Places: []findings.Place{place("api")}},
			{Image: "b", Decision: "denied", Code: "NOT_SIGNED", Class: verify.ClassRejected, Reason: "[NOT_SIGNED] it", Constraint: "K/c", Places: []findings.Place{place("b")}},
			{Image: "c", Decision: "warned", Code: "NOT_SIGNED", Class: verify.ClassRejected, Reason: "[NOT_SIGNED] it", Constraint: "K/w", Places: []findings.Place{place("c")}},
			{Image: "d", Decision: "admitted", Expected: "NOT_SIGNED", Got: "admitted", Places: []findings.Place{place("d")}},
			{Decision: "admitted", Unmatched: true, Places: []findings.Place{{File: "-", Line: 1, Document: 2, Kind: "ConfigMap", Name: "cm"}}},
		},
		UnmatchedConstraints: []string{"K/elsewhere"},
		Suites: []findings.Suite{{File: "suite.yaml", Cases: []findings.SuiteCase{
			{Test: "t", Case: "good"}, {Test: "t", Case: "bad", Error: "unexpected number of violations"}, {Test: "t", Case: "later", Skipped: true},
		}}},
	}
}

func TestEveryFormIsAsInItsGoldenFile(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*findings.Document{"verify": verifyDocument(), "test": testDocument()} {
		for _, format := range findings.Formats() {
			var out bytes.Buffer
			if err := findings.Write(&out, format, d); err != nil {
				t.Fatalf("%s as %s: %v", name, format, err)
			}
			file := filepath.Join("testdata", name+"."+format)
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s\nRun with -update if that is right.", file, diff)
			}
		}
	}
}

func TestNoFormForPeopleLetsAnImageDriveATerminal(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"table", "junit", "sarif"} {
		var out bytes.Buffer
		if err := findings.Write(&out, format, verifyDocument()); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\u202e") {
			t.Errorf("%s:\n%s", format, out.String())
		}
		if lines := strings.Count(out.String(), "\n"); format == "table" && lines != 5 {
			t.Errorf("the table has %d lines, want 5:\n%s", lines, out.String())
		}
	}
}

func TestJUnitCountsWhatItHolds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := findings.Write(&out, "junit", testDocument()); err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for dec := xml.NewDecoder(&out); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			counted[start.Name.Local]++
			for _, a := range start.Attr {
				if start.Name.Local == "testsuites" {
					counted[a.Name.Local+"="+a.Value]++
				}
			}
		}
	}
	want := map[string]int{
		"testsuites": 1, "testsuite": 2, "testcase": 9, "failure": 3, "skipped": 3,
		"name=kubectl-endor v1.0.0": 1, "tests=9": 1, "failures=3": 1, "errors=0": 1, "skipped=3": 1,
	}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What SARIF's schema demands and readers stumble over.
func TestSARIFResultsNameRulesThatAreThere(t *testing.T) {
	t.Parallel()
	for _, d := range []*findings.Document{verifyDocument(), testDocument(), {Schema: findings.VerifySchema, Generator: "x"}} {
		var out bytes.Buffer
		if err := findings.Write(&out, "sarif", d); err != nil {
			t.Fatal(err)
		}
		var log struct {
			Version string
			Runs    []struct {
				Tool struct {
					Driver struct{ Rules []struct{ ID string } }
				}
				Results []struct {
					RuleID    string
					RuleIndex int
					Message   struct{ Text string }
				}
			}
		}
		if err := json.Unmarshal(out.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		run := log.Runs[0]
		if log.Version != "2.1.0" || run.Results == nil || run.Tool.Driver.Rules == nil {
			t.Errorf("version %s, results %v, rules %v", log.Version, run.Results, run.Tool.Driver.Rules)
		}
		for _, r := range run.Results {
			if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.Message.Text == "" {
				t.Errorf("result %+v, rules %v", r, run.Tool.Driver.Rules)
			}
		}
	}
	err := findings.SARIF(io.Discard, findings.Log{Results: []findings.Result{{Rule: "X"}}})
	if err == nil || !strings.Contains(err.Error(), `"X"`) {
		t.Errorf("a result without its rule: error = %v", err)
	}
}

func TestAnOutageIsWorseThanARefusal(t *testing.T) {
	t.Parallel()
	finding := func(decision string, class verify.Class, expectedGot ...string) findings.Finding {
		f := findings.Finding{Decision: decision, Class: class}
		if len(expectedGot) == 2 {
			f.Expected, f.Got = expectedGot[0], expectedGot[1]
		}
		return f
	}
	for name, tc := range map[string]struct {
		finding findings.Finding
		want    findings.Outcome
	}{
		"verified":                     {finding("", verify.ClassVerified), findings.Passed},
		"rejected":                     {finding("", verify.ClassRejected), findings.Failed},
		"unavailable":                  {finding("", verify.ClassUnavailable), findings.Unknown},
		"misconfigured":                {finding("", verify.ClassMisconfigured), findings.Unknown},
		"no class at all":              {finding("", ""), findings.Failed},
		"admitted":                     {finding("admitted", ""), findings.Passed},
		"denied":                       {finding("denied", verify.ClassRejected), findings.Failed},
		"denied by a foreign template": {finding("denied", ""), findings.Failed},
		"warned":                       {finding("warned", verify.ClassRejected), findings.Warned},
		"denied for an outage":         {finding("denied", verify.ClassUnavailable), findings.Unknown},
		"admitted in spite of one":     {finding("admitted", verify.ClassUnavailable), findings.Unknown},
		"an outage that is expected":   {finding("denied", verify.ClassUnavailable, "UNAVAILABLE", "UNAVAILABLE"), findings.Passed},
		"another than expected":        {finding("admitted", "", "NOT_SIGNED", "admitted"), findings.Failed},
	} {
		if got := tc.finding.Outcome(); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	d := findings.Document{Complete: true, Findings: []findings.Finding{finding("", verify.ClassUnavailable), finding("", verify.ClassRejected)}}
	if got := d.Outcome(); got != findings.Unknown {
		t.Errorf("a document with both: %d, want %d", got, findings.Unknown)
	}
	if got := (&findings.Document{}).Outcome(); got != findings.Unknown {
		t.Errorf("a document that is not complete: %d, want %d", got, findings.Unknown)
	}
}
