// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"strings"
)

// anything is a line that stands for any lines, and in a line for any text.
const anything = "…"

// fits says whether got is what a document shows, blanks at the ends of lines
// and of all of it apart.
func fits(shown []string, got string) bool {
	pattern := `(?s)\A\s*`
	for _, line := range shown {
		line = strings.TrimRight(line, " \t")
		if strings.TrimSpace(line) == anything {
			pattern += `(?:[^\n]*\n)*?`
			continue
		}
		parts := strings.Split(line, anything)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern += strings.Join(parts, `[^\n]*`) + `[ \t]*\n`
	}
	return regexp.MustCompile(pattern + `\s*\z`).MatchString(strings.TrimSpace(got) + "\n")
}
