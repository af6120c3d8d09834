// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

var (
	monday  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	tuesday = monday.Add(24 * time.Hour)
	sunday  = monday.Add(-24 * time.Hour)
)

// of makes a report of images and their codes, in pairs.
func of(at time.Time, complete bool, pairs ...string) *Report {
	r := &Report{Schema: Schema, GeneratedAt: at, Complete: complete}
	for i := 0; i < len(pairs); i += 2 {
		image := Image{Image: pairs[i], Code: pairs[i+1], Class: verify.Code(pairs[i+1]).Class()}
		if image.Code == "" {
			image.Class = Unchecked
		}
		r.Images = append(r.Images, image)
	}
	return r
}

func TestWhatChangedSinceAnEarlierReport(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name         string
		before, now  *Report
		want         Changes
		wantAnything bool
	}{
		{
			name:   "each kind of change",
			before: of(monday, true, "same", "VERIFIED", "revoked", "VERIFIED", "revoked2", "NOT_SIGNED", "lost", "VERIFIED", "signed", "NOT_SIGNED", "gone", "REVOKED"),
			now:    of(tuesday, true, "same", "VERIFIED", "revoked", "REVOKED", "revoked2", "REVOKED", "lost", "WRONG_SIGNER", "signed", "VERIFIED", "new", "NO_DIGEST"),
			want: Changes{
				Since: monday, NewlyRevoked: []ImageChange{{"revoked", "VERIFIED", "REVOKED"}, {"revoked2", "NOT_SIGNED", "REVOKED"}},
				NewlyRefused: []ImageChange{{"lost", "VERIFIED", "WRONG_SIGNER"}}, NewlySigned: []ImageChange{{"signed", "NOT_SIGNED", "VERIFIED"}},
				New: []ImageChange{{"new", "", "NO_DIGEST"}}, Gone: []ImageChange{{"gone", "REVOKED", ""}},
			},
			wantAnything: true,
		},
		{
			name:   "an outage is no change",
			before: of(monday, true, "a", "VERIFIED", "b", "UNAVAILABLE", "c", "NOT_SIGNED", "d", "MISCONFIGURED"),
			now:    of(tuesday, true, "a", "UNAVAILABLE", "b", "NOT_SIGNED", "c", "MISCONFIGURED", "d", "VERIFIED"),
			want:   Changes{Since: monday},
		},
		{
			name: "what was not read is not gone", before: of(monday, true, "a", "VERIFIED"), now: of(tuesday, false), want: Changes{Since: monday},
		},
		{
			name: "what was not read is not new", before: of(monday, false), now: of(tuesday, true, "a", "VERIFIED"), want: Changes{Since: monday},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.now.Since(tc.before)
			if diff := cmp.Diff(&tc.want, tc.now.Changes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tc.now.Changes.Any() != tc.wantAnything {
				t.Errorf("Any = %v", tc.now.Changes.Any())
			}
		})
	}
}

func TestSinceWhenAnImageIsRefusedIsCarriedOver(t *testing.T) {
	t.Parallel()
	before := of(monday, true, "long", "NOT_SIGNED", "since", "NOT_SIGNED", "now", "VERIFIED", "mended", "NOT_SIGNED")
	before.Images[0].FirstSeen = &sunday
	now := of(tuesday, true, "long", "NOT_SIGNED", "since", "REVOKED", "now", "REVOKED", "mended", "VERIFIED", "exported", "NOT_SIGNED")
	now.Images[4].FirstSeen = &sunday
	now.Since(before)
	got := map[string]string{}
	for _, i := range now.Images {
		if i.FirstSeen != nil {
			got[i.Image] = i.FirstSeen.Weekday().String()
		}
	}
	if diff := cmp.Diff(map[string]string{"long": "Sunday", "since": "Monday", "now": "Tuesday", "exported": "Sunday"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A revocation that follows an outage is still a revocation of what was verified.
func TestAnOutageBetweenTwoReportsHidesNoChange(t *testing.T) {
	t.Parallel()
	first := of(sunday, true, "a", "VERIFIED", "b", "VERIFIED", "c", "VERIFIED")
	outage := of(monday, false, "a", "UNAVAILABLE", "b", "MISCONFIGURED")
	last := of(tuesday, true, "a", "REVOKED", "b", "NOT_SIGNED")
	last.Since(outage.remember(first))
	want := &Changes{
		Since: monday, NewlyRevoked: []ImageChange{{"a", "VERIFIED", "REVOKED"}}, NewlyRefused: []ImageChange{{"b", "VERIFIED", "NOT_SIGNED"}},
		Gone: []ImageChange{{"c", "VERIFIED", ""}},
	}
	if diff := cmp.Diff(want, last.Changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEarlierReportIsReadBackAsItWas(t *testing.T) {
	t.Parallel()
	want := of(monday, true, "a", "VERIFIED", "b", "")
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"report": string(raw), "other": `{"schema": "x/v9"}`, "torn": string(raw[:40])} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(filepath.Join(dir, "report"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Images, got.Images); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, says := range map[string]string{"other": "its schema is \"x/v9\"", "torn": "is no report in JSON", "missing": "no such file"} {
		if _, err := Load(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
}

func TestHistoryIsInOrder(t *testing.T) {
	t.Parallel()
	want := []Point{{sunday, Totals{Images: 1, Unchecked: 1}}, {monday, Totals{Images: 2, Verified: 1, Rejected: 1}}, {tuesday, Totals{Images: 2, Unavailable: 1, Misconfigured: 1}}}
	got := History(
		PointOf(of(tuesday, true, "a", "UNAVAILABLE", "b", "MISCONFIGURED")), PointOf(of(sunday, true, "a", "")), PointOf(of(monday, true, "a", "VERIFIED", "b", "REVOKED")),
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
