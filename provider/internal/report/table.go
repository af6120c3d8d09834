// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
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
				visible(r.Kind+"/"+r.Object), visible(container(r)), visible(short(r.Image)), r.Decision, visible(reason))
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

var digest = regexp.MustCompile(`@sha256:([0-9a-f]{8})[0-9a-f]{56}$`)

// short shows as much of a digest as tells it from others at a glance, and no
// more of a name than fits a table.
func short(image string) string {
	image = digest.ReplaceAllString(image, "@sha256:$1…")
	if len(image) <= 100 {
		return image
	}
	return image[:70] + "…" + image[len(image)-27:]
}

// visible escapes what could forge a line or drive a terminal: names and images
// are text of whoever wrote the manifest.
func visible(s string) string {
	if s == "" {
		return "-"
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
