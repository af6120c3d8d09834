// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// data is what the script of the page shows. All text in it is visible already;
// the script only ever makes text of it.
type data struct {
	Classes   []string  `json:"classes"`   // the worst first
	Decisions []string  `json:"decisions"` // the worst first
	Rows      []dataRow `json:"rows"`
}

// dataRow is an image with all that is known of it.
type dataRow struct {
	Image      string      `json:"image"`
	Class      string      `json:"class"`
	Verdict    string      `json:"verdict"`
	Next       string      `json:"next"`
	Reason     string      `json:"reason,omitempty"`
	Namespaces []string    `json:"namespaces"`
	Workloads  int         `json:"workloads"`
	Pods       int         `json:"pods"`
	Digest     string      `json:"digest,omitempty"`
	FirstSeen  string      `json:"firstSeen,omitempty"`
	SignedAt   string      `json:"signedAt,omitempty"`
	Signer     [][2]string `json:"signer,omitempty"`
	Sources    string      `json:"sources"`
	Running    []string    `json:"running,omitempty"`
	Refusals   [][3]string `json:"refusals,omitempty"` // constraint, action, message
	Places     []dataPlace `json:"places,omitempty"`
}

type dataPlace struct {
	Where     string   `json:"where"`
	Container string   `json:"container"`
	Pods      int      `json:"pods"`
	Next      string   `json:"next"`
	Owner     []string `json:"owner,omitempty"`
}

func newData(images []report.Image) data {
	d := data{Rows: make([]dataRow, len(images))}
	for _, c := range classes {
		d.Classes = append(d.Classes, string(c))
	}
	for _, next := range decisions {
		d.Decisions = append(d.Decisions, cmp.Or(string(next), "unknown"))
	}
	for k, i := range images {
		d.Rows[k] = newDataRow(i)
	}
	return d
}

func newDataRow(i report.Image) dataRow {
	row := dataRow{
		Image: printable.Visible(i.Image), Class: string(i.Class), Verdict: printable.Visible(verdict(i)), Next: cmp.Or(string(i.NextRollout), "unknown"),
		Namespaces: allVisible(namespaces(i)), Workloads: len(workloads(i)), Pods: i.Pods, Sources: sources(i.Sources), Running: allVisible(running(i)),
	}
	if !slices.Contains(classes, i.Class) {
		row.Class = string(classes[0])
	}
	if i.Reason != "" {
		row.Reason = printable.Visible(i.Reason)
	}
	if i.Digest != "" && !strings.HasSuffix(i.Image, i.Digest) {
		row.Digest = printable.Visible(i.Digest)
	}
	if i.FirstSeen != nil {
		row.FirstSeen = at(*i.FirstSeen)
	}
	if i.SignedAt != nil {
		row.SignedAt = at(*i.SignedAt)
	}
	for name, value := range i.Signer.All() {
		row.Signer = append(row.Signer, [2]string{strings.ReplaceAll(name, "_", " "), printable.Visible(value)})
	}
	for _, r := range i.Refusals {
		row.Refusals = append(row.Refusals, [3]string{
			printable.Visible(r.Constraint), printable.Visible(r.EnforcementAction), printable.Visible(cmp.Or(r.Message, r.Code)),
		})
	}
	for _, p := range i.Places {
		place := dataPlace{
			Where: printable.Visible(p.Workload()), Container: printable.Visible(p.Container), Pods: p.Pods, Next: string(p.Next),
			Owner: allVisible(owners(report.Image{Places: []report.Place{p}})),
		}
		if p.List != "" && p.List != "containers" {
			place.Container += " (" + printable.Visible(p.List) + ")"
		}
		row.Places = append(row.Places, place)
	}
	return row
}

func allVisible(list []string) []string {
	shown := make([]string, len(list))
	for i, s := range list {
		shown[i] = printable.Visible(s)
	}
	return shown
}

// fallback is a row for where scripts do not run.
type fallback struct {
	Image, Short, Reason, Class, Verdict, Next, Spaces string
	Pods                                               int
}

func newFallback(images []report.Image) (rows []fallback, note string) {
	note = "Search, sorting and details need a browser that runs the script in this file."
	if len(images) > maxFallback {
		note = fmt.Sprintf("The worst %d of %d. All of them, search, sorting and details need a browser that runs the script in this file.", maxFallback, len(images))
	}
	for _, i := range first(images, maxFallback) {
		row := newDataRow(i)
		rows = append(rows, fallback{
			Image: row.Image, Short: visibleImage(i.Image), Reason: row.Reason, Class: row.Class, Verdict: row.Verdict, Next: row.Next,
			Spaces: some(row.Namespaces, 5), Pods: row.Pods,
		})
	}
	return rows, note
}
