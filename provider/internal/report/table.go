// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

// WriteTable writes a row for each image.
func WriteTable(w io.Writer, outcomes []Outcome) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "OBJECT\tCONTAINER\tIMAGE\tDECISION\tREASON")
	for _, o := range outcomes {
		for _, r := range o.Rows {
			reason := r.Reason
			if !o.AsExpected() {
				reason = strings.TrimSpace("EXPECTED " + o.Expected + ". " + reason)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n",
				printable.Visible(r.Kind+"/"+r.Object), printable.Visible(container(r)), printable.Visible(printable.ShortImage(r.Image)), r.Decision, printable.Visible(reason))
		}
	}
	return tw.Flush()
}

func container(r Row) string {
	switch r.List {
	case "initContainers":
		return r.Container + " (init)"
	case "ephemeralContainers":
		return r.Container + " (ephemeral)"
	case "volumes":
		return r.Container + " (volume)"
	default:
		return r.Container
	}
}
