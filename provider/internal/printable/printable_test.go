// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package printable_test

import (
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"plain text stays", "acme/api ~", 100, "acme/api ~"},
		{"a forged line", "a\nb\r", 100, "a?b?"},
		{"a terminal's escape", "\x1b[31m\x7f", 100, "?[31m?"},
		{"what is not ASCII, a character each", "é\u202e日", 100, "???"},
		{"what is not UTF-8", "\xff\xfe", 100, "??"},
		{"cut", "abcdef", 3, "abc"},
		{"nothing", "", 3, ""},
		{"nothing of something", "abc", 0, ""},
	} {
		if got := printable.Cut(tc.in, tc.limit); got != tc.want {
			t.Errorf("%s: Cut(%q, %d) = %q, want %q", tc.name, tc.in, tc.limit, got, tc.want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range []string{"0 images", "1 image", "2 images"} {
		if got := printable.Count(n, "image"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
