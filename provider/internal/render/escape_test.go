// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	gmhtml "github.com/yuin/goldmark/renderer/html"
	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// anyName draws a name that somebody could give to something, often one that
// means something in one of the formats.
func anyName() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.SampledFrom(hostileNames),
		rapid.StringOf(rapid.RuneFrom([]rune("|`*_[]()<>#~$&=+-@!\\\"':;.,/ \t\r\n\x1b1a\u202e\u2028é"))),
		rapid.String(),
		rapid.SampledFrom([]string{"https://evil.example", "www.evil.example", "a@evil.example", "@team", "#1", "1. ", "- ", "# ", "> ", "```", "---", "<b>", "&lt;"}),
	)
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 1, 3).Draw(t, "pieces"), "") })
}

// named is a report with one name wherever somebody can choose one.
func named(name string) *report.Report {
	r := sample()
	i := judged(3, "x", "BAD_REFERENCE", report.Denied, place(name, name, name, 1, name))
	i.Image, i.Digest, i.Reason = name, name, name
	i.Refusals[0].Constraint, i.Refusals[0].Message = name, name
	i.Running = []report.RunningDigest{{Digest: name, Pods: 1}}
	r.Images = []report.Image{i}
	r.Constraints = []report.Constraint{{Kind: name, Name: name, EnforcementAction: name}}
	r.Namespaces = []report.Namespace{{Name: name}}
	r.Notices = []report.Notice{{Level: report.LevelInfo, Text: name}}
	r.NotJudged = []report.KindCount{{Kind: name, Count: 1}}
	r.Readiness = &report.Readiness{Namespaces: []report.NamespaceReady{{Name: name, Failing: []string{name}}}}
	r.Cluster, r.Generator = name, name
	return r
}

func TestNoNameForgesALineOrDrivesATerminal(t *testing.T) {
	t.Parallel()
	plain := map[string]int{}
	for _, format := range []string{"table", "wide", "markdown"} {
		plain[format] = strings.Count(rendered(t, format, named("plain"), Options{}), "\n")
	}
	rapid.Check(t, func(rt *rapid.T) {
		name := anyName().Draw(rt, "name")
		for format, lines := range plain {
			got := rendered(t, format, named(name), Options{})
			if n := strings.Count(got, "\n"); n != lines {
				rt.Fatalf("%s has %d lines, with a plain name %d:\n%s", format, n, lines, got)
			}
			for _, r := range got {
				if r != '\n' && !unicode.IsGraphic(r) {
					rt.Fatalf("%s holds %q:\n%q", format, r, got)
				}
			}
		}
	})
}

func TestACSVHoldsNoFormulaAndOneRowForEachImage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rows, err := csv.NewReader(strings.NewReader(rendered(t, "csv", named(anyName().Draw(rt, "name")), Options{}))).ReadAll()
		if err != nil || len(rows) != 2 {
			rt.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, cell := range rows[1] {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				rt.Fatalf("the cell %q is a formula", cell)
			}
			if strings.ContainsFunc(cell, unicode.IsControl) {
				rt.Fatalf("the cell %q holds control characters", cell)
			}
		}
	})
}

func TestFormulasArePrefixed(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "acme/api": "acme/api", "a=1": "a=1",
		"=1": "'=1", "+1": "'+1", "-1": "'-1", "@A": "'@A", "\tx": `'\tx`, "\rx": `'\rx`,
	} {
		if got := csvCell(in); got != want {
			t.Errorf("csvCell(%q) = %q, want %q", in, got, want)
		}
	}
}

// markdownEscapes is how goldmark shows text that means nothing.
var markdownEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func TestNothingInMarkdownMeansAnything(t *testing.T) {
	t.Parallel()
	reader := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote), goldmark.WithRendererOptions(gmhtml.WithUnsafe()))
	rapid.Check(t, func(rt *rapid.T) {
		name := strings.TrimSpace(printable.Visible(anyName().Draw(rt, "name")))
		if name == "" {
			return
		}
		var shown bytes.Buffer
		if err := reader.Convert([]byte(markdown(name)), &shown); err != nil {
			rt.Fatal(err)
		}
		got := strings.ReplaceAll(shown.String(), "<!-- -->", "")
		if want := "<p>" + markdownEscapes.Replace(name) + "</p>\n"; got != want {
			rt.Fatalf("%q\nis written %q\nand shown  %q,\nwant       %q", name, markdown(name), got, want)
		}
	})
}

func TestANameStaysInItsCellOfMarkdown(t *testing.T) {
	t.Parallel()
	reader := goldmark.New(goldmark.WithExtensions(extension.GFM))
	rapid.Check(t, func(rt *rapid.T) {
		var shown bytes.Buffer
		if err := reader.Convert([]byte(rendered(t, "markdown", named(anyName().Draw(rt, "name")), Options{})), &shown); err != nil {
			rt.Fatal(err)
		}
		// Beside the kind, which is a name, stand its count and this.
		if want := "<td style=\"text-align:left\">no, it runs no images that anybody knows of</td>"; !strings.Contains(shown.String(), want) {
			rt.Fatalf("a name left its cell:\n%s", shown.String())
		}
		if strings.Contains(shown.String(), "<a ") || strings.Contains(shown.String(), "<img") {
			rt.Fatalf("there are links:\n%s", shown.String())
		}
	})
}
