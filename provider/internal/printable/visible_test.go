// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package printable_test

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"nothing is a dash", "", "-"},
		{"plain text stays", `say "acme/api" ~`, `say "acme/api" ~`},
		{"letters of every script stay", "é日本", "é日本"},
		{"a forged line", "a\nb\r\tc", `a\nb\r\tc`},
		{"a terminal's escape", "\x1b[31m\x7f", `\x1b[31m\x7f`},
		{"a turned order of letters", "a\u202eb\u200bc", `a\u202eb\u200bc`},
		{"what is not UTF-8", "\xff", `\xff`},
		{"a backslash, so that nobody takes it for an escape", `\n`, `\\n`},
	} {
		if got := printable.Visible(tc.in); got != tc.want {
			t.Errorf("%s: Visible(%q) = %q, want %q", tc.name, tc.in, got, tc.want)
		}
	}
}

func TestVisibleIsOneLineThatDrivesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "in")
		got := printable.Visible(in)
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
			t.Fatalf("Visible(%q) = %q holds %q", in, got, got[i:])
		}
	})
}

func TestShortImage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"a tag stays", "acme/api:1.2", "acme/api:1.2"},
		{"a digest", "acme/api@sha256:0123456789abcdef" + strings.Repeat("0", 48), "acme/api@sha256:01234567…"},
		{"what only looks like one", "acme/api@sha256:0123", "acme/api@sha256:0123"},
		{"a long name", strings.Repeat("a", 90) + strings.Repeat("b", 30), strings.Repeat("a", 69) + "…" + strings.Repeat("b", 30)},
		{"a long name of other letters is cut between them", strings.Repeat("日", 120), strings.Repeat("日", 69) + "…" + strings.Repeat("日", 30)},
	} {
		if got := printable.ShortImage(tc.in); got != tc.want {
			t.Errorf("%s: ShortImage(%q) = %q, want %q", tc.name, tc.in, got, tc.want)
		}
	}
}
