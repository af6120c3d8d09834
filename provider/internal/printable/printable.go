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
// printable ASCII. It is a string of its own, which keeps nothing else of s alive.
func Cut(s string, limit int) string {
	var cut strings.Builder
	cut.Grow(min(len(s), limit))
	for _, r := range s {
		if cut.Len() == limit {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		cut.WriteByte(byte(r))
	}
	return cut.String()
}

// Count says how many: 1 image, 2 images.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
