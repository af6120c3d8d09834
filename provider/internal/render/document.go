// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// grid is a table of a report, nothing in it escaped yet.
type grid struct {
	title string
	note  string // below it; empty for none
	head  []string
	rows  [][]string
}

// document is what a report says to people who read text: terminals and
// Markdown show the same.
type document struct {
	sentences []string
	notices   []report.Notice
	grids     []grid
}

func describe(r *report.Report, wide bool, limit int) document {
	totals := r.Totals()
	d := document{notices: r.Notices}
	if !r.Complete {
		d.sentences = append(d.sentences, incomplete)
	}
	d.sentences = append(d.sentences, headline(r))
	if s := breakdown(totals); s != "" {
		d.sentences = append(d.sentences, "Verdicts: "+s+".")
	}
	if s := openQuestion(totals); s != "" {
		d.sentences = append(d.sentences, s)
	}
	d.sentences = append(d.sentences, about(r))
	if r.Readiness != nil {
		d.grids = append(d.grids, readinessGrid(r.Readiness), blockerGrid(r.Readiness))
	}
	if r.Changes != nil {
		d.grids = append(d.grids, changesGrid(r.Changes))
	}
	d.grids = append(d.grids, imagesGrid(r.Images, wide, limit), namespacesGrid(r.Namespaces), constraintsGrid(r.Constraints))
	if len(r.History) > 0 {
		d.grids = append(d.grids, historyGrid(r.History))
	}
	if len(r.Judged)+len(r.NotJudged) > 0 {
		d.grids = append(d.grids, kindsGrid(r))
	}
	d.grids = slices.DeleteFunc(d.grids, func(g grid) bool { return len(g.rows) == 0 })
	if wide {
		d.shorten(250)
	} else {
		d.shorten(100)
	}
	return d
}

// shorten keeps one long name from making a column too wide to read.
func (d document) shorten(limit int) {
	for _, g := range d.grids {
		for _, row := range g.rows {
			for i := range row {
				row[i] = printable.Shorten(row[i], limit)
			}
		}
	}
}

func imagesGrid(images []report.Image, wide bool, limit int) grid {
	g := grid{title: "Images", head: []string{"IMAGE", "VERDICT", "NEXT ROLLOUT", "NAMESPACES", "WORKLOADS", "PODS"}}
	if wide {
		g.head = append(g.head, "SIGNER", "SIGNED", "OWNER", "CONSTRAINTS", "RUNNING", "FIRST SEEN", "SOURCES")
	}
	g.head = append(g.head, "REASON")
	if limit > 0 && len(images) > limit {
		g.note = fmt.Sprintf("%s more, none of them worse, are left out.", printable.Count(len(images)-limit, "image"))
		images = images[:limit]
	}
	for _, i := range images {
		g.rows = append(g.rows, imageRow(i, wide))
	}
	return g
}

func imageRow(i report.Image, wide bool) []string {
	image, reason := printable.ShortImage(i.Image), i.Reason
	if wide {
		image = i.Image
	} else {
		reason, _, _ = strings.Cut(reason, "; ") // what to do about it is in wide
	}
	if len(i.Running) > 0 && !wide {
		reason = strings.TrimPrefix(reason+"; another digest runs", "; ")
	}
	used := workloads(i)
	row := []string{image, verdict(i), string(i.NextRollout), some(namespaces(i), 3), strconv.Itoa(len(used)), strconv.Itoa(i.Pods)}
	if wide {
		row[3], row[4] = some(namespaces(i), 10), some(used, 10)
		row = append(row, signer(i), atOrNever(i.SignedAt), some(owners(i), 5), some(constraints(i), 5), some(running(i), 5),
			atOrNever(i.FirstSeen), sources(i.Sources))
	}
	return append(row, reason)
}

func namespacesGrid(list []report.Namespace) grid {
	g := grid{title: "Namespaces", head: []string{"NAMESPACE", "REJECTED", "MISCONFIGURED", "UNAVAILABLE", "UNCHECKED", "VERIFIED"}}
	for _, n := range list {
		g.rows = append(g.rows, []string{n.Name, strconv.Itoa(n.Rejected), strconv.Itoa(n.Misconfigured), strconv.Itoa(n.Unavailable),
			strconv.Itoa(n.Unchecked), strconv.Itoa(n.Verified)})
	}
	return g
}

