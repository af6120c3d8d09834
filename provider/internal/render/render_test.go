// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

var update = flag.Bool("update", false, "write the golden files and the pictures of docs/")

// rendered is a report in a form.
func rendered(t *testing.T, format string, r *report.Report, opts Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Report(&b, format, r, opts); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	for _, format := range Formats() {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			// Style and script stand in html/, and their hashes in the policy.
			got := strings.NewReplacer(style, "", script, "").Replace(rendered(t, format, hostile(), Options{}))
			file := filepath.Join("testdata", "report."+format)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s differs (-want +got); go test -update writes it:\n%s", file, diff)
			}
		})
	}
}

func TestTheOrderOfWhatIsGivenDoesNotShow(t *testing.T) {
	t.Parallel()
	turned := hostile()
	slices.Reverse(turned.Images)
	slices.Reverse(turned.Namespaces)
	for i := range turned.Images {
		slices.Reverse(turned.Images[i].Places)
	}
	before := rendered(t, "json", turned, Options{})
	for _, format := range Formats() {
		if diff := cmp.Diff(rendered(t, format, hostile(), Options{}), rendered(t, format, turned, Options{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
	if turned.Images[len(turned.Images)-1].Code != "REVOKED" || rendered(t, "json", turned, Options{}) != before {
		t.Error("rendering changed the report that it was given")
	}
}

func TestAnUnknownFormatNamesThoseThatThereAre(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := Report(&b, "xml", sample(), Options{})
	if err == nil || !strings.Contains(err.Error(), `"xml"`) || !strings.Contains(err.Error(), strings.Join(Formats(), ", ")) {
		t.Errorf("got %v", err)
	}
	if b.Len() > 0 {
		t.Errorf("wrote %q", b.String())
	}
}

func TestAReportThatIsNotCompleteSaysSoFirst(t *testing.T) {
	t.Parallel()
	whole, part := sample(), sample()
	part.Complete = false
	for format, start := range map[string]string{"table": "", "wide": "", "markdown": "> **", "html": "<body>"} {
		if strings.Contains(rendered(t, format, whole, Options{}), "INCOMPLETE") {
			t.Errorf("%s calls a complete report incomplete", format)
		}
		_, text, _ := strings.Cut(rendered(t, format, part, Options{}), start)
		said, headline := strings.Index(text, "INCOMPLETE"), strings.Index(text, "images would be refused")
		if said < 0 || said > headline || format != "html" && said != 0 {
			t.Errorf("%s begins with %.80q", format, text)
		}
	}
}

func TestHeadline(t *testing.T) {
	t.Parallel()
	of := func(complete bool, decisions ...report.Decision) *report.Report {
		r := &report.Report{Complete: complete}
		for _, d := range decisions {
			r.Images = append(r.Images, report.Image{NextRollout: d})
		}
		return r
	}
	unknown := func(r *report.Report) *report.Report {
		for i := range r.Images {
			r.Images[i].Class = verify.ClassUnavailable
		}
		return r
	}
	for _, tc := range []struct {
		report *report.Report
		want   string
	}{
		{of(true), "There are no images."},
		{of(false), "No images could be read."},
		{of(true, report.Admitted), "None of 1 image would be refused at the next rollout."},
		{of(true, report.Warned, report.DryRun), "None of 2 images would be refused at the next rollout."},
		{of(false, report.Admitted, report.Admitted), "None of the 2 images that could be read would be refused at the next rollout."},
		{unknown(of(true, report.Admitted, report.DryRun)), "Of 2 images none is known to be refused at the next rollout, and 2 could not be judged."},
		{unknown(of(true, report.Denied, report.Admitted)), "At least 1 of 2 images would be refused at its next rollout."},
		{unknown(of(true, report.Denied)), "1 of 1 image would be refused at its next rollout."},
		{of(true, report.Denied), "1 of 1 image would be refused at its next rollout."},
		{of(true, report.Denied, report.Admitted), "1 of 2 images would be refused at its next rollout."},
		{of(true, report.Denied, report.Denied, ""), "2 of 3 images would be refused at their next rollout."},
		{of(false, report.Denied, report.Denied), "At least 2 of 2 images would be refused at their next rollout."},
	} {
		if got := headline(tc.report); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestALimitKeepsTheWorstAndCountsTheRest(t *testing.T) {
	t.Parallel()
	r := sample()
	got := rendered(t, "table", r, Options{Limit: 2})
	if !strings.Contains(got, "27 images more, none of them worse, are left out.") {
		t.Errorf("nothing is said of what is left out:\n%s", got)
	}
	_, images, _ := strings.Cut(got, "\nIMAGES\n")
	if strings.Contains(images, "VERIFIED  ") || strings.Count(images, "denied") != 2 {
		t.Errorf("not the two worst:\n%s", images)
	}
}
