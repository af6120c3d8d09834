// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

var (
	//go:embed html/page.html
	pageText string
	//go:embed html/style.css
	style string
	//go:embed html/script.js
	script string

	pageTemplate = template.Must(template.New("page").Parse(pageText))

	// policy lets the page run its own style and script, known by their hashes,
	// and load nothing from anywhere.
	policy = fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'", hash(script), hash(style))
)

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// The page shows so much without being asked to: of namespaces, of lists, and
// of images where scripts do not run. Its table shows all.
const (
	maxBars     = 14
	maxListed   = 12
	maxFallback = 200
)

// page is what the template shows. Text of others in it is visible already, and
// the template escapes it as HTML.
type page struct {
	Policy string
	Style  template.CSS
	Script template.JS

	Headline, Lead, Incomplete string
	Cluster, Generator, Kinds  string
	At, Stamp                  string

	Breakdown      string
	Stack          []bar
	Counts         []classCount
	Namespaces     []namespaceBar
	MoreNamespaces string
	History        *history

	Notices     []report.Notice
	Readiness   *readiness
	Changes     *changes
	Constraints *shownGrid

	FallbackNote string
	Fallback     []fallback

	Data data
}

// writeHTML writes one file that needs nothing else: no network, no other file.
func writeHTML(w io.Writer, r *report.Report, _ Options) error {
	totals := r.Totals()
	p := page{
		Policy: policy,
		Style:  template.CSS(style), //nolint:gosec // ours, and embedded
		Script: template.JS(script), //nolint:gosec // ours, and embedded

		Headline: headline(r), Lead: openQuestion(totals), Kinds: kinds(r),
		Generator: "Made by " + printable.Visible(r.Generator), At: at(r.GeneratedAt), Stamp: r.GeneratedAt.UTC().Format(time.RFC3339),

		Breakdown: breakdown(totals), Stack: stack(totals, 1000, 10), Counts: classCounts(totals),
		History: newHistory(r), Readiness: newReadiness(r.Readiness), Changes: newChanges(r.Changes), Constraints: newConstraints(r.Constraints),
		Data: newData(r.Images),
	}
	if r.Cluster != "" {
		p.Cluster = printable.Visible(r.Cluster)
	}
	if !r.Complete {
		p.Incomplete = incomplete
	}
	p.Namespaces, p.MoreNamespaces = namespaceBars(r.Namespaces)
	for _, n := range r.Notices {
		p.Notices = append(p.Notices, report.Notice{Level: n.Level, Text: printable.Visible(n.Text)})
	}
	p.Fallback, p.FallbackNote = newFallback(r.Images)
	return pageTemplate.Execute(w, p)
}

// kinds says in a line what was looked at.
func kinds(r *report.Report) string {
	judged, others := 0, 0
	for _, k := range r.Judged {
		judged += k.Count
	}
	for _, k := range r.NotJudged {
		others += k.Count
	}
	switch {
	case judged+others == 0:
		return ""
	case others == 0:
		return printable.Count(judged, "object") + " looked at"
	default:
		return fmt.Sprintf("%s looked at, %d that run no images", printable.Count(judged, "object"), others)
	}
}

// shownGrid is a grid whose cells are visible and whose heads are not shouted.
type shownGrid struct {
	Head []string
	Rows [][]string
}

func newGrid(g grid) *shownGrid {
	if len(g.rows) == 0 {
		return nil
	}
	shown := shownGrid{Head: titles(g.head)}
	for _, row := range g.rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = printable.Visible(c)
		}
		shown.Rows = append(shown.Rows, cells)
	}
	return &shown
}

func newConstraints(list []report.Constraint) *shownGrid { return newGrid(constraintsGrid(list)) }

// readiness as the page shows it.
type readiness struct {
	Ready          bool
	Namespaces     []readyNamespace
	Blockers       []blocker
	MoreNamespaces string
	MoreBlockers   string
}

type readyNamespace struct {
	Name, Class, Text string
	Failing, Unknown  string
}

type blocker struct{ Image, Short, Code, Workloads string }

func newReadiness(r *report.Readiness) *readiness {
	if r == nil {
		return nil
	}
	shown := readiness{Ready: r.Ready}
	for _, n := range first(r.Namespaces, maxListed) {
		one := readyNamespace{Name: printable.Visible(n.Name), Class: string(verify.ClassVerified), Text: "ready"}
		switch {
		case n.Ready:
		case len(n.Failing) > 0:
			one.Class, one.Text = string(verify.ClassRejected), fmt.Sprintf("%d of %s would fail", len(n.Failing), printable.Count(n.Workloads, "workload"))
		default:
			one.Class, one.Text = string(verify.ClassUnavailable), "not known"
		}
		if len(n.Failing) > 0 {
			one.Failing = printable.Visible(some(n.Failing, 6))
		}
		if len(n.Unknown) > 0 {
			one.Unknown = printable.Visible(some(n.Unknown, 6))
		}
		shown.Namespaces = append(shown.Namespaces, one)
	}
	for _, b := range first(r.Blockers, maxListed) {
		shown.Blockers = append(shown.Blockers, blocker{
			Image: printable.Visible(b.Image), Short: visibleImage(b.Image), Code: printable.Visible(b.Code), Workloads: printable.Count(b.Workloads, "workload"),
		})
	}
	shown.MoreNamespaces = more(len(r.Namespaces), maxListed, "namespace")
	shown.MoreBlockers = more(len(r.Blockers), maxListed, "image")
	return &shown
}

// changes as the page shows them.
type changes struct {
	Since string
	Kinds []changeKind
}

type changeKind struct {
	Title, Class, More string
	Images             []changedImage
}

type changedImage struct{ Image, Short, Before, Now string }

func newChanges(c *report.Changes) *changes {
	if c == nil {
		return nil
	}
	shown := changes{Since: at(c.Since)}
	class := map[string]verify.Class{"revoked": verify.ClassRejected, "refused": verify.ClassRejected, "signed": verify.ClassVerified}
	title := map[string]string{"revoked": "Newly revoked", "refused": "Newly refused", "signed": "Newly signed", "new": "New images", "gone": "No longer here"}
	for _, kind := range changesOf(c) {
		if len(kind.images) == 0 {
			continue
		}
		k := changeKind{Title: title[kind.what], Class: string(class[kind.what]), More: more(len(kind.images), maxListed, "image")}
		for _, i := range first(kind.images, maxListed) {
			one := changedImage{Image: printable.Visible(i.Image), Short: visibleImage(i.Image)}
			if i.Before != "" {
				one.Before = printable.Visible(i.Before)
			}
			if i.Now != "" {
				one.Now = printable.Visible(i.Now)
			}
			k.Images = append(k.Images, one)
		}
		shown.Kinds = append(shown.Kinds, k)
	}
	return &shown
}

func visibleImage(image string) string { return printable.Visible(printable.ShortImage(image)) }

func first[T any](list []T, limit int) []T { return list[:min(len(list), limit)] }

// more says how many of n were left out by a limit; empty for none.
func more(n, limit int, noun string) string {
	if n <= limit {
		return ""
	}
	return "and " + strings.Replace(printable.Count(n-limit, noun), " ", " more ", 1)
}
