// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// writeSARIF has a result for each image in each workload that is not verified
// and that some constraint asks about.
func writeSARIF(w io.Writer, r *report.Report, _ Options) error {
	_, version, _ := strings.Cut(r.Generator, " ")
	log := findings.Log{Tool: program(r), Version: version, Notices: errorsOf(r), Complete: r.Complete}
	for _, i := range r.Images {
		if i.Class == verify.ClassVerified || i.Class == report.Unchecked {
			continue
		}
		if id := verdict(i); !slices.ContainsFunc(log.Rules, func(r findings.Rule) bool { return r.ID == id }) {
			log.Rules = append(log.Rules, findings.Rule{ID: id, Text: findings.Meaning(id)})
		}
		places := i.Places
		if len(places) == 0 {
			places = []report.Place{{Next: i.NextRollout}}
		}
		for _, p := range places {
			log.Results = append(log.Results, sarifResult(i, p))
		}
	}
	return findings.SARIF(w, log)
}

func sarifResult(i report.Image, p report.Place) findings.Result {
	where := i.Image
	if p.Name != "" {
		where = p.Workload() + "/" + p.List + "/" + p.Container
	}
	return findings.Result{
		Rule: verdict(i), Level: sarifLevel(i, cmp.Or(p.Next, i.NextRollout)), Text: i.Image + ": " + cmp.Or(i.Reason, verdict(i)),
		File: sarifFile(i, p), Line: 1, Logical: where, Fingerprint: i.Image + " " + where,
	}
}

// sarifFile stands for a workload, which is in no file: GitHub's code scanning
// takes no result without one.
func sarifFile(i report.Image, p report.Place) string {
	parts := []string{"images", strings.ReplaceAll(i.Image, "..", "%2E%2E")}
	if p.Name != "" {
		parts = []string{"cluster", p.Kind, p.Name}
		if p.Namespace != "" {
			parts = []string{"namespaces", p.Namespace, p.Kind, p.Name}
		}
	}
	return strings.Join(parts, "/")
}

// sarifLevel is as bad as what would become of the workload. What could not be
// judged is never only noted.
func sarifLevel(i report.Image, next report.Decision) findings.SARIFLevel {
	switch {
	case next == report.Denied:
		return findings.LevelError
	case i.Class == verify.ClassRejected && next != report.Warned:
		return findings.LevelNote
	default:
		return findings.LevelWarning
	}
}

// program is the name of what made the report, without its version.
func program(r *report.Report) string {
	name, _, _ := strings.Cut(r.Generator, " ")
	return cmp.Or(name, "kubectl-endor")
}
