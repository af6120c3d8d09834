// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package printable

import (
	"regexp"
	"strconv"
	"strings"
)

// Visible escapes what could forge a line, drive a terminal or turn the order
// of letters around, and leaves letters of every script as they are. A dash
// stands for nothing.
func Visible(s string) string {
	if s == "" {
		return "-"
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

var digest = regexp.MustCompile(`@sha256:([0-9a-f]{8})[0-9a-f]{56}$`)

// ShortImage shows as much of an image's digest as tells it from others at a
// glance, and no more of its name than fits a table.
func ShortImage(image string) string {
	image = digest.ReplaceAllString(image, "@sha256:$1…")
	return Shorten(image, 100)
}

// Shorten leaves out the middle of what has more letters than limit.
func Shorten(s string, limit int) string {
	letters := []rune(s)
	if len(letters) <= limit {
		return s
	}
	end := limit * 3 / 10
	return string(letters[:limit-end-1]) + "…" + string(letters[len(letters)-end:])
}
