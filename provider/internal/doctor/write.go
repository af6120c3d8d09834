// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

// Style says how a report is written for a person.
type Style struct {
	Width int  // of a line; at least 40 are used
	Color bool // by the escape sequences of terminals
}

// maxText bounds what others wrote, in a finding.
const maxText = 400

// visible makes text of others fit for a terminal and for one line.
func visible(s string) string { return printable.Cut(s, maxText) }

// sections are the severities as a person reads them: heading and color.
var sections = []struct {
	severity       Severity
	heading, color string
}{
	{Error, "ERRORS", "31"},
	{Unknown, "COULD NOT BE CHECKED", "35"},
	{Warning, "WARNINGS", "33"},
	{Skipped, "SKIPPED", "36"},
	{Info, "TO KNOW", "34"},
	{OK, "IN ORDER", "32"},
}

// Write writes the report for a person: what is wrong first, then what is not.
func (r Report) Write(w io.Writer, style Style) error {
	p := printer{w: w, width: max(style.Width, 40), color: style.Color}
	p.line("", "", "Cluster     "+visible(r.Cluster))
	if r.Gatekeeper != "" {
		p.line("", "", "Gatekeeper  "+visible(r.Gatekeeper))
	}
	if r.Provider != "" {
		p.line("", "", "Provider    "+visible(r.Provider))
	}
	for _, section := range sections {
		p.section(section.severity, section.heading, section.color, r.Findings)
	}
	p.line("", "", "")
	p.line("", "", r.verdict())
	return p.err
}

// verdict is the last line.
func (r Report) verdict() string {
	var parts []string
	count := func(severity Severity, one, many string) {
		switch n := r.Summary[severity]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	count(Error, "error", "errors")
	count(Warning, "warning", "warnings")
	count(Unknown, "check that could not be made", "checks that could not be made")
	count(Skipped, "check skipped", "checks skipped")
	count(OK, "in order", "in order")
	text := strings.Join(parts, ", ") + "."
	if r.Interrupted {
		text = "INTERRUPTED: not everything was checked. " + text
	}
	return text
}

type printer struct {
	w     io.Writer
	width int
	color bool
	err   error
}

func (p *printer) section(severity Severity, heading, color string, findings []Finding) {
	area := ""
	said := map[Finding]bool{}
	for _, f := range findings {
		if f.Severity != severity {
			continue
		}
		if severity != OK {
			// What one obstacle keeps several checks of an area from is said once.
			same := f
			if f.Check = alike(f, findings); f.Check != same.Check {
				if said[f] {
					continue
				}
				said[f] = true
			}
		}
		if area == "" {
			p.line("", "", "")
			p.write(p.paint("1;"+color, heading))
		}
		if f.Area != area {
			area = f.Area
			p.line("  ", "  ", area)
		}
		if severity == OK || f.Fix == "" && f.Object == "" {
			p.row(f)
			continue
		}
		p.head(f, color)
		p.line("      ", "      ", f.Found)
		if f.Fix != "" {
			p.line("      -> ", "         ", f.Fix)
		}
	}
}

// alike are the ids of all findings that say the same of the same area.
func alike(f Finding, findings []Finding) string {
	var ids []string
	for _, other := range findings {
		if id := other.Check; !slices.Contains(ids, id) {
			if other.Check = f.Check; other == f {
				ids = append(ids, id)
			}
		}
	}
	return strings.Join(ids, ", ")
}

// head is the id and, in the same line if both fit, the object.
func (p *printer) head(f Finding, color string) {
	const indent = "    "
	if len(indent)+len(f.Check) > p.width {
		p.line(indent, indent, f.Check)
		return
	}
	id := p.paint(color, f.Check)
	if f.Object != "" && len(indent)+len(f.Check)+2+len(f.Object) <= p.width {
		p.write(indent + id + "  " + f.Object)
		return
	}
	p.write(indent + id)
	if f.Object != "" {
		p.line("      ", "      ", f.Object)
	}
}

// idWidth is room for the longest id.
const idWidth = 30

// row is one line for what nobody has to act on.
func (p *printer) row(f Finding) {
	if len(f.Check) >= idWidth {
		p.head(f, "")
		p.line("      ", "      ", f.Found)
		return
	}
	p.line(fmt.Sprintf("    %-*s", idWidth, f.Check), strings.Repeat(" ", 4+idWidth), f.Found)
}

func (p *printer) paint(color, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (p *printer) write(line string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, line)
	}
}

// line writes text, broken between words so that it fits the width.
func (p *printer) line(first, others, text string) {
	prefix, room := first, 0
	var line strings.Builder
	flush := func() {
		p.write(strings.TrimRight(prefix+line.String(), " "))
		line.Reset()
		prefix, room = others, 0
	}
	for _, word := range strings.SplitAfter(text, " ") {
		if len(prefix)+room+len(strings.TrimRight(word, " ")) > p.width && room > 0 {
			flush()
		}
		line.WriteString(word)
		room += len(word)
	}
	flush()
}
