// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

// printFindings prints a table, and below it what each difference means.
func printFindings(w io.Writer, findings []finding) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RESULT\tASSUMPTION\tSOURCE\tEXPECTED\tSEEN")
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", f.outcome, f.assumption, f.source, f.expected, printable.Cut(f.seen, 200))
	}
	_ = table.Flush() // to a person, as fmt.Fprint is
	for _, f := range findings {
		if f.outcome == differs {
			fmt.Fprintf(w, "\n%s\n  %s\n", f.assumption, f.otherwise)
		}
	}
}

// summarize prints one line and gives the program's status.
func summarize(w io.Writer, findings []finding) int {
	count := func(o outcome) int {
		return len(slices.DeleteFunc(slices.Clone(findings), func(f finding) bool { return f.outcome != o }))
	}
	fmt.Fprintf(w, "\n%d hold, %d differ, %d could not be found out, %d are not testable here and not counted as passed\n",
		count(holds), count(differs), count(unknown), count(notTestable))
	switch {
	case count(differs) > 0:
		return statusDiffers
	case count(unknown) > 0:
		return statusUnknown
	default:
		return statusHolds
	}
}
