// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package printable_test

import (
	"runtime"
	"strings"
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

// Of a text that is cut for a log the rest must not stay in memory.
func TestWhatIsCutOffIsNotKept(t *testing.T) {
	var kept [50]string
	before := heap()
	for i := range kept {
		kept[i] = printable.Cut(strings.Repeat("x", 1<<20), 10)
	}
	if grew := heap() - before; grew > 8<<20 {
		t.Errorf("%d texts of 10 letters hold %d MiB", len(kept), grew>>20)
	}
	runtime.KeepAlive(kept)
}

// heap is what lives on it.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range []string{"0 images", "1 image", "2 images"} {
		if got := printable.Count(n, "image"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