func constraintsGrid(list []report.Constraint) grid {
	g := grid{title: "Constraints", head: []string{
		"CONSTRAINT", "ACTION", "FAILS ON", "MATCHED", "VIOLATIONS", "AUDIT COUNTED", "AUDIT LISTED", "AUDITED AT",
	}}
	for _, c := range list {
		counted, listed := strconv.Itoa(c.AuditViolations), strconv.Itoa(c.AuditListed)
		if c.AuditedAt == nil {
			counted, listed = "-", "-"
		}
		g.rows = append(g.rows, []string{c.String(), c.EnforcementAction, strings.Join(c.FailOn, ", "), known(c.Matched), known(c.Violations),
			counted, listed, atOrNever(c.AuditedAt)})
	}
	return g
}

func readinessGrid(r *report.Readiness) grid {
	g := grid{
		title: "Ready to deny: " + yesNo(r.Ready),
		head:  []string{"NAMESPACE", "READY", "WORKLOADS", "WOULD FAIL", "UNKNOWN", "WHICH"},
	}
	for _, n := range r.Namespaces {
		which := some(n.Failing, 5)
		if len(n.Unknown) > 0 {
			which = strings.TrimPrefix(which+"; unknown: "+some(n.Unknown, 5), "; ")
		}
		g.rows = append(g.rows, []string{n.Name, yesNo(n.Ready), strconv.Itoa(n.Workloads), strconv.Itoa(len(n.Failing)),
			strconv.Itoa(len(n.Unknown)), which})
	}
	return g
}

func blockerGrid(r *report.Readiness) grid {
	g := grid{title: "Images that would stop workloads", head: []string{"IMAGE", "VERDICT", "WORKLOADS"}}
	for _, b := range r.Blockers {
		g.rows = append(g.rows, []string{printable.ShortImage(b.Image), b.Code, strconv.Itoa(b.Workloads)})
	}
	return g
}

// change is one kind of change, in the order of how urgent it is.
type change struct {
	what   string
	images []report.ImageChange
}

func changesOf(c *report.Changes) []change {
	return []change{
		{"revoked", c.NewlyRevoked}, {"refused", c.NewlyRefused}, {"signed", c.NewlySigned}, {"new", c.New}, {"gone", c.Gone},
	}
}

func changesGrid(c *report.Changes) grid {
	g := grid{title: "Changes since " + at(c.Since), head: []string{"CHANGE", "IMAGE", "BEFORE", "NOW"}}
	for _, kind := range changesOf(c) {
		for _, i := range kind.images {
			g.rows = append(g.rows, []string{kind.what, printable.ShortImage(i.Image), i.Before, i.Now})
		}
	}
	if len(g.rows) == 0 {
		g.rows = [][]string{{"none"}}
	}
	return g
}

func historyGrid(points []report.Point) grid {
	g := grid{title: "Earlier reports", head: []string{"AT", "IMAGES", "REJECTED", "MISCONFIGURED", "UNAVAILABLE", "UNCHECKED", "VERIFIED"}}
	for _, p := range points {
		row := []string{at(p.At), strconv.Itoa(p.Totals.Images)}
		for _, class := range classes {
			row = append(row, strconv.Itoa(ofClass(p.Totals, class)))
		}
		g.rows = append(g.rows, row)
	}
	return g
}

func kindsGrid(r *report.Report) grid {
	g := grid{title: "Objects", head: []string{"KIND", "COUNT", "LOOKED AT"}}
	add := func(kinds []report.KindCount, looked string) {
		for _, k := range slices.SortedStableFunc(slices.Values(kinds), func(a, b report.KindCount) int { return cmp.Compare(a.Kind, b.Kind) }) {
			g.rows = append(g.rows, []string{k.Kind, strconv.Itoa(k.Count), looked})
		}
	}
	add(r.Judged, "yes")
	add(r.NotJudged, "no, it runs no images that anybody knows of")
	return g
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
