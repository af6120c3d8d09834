// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package question

import "strings"

// IsPattern says whether a claim's value holds a `*`. Such a value cannot be
// compared by Endor Labs, which knows only equality.
func IsPattern(value string) bool { return strings.Contains(value, "*") }

// Match says whether value, as a certificate has it, is what pattern asks for.
// A `*` stands for any run without `/` and `:`, the empty one too, so that it
// never reaches into the next part of a name; at the end, after `/` or `:`, it
// stands for any rest. Everything else stands for itself. An empty value
// matches nothing.
func Match(pattern, value string) bool {
	if value == "" {
		return false
	}
	if strings.HasSuffix(pattern, "/*") || strings.HasSuffix(pattern, ":*") {
		head := pattern[:len(pattern)-1]
		return matchRuns(head, leading(value, separators(head)))
	}
	return matchRuns(pattern, value)
}

func isSeparator(b byte) bool { return b == '/' || b == ':' }

func separators(s string) int { return strings.Count(s, "/") + strings.Count(s, ":") }

// leading is s up to and with its n-th separator, all of s if it has fewer.
// Since no star crosses a separator, it is the only beginning of s that a
// pattern with n of them and one at its end can match.
func leading(s string, n int) string {
	for i := range len(s) {
		if isSeparator(s[i]) {
			if n--; n == 0 {
				return s[:i+1]
			}
		}
	}
	return s
}

// matchRuns matches a pattern whose stars are all runs. On a mismatch only the
// latest star is stretched: an earlier one that ended later would leave the
// latest less to choose from, so the time is at most the lengths' product.
func matchRuns(pattern, value string) bool {
	p, v := 0, 0
	star, resume := -1, 0
	for v < len(value) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, v
			p++
		case p < len(pattern) && pattern[p] == value[v]:
			p++
			v++
		case star >= 0 && !isSeparator(value[resume]):
			resume++
			p, v = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
