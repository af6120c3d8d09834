// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestJUnitKeepsVerdictsAndOutagesApart(t *testing.T) {
	t.Parallel()
	r := hostile()
	var read struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Errors   int    `xml:"errors,attr"`
			Skipped  int    `xml:"skipped,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(rendered(t, "junit", r, Options{})), &read); err != nil {
		t.Fatal(err)
	}
	totals := r.Totals()
	got := map[string][4]int{}
	for _, s := range read.Suites {
		got[s.Name] = [4]int{s.Tests, s.Failures, s.Errors, s.Skipped}
	}
	want := map[string][4]int{
		"report":    {1, 0, 1, 0},
		"images":    {totals.Images, totals.Rejected, totals.Unavailable + totals.Misconfigured, totals.Unchecked},
		"readiness": {5, 4, 0, 0},
	}
	if !maps.Equal(got, want) {
		t.Errorf("tests, failures, errors and skipped are %v, want %v", got, want)
	}
}

func TestSARIFNamesEveryWorkloadWithAProblem(t *testing.T) {
	t.Parallel()
	var read struct {
		Version string
		Runs    []struct {
			Invocations []struct {
				ExecutionSuccessful        bool
				ToolExecutionNotifications []struct{ Message struct{ Text string } }
			}
			Results []struct {
				RuleID, Level string
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
					LogicalLocations []struct{ FullyQualifiedName string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(rendered(t, "sarif", hostile(), Options{})), &read); err != nil {
		t.Fatal(err)
	}
	run := read.Runs[0]
	if read.Version != "2.1.0" || run.Invocations[0].ExecutionSuccessful || len(run.Invocations[0].ToolExecutionNotifications) != 1 {
		t.Errorf("version %s, %+v: a report that is not complete is not a success", read.Version, run.Invocations)
	}
	levels := map[string]string{}
	for _, result := range run.Results {
		// Without one GitHub's code scanning takes nothing of the file.
		at := result.Locations[0].PhysicalLocation
		if u, err := url.Parse(at.ArtifactLocation.URI); err != nil || u.IsAbs() || u.Path == "" || at.Region.StartLine != 1 || strings.Contains(u.Path, "/../") {
			t.Errorf("the physical location of %s is %+v: %v", result.Locations[0].LogicalLocations[0].FullyQualifiedName, at, err)
		}
		levels[result.Locations[0].LogicalLocations[0].FullyQualifiedName+" "+result.RuleID] = result.Level
	}
	for where, want := range map[string]string{
		"payments/Deployment/checkout/containers/checkout REVOKED":    "error",
		"payments/CronJob/reconcile/containers/reconcile REVOKED":     "error",
		"sandbox/StatefulSet/notebook/containers/notebook NOT_SIGNED": "warning",
		"search/Deployment/geoip/containers/geoip UNAVAILABLE":        "error",
		"payments/Deployment/fraud-rules/containers/api VERIFIED":     "",
		"kube-system/Deployment/coredns/containers/coredns unchecked": "",
	} {
		if levels[where] != want {
			t.Errorf("%s is at level %q, want %q", where, levels[where], want)
		}
	}
}

func TestWhatIsNotKnownIsNeverOnlyNoted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		class verify.Class
		next  report.Decision
		want  string
	}{
		{"rejected", report.Denied, "error"}, {"rejected", report.Warned, "warning"}, {"rejected", report.DryRun, "note"}, {"rejected", report.Admitted, "note"},
		{"unavailable", report.Denied, "error"}, {"unavailable", report.DryRun, "warning"}, {"misconfigured", report.Admitted, "warning"},
	} {
		if got := sarifLevel(report.Image{Class: tc.class}, tc.next); string(got) != tc.want {
			t.Errorf("%s and %s: %s, want %s", tc.class, tc.next, got, tc.want)
		}
	}
}
