// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// csvHead names the columns. New ones are added at the end: a spreadsheet knows
// columns by their place.
var csvHead = []string{
	"image", "digest", "class", "code", "reason", "next_rollout", "namespaces", "workloads", "pods", "owners", "constraints", "signer",
	"signer_issuer", "source_repository", "signed_at", "running", "first_seen", "sources", "report_complete",
}

// writeCSV has a row for each image and nothing else. There is no place in it
// to say at first that a report is not complete, so each row says it at last.
func writeCSV(w io.Writer, r *report.Report, _ Options) error {
	table := csv.NewWriter(w)
	if err := table.Write(csvHead); err != nil {
		return err
	}
	for _, i := range r.Images {
		row := []string{
			i.Image, i.Digest, string(i.Class), i.Code, i.Reason, string(i.NextRollout), strings.Join(namespaces(i), " "),
			strings.Join(workloads(i), " "), strconv.Itoa(i.Pods), strings.Join(owners(i), " "), strings.Join(constraints(i), ", "), signer(i),
			i.Signer.CertificateOIDCIssuer, i.Signer.SourceRepository, timestamp(i.SignedAt), strings.Join(running(i), ", "),
			timestamp(i.FirstSeen), sources(i.Sources), strconv.FormatBool(r.Complete),
		}
		for k := range row {
			row[k] = csvCell(row[k])
		}
		if err := table.Write(row); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}

// csvCell keeps a spreadsheet from taking a name for a formula, and whoever
// looks at the file in a terminal from being fooled.
func csvCell(s string) string {
	if s == "" {
		return ""
	}
	shown := printable.Visible(s)
	if strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + shown
	}
	return shown
}

func timestamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
