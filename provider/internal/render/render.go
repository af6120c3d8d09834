// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package render writes a report in the forms in which people and programs read
// it.
//
// Names of images, objects and labels are text of whoever wrote a manifest, so
// each form escapes what could mean something in it: control characters, what
// turns the order of letters around, and its own syntax. Every form begins with
// the worst images, and gives the same bytes for the same report. What people
// read says first if a report is not complete.
package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// Options is what can be chosen about a form.
type Options struct {
	// Limit is how many images table, wide and markdown show at most, the worst;
	// what is left out is counted. 0 is for all.
	Limit int
}

// format is one form of a report.
type format struct {
	name  string
	write func(io.Writer, *report.Report, Options) error
}

// formats are in the order in which help names them.
var formats = []format{
	{"table", writeTable},
	{"wide", writeWide},
	{"json", func(w io.Writer, r *report.Report, _ Options) error { return findings.JSON(w, r) }},
	{"yaml", func(w io.Writer, r *report.Report, _ Options) error { return findings.YAML(w, r) }},
	{"csv", writeCSV},
	{"markdown", writeMarkdown},
	{"junit", writeJUnit},
	{"sarif", writeSARIF},
	{"html", writeHTML},
	{"policyreport", writePolicyReports},
}

// Formats are the names of all forms. The first is for terminals.
func Formats() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// Report writes r in the form of that name. It fails on a name that is not one
// of [Formats] before anything is written. r is left as it is.
func Report(w io.Writer, name string, r *report.Report, opts Options) error {
	i := slices.IndexFunc(formats, func(f format) bool { return f.name == name })
	if i < 0 {
		return fmt.Errorf("there is no format %q: choose one of %s", name, strings.Join(Formats(), ", "))
	}
	if err := formats[i].write(w, ordered(r), opts); err != nil {
		return fmt.Errorf("write the report as %s: %w", name, err)
	}
	return nil
}
