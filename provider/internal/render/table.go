// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

func writeTable(w io.Writer, r *report.Report, opts Options) error {
	return writeText(w, describe(r, false, opts.Limit))
}

func writeWide(w io.Writer, r *report.Report, opts Options) error {
	return writeText(w, describe(r, true, opts.Limit))
}

// writeText is for terminals: nothing in it moves the cursor or begins a line
// of its own.
func writeText(w io.Writer, d document) error {
	var text bytes.Buffer
	for _, s := range d.sentences {
		fmt.Fprintln(&text, s)
	}
	for _, n := range d.notices {
		fmt.Fprintf(&text, "%s: %s\n", n.Level, printable.Visible(n.Text))
	}
	for _, g := range d.grids {
		fmt.Fprintf(&text, "\n%s\n\n", strings.ToUpper(g.title))
		columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(columns, strings.Join(g.head, "\t"))
		for _, row := range g.rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = printable.Visible(cell)
			}
			fmt.Fprintln(columns, strings.Join(cells, "\t"))
		}
		if err := columns.Flush(); err != nil {
			return err
		}
		if g.note != "" {
			fmt.Fprintln(&text, g.note)
		}
	}
	_, err := w.Write(text.Bytes())
	return err
}
