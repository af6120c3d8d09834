// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package printable makes text of others fit for a log or a message: short, on
// one line, and nothing that drives a terminal.
package printable

import (
	"strconv"
	"strings"
)

// Cut gives at most limit bytes of s, with a ? for every character that is not
// printable ASCII.
func Cut(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), limit)]
}

// Count says how many: 1 image, 2 images.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
