// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// writeMarkdown is for comments and summaries of CI: what the table says, in
// GitHub's Markdown.
func writeMarkdown(w io.Writer, r *report.Report, opts Options) error {
	var text bytes.Buffer
	d := describe(r, false, opts.Limit)
	if !r.Complete {
		fmt.Fprintf(&text, "> **%s**\n\n", markdown(d.sentences[0]))
		d.sentences = d.sentences[1:]
	}
	fmt.Fprintf(&text, "# %s\n\n", markdown(d.sentences[0]))
	for _, s := range d.sentences[1:] {
		fmt.Fprintf(&text, "%s\n\n", markdown(s))
	}
	for _, n := range d.notices {
		fmt.Fprintf(&text, "- **%s:** %s\n", n.Level, markdown(printable.Visible(n.Text)))
	}
	for _, g := range d.grids {
		fmt.Fprintf(&text, "\n## %s\n\n", markdown(g.title))
		writeRow(&text, titles(g.head))
		writeRow(&text, slices.Repeat([]string{":--"}, len(g.head)))
		for _, row := range g.rows {
			cells := make([]string, len(g.head))
			copy(cells, row)
			for i, c := range cells {
				cells[i] = markdownCell(g.head[i], c)
			}
			writeRow(&text, cells)
		}
		if g.note != "" {
			fmt.Fprintf(&text, "\n%s\n", markdown(g.note))
		}
	}
	_, err := w.Write(text.Bytes())
	return err
}

func writeRow(w io.Writer, cells []string) {
	fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |")
}

// titles are not shouted where a table has a line below them.
func titles(head []string) []string {
	shown := make([]string, len(head))
	for i, h := range head {
		shown[i] = h[:1] + strings.ToLower(h[1:])
	}
	return shown
}

var (
	// markup is every character that means something in the middle of a line;
	// leading is what means something at its start only.
	markup  = regexp.MustCompile("[\\\\`*_\\[\\]|~$<]")
	leading = regexp.MustCompile(`^(?:[-+=#>]|\d+[.)])`)

	// links are what becomes a link or a mention of somebody without markup, cut
	// where that is prevented.
	links = regexp.MustCompile(`(?i)(https?:|ftp:|mailto:|xmpp:|www|@|#|GH-)`)
)

// markdown makes text of it that shows as it is: no markup, no HTML, no link
// and nobody mentioned. An empty comment is how GitHub, which looks for
// mentions after it has read markup and escapes, is kept from finding one.
func markdown(s string) string {
	s = strings.ReplaceAll(s, "&", "&amp;")
	s = markup.ReplaceAllString(s, `\$0`)
	if i := leading.FindStringIndex(s); i != nil {
		s = s[:i[1]-1] + `\` + s[i[1]-1:]
	}
	return links.ReplaceAllString(s, "$1<!-- -->")
}

// nameColumns are the columns of names that others gave. As code they are easier to
// tell from words, and are not looked through for mentions.
var nameColumns = map[string]bool{"IMAGE": true, "NAMESPACE": true, "NAMESPACES": true, "CONSTRAINT": true, "WHICH": true, "KIND": true}

func markdownCell(column, s string) string {
	shown := markdown(printable.Visible(s))
	if nameColumns[column] && s != "" {
		return "<code>" + shown + "</code>"
	}
	return shown
}
