// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
)

func TestDocumentsListEachCheckInItsOrder(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "doctor.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, c := range doctor.Checks() {
		want = append(want, c[0])
	}
	_, section, _ := strings.Cut(string(text), "\n## The checks\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(section, -1) {
		got = append(got, m[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks in docs/doctor.md (-want +got):\n%s", diff)
	}
	slices.Sort(want)
	if unique := slices.Compact(slices.Clone(want)); len(unique) != len(want) {
		t.Error("two checks have the same id")
	}
}
