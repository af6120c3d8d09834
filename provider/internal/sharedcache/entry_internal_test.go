// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const origin = "https://api.example.com"

var (
	keyA = bytes.Repeat([]byte{'a'}, minKeyBytes)
	keyB = bytes.Repeat([]byte{'b'}, minKeyBytes)

	noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
)

func anyID() *rapid.Generator[verify.ID] {
	return rapid.Custom(func(t *rapid.T) verify.ID {
		return verify.ID(rapid.SliceOfN(rapid.Byte(), len(verify.ID{}), len(verify.ID{})).Draw(t, "id"))
	})
}

// anyEntry draws entries that are alive at noon.
func anyEntry() *rapid.Generator[entry] {
	codes := slices.DeleteFunc(verify.Codes(), func(c verify.Code) bool { return !decided(c) })
	text := rapid.StringN(0, 40, 120)
	return rapid.Custom(func(t *rapid.T) entry {
		v := verify.Verdict{
			Code:    rapid.SampledFrom(codes).Draw(t, "code"),
			Result:  text.Draw(t, "result"),
			AskedAt: noon.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "age"))),
		}
		for _, name := range claimNames {
			v.Signer = v.Signer.With(name, text.Draw(t, name))
		}
		if rapid.Bool().Draw(t, "has signed at") {
			v.SignedAt = time.Unix(
				rapid.Int64Range(-1<<40, 1<<40).Draw(t, "signed seconds"),
				rapid.Int64Range(0, 999_999_999).Draw(t, "signed nanoseconds"),
			).UTC()
		}
		return entry{verdict: v, expires: noon.Add(time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "life")))}
	})
}

func mustSeal(t rapid.TB, r ring, id verify.ID, e entry) string {
	t.Helper()
	raw, ok := r.seal(id, e)
	if !ok {
		t.Fatalf("seal(%+v) refuses", e)
	}
	return string(raw)
}

func TestAnEntryReadsBackTheSame(t *testing.T) {
	t.Parallel()
	r := newRing([][]byte{keyA}, origin)
	rapid.Check(t, func(t *rapid.T) {
		id, e := anyID().Draw(t, "id"), anyEntry().Draw(t, "entry")
		got, reason := r.open(0, id, mustSeal(t, r, id, e), noon)
		if reason != "" || got != e {
			t.Fatalf("open = %+v, %q\nwant %+v", got, reason, e)
		}
	})
}

func TestAnEntryThatIsChangedIsRefused(t *testing.T) {
	t.Parallel()
	r := newRing([][]byte{keyA}, origin)
	rapid.Check(t, func(t *rapid.T) {
		id := anyID().Draw(t, "id")
		raw := []byte(mustSeal(t, r, id, anyEntry().Draw(t, "entry")))
		switch at := rapid.IntRange(0, len(raw)-1).Draw(t, "at"); rapid.SampledFrom([]string{"flip", "cut", "cut front", "grow", "drop"}).Draw(t, "how") {
		case "flip":
			raw[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "cut":
			raw = raw[:at]
		case "cut front":
			raw = raw[at+1:]
		case "grow":
			raw = slices.Insert(raw, at, rapid.Byte().Draw(t, "byte"))
		case "drop":
			raw = slices.Delete(raw, at, at+1)
		}
		if got, reason := r.open(0, id, string(raw), noon); reason == "" || got != (entry{}) {
			t.Fatalf("open believes a changed entry: %+v", got)
		}
	})
}

// Every single bit of one entry, which a property only samples.
func TestEachBitOfAnEntryCounts(t *testing.T) {
	t.Parallel()
	r := newRing([][]byte{keyA}, origin)
	raw := mustSeal(t, r, verify.ID{1}, verified())
	for i := range len(raw) * 8 {
		changed := []byte(raw)
		changed[i/8] ^= 1 << (i % 8)
		if _, reason := r.open(0, verify.ID{1}, string(changed), noon); reason == "" {
			t.Errorf("bit %d of byte %d does not count", i%8, i/8)
		}
	}
}

func verified() entry {
	return entry{
		verdict: verify.Verdict{
			Code: verify.Verified, Result: "RESULT_SUCCESS", AskedAt: noon,
			Signer: question.Claims{SourceRepository: "acme/api"}, SignedAt: noon.Add(-time.Hour),
		},
		expires: noon.Add(5 * time.Minute),
	}
}

func TestAnEntryBelongsToOneQuestionKeyAndAPI(t *testing.T) {
	t.Parallel()
	id := verify.ID{1}
	home := newRing([][]byte{keyA, keyB}, origin)
	raw := mustSeal(t, home, id, verified())
	for _, tc := range []struct {
		name string
		ring ring
		key  int
		id   verify.ID
	}{
		{"another question", home, 0, verify.ID{2}},
		{"another key", home, 1, id},
		{"another API", newRing([][]byte{keyA, keyB}, origin+"/"), 0, id},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, reason := tc.ring.open(tc.key, tc.id, raw, noon); reason != forged {
				t.Errorf("open = %q, want %q", reason, forged)
			}
			if got := tc.ring.name(tc.key, tc.id); got == home.name(0, id) {
				t.Errorf("both have the name %s", got)
			}
		})
	}
	if _, reason := home.open(0, id, raw, noon); reason != "" {
		t.Errorf("at home: %q", reason)
	}
}

// Without lengths both would be the same bytes: the first byte of each part is
// the last of the one before.
func TestPartsDoNotLendBytes(t *testing.T) {
	t.Parallel()
	var id, shifted verify.ID
	for i := range id {
		id[i] = byte(i)
	}
	copy(shifted[:], id[1:])
	shifted[len(shifted)-1] = 'y'
	a := newRing([][]byte{keyA}, "a").mac(0, "verdict", id, []byte("yz")...)
	b := newRing([][]byte{keyA}, "a\x00").mac(0, "verdict", shifted, 'z')
	if bytes.Equal(a, b) {
		t.Error("two different identities have one HMAC")
	}
}

// The names and bytes of a release, so that the next one reads them or has
// another version.
func TestTheFormatIsThatOfItsVersion(t *testing.T) {
	t.Parallel()
	r := newRing([][]byte{keyA}, origin)
	if got, want := r.name(0, verify.ID{1}), "endor:v1:"; !strings.HasPrefix(got, want) || len(got) != len(want)+43 {
		t.Errorf("name = %q", got)
	}
	body, ok := encode(verified())
	var want []byte
	want = append(want, 1)
	want = binary.BigEndian.AppendUint64(want, uint64(noon.UnixNano()))
	want = binary.BigEndian.AppendUint64(want, uint64(noon.Add(5*time.Minute).UnixNano()))
	want = append(want, "\x08VERIFIED\x0eRESULT_SUCCESS\x00\x00\x08acme/api\x00\x00\x00\x00\x00\x00\x01"...)
	want = binary.BigEndian.AppendUint64(want, uint64(noon.Add(-time.Hour).Unix()))
	want = append(want, 0, 0, 0, 0)
	if !ok || !bytes.Equal(body, want) {
		t.Errorf("encode = %q, %t\nwant     %q", body, ok, want)
	}
}

// A claim that the format does not know would be lost on the way.
func TestTheFormatHasAllClaims(t *testing.T) {
	t.Parallel()
	var all question.Claims
	v := reflect.ValueOf(&all).Elem()
	for i := range v.NumField() {
		v.Field(i).SetString("x")
	}
	var names []string
	for name := range all.All() {
		names = append(names, name)
	}
	if !slices.Equal(names, claimNames[:]) {
		t.Errorf("claims %q, the format has %q", names, claimNames)
	}
}

func TestOnlyWhatIsDecidedFitsAndHasAnAgeIsSealed(t *testing.T) {
	t.Parallel()
	r := newRing([][]byte{keyA}, origin)
	for _, tc := range []struct {
		name   string
		change func(*entry)
	}{
		{"unavailable", func(e *entry) { e.verdict.Code = verify.Unavailable }},
		{"misconfigured", func(e *entry) { e.verdict.Code = verify.Misconfigured }},
		{"no code", func(e *entry) { e.verdict.Code = "" }},
		{"a code that nobody knows", func(e *entry) { e.verdict.Code = "FINE" }},
		{"no age", func(e *entry) { e.verdict.AskedAt = time.Time{} }},
		{"no expiry", func(e *entry) { e.expires = time.Time{} }},
		{"beyond what nanoseconds can tell", func(e *entry) { e.expires = time.Unix(0, math.MaxInt64).Add(1) }},
		{"too long", func(e *entry) { e.verdict.Signer.BuildConfigName = strings.Repeat("x", maxEntry) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := verified()
			tc.change(&e)
			if raw, ok := r.seal(verify.ID{}, e); ok {
				t.Errorf("seal = %d bytes, want none", len(raw))
			}
		})
	}
}

// What has a genuine HMAC can still be of another release, too old or ahead.
func TestAGenuineEntryIsNotAlwaysBelieved(t *testing.T) {
	t.Parallel()
	r := newRing([][]byte{keyA}, origin)
	id := verify.ID{1}
	good, ok := encode(verified())
	if !ok {
		t.Fatal("encode refuses")
	}
	asked := func(t time.Time) []byte { return append(askedPrefix(t), good[prefixBytes:]...) }
	for _, tc := range []struct {
		name string
		body []byte
		now  time.Time
		want rejection
	}{
		{"fresh", good, noon, ""},
		{"in its last moment", good, noon.Add(5*time.Minute - 1), ""},
		{"over", good, noon.Add(5 * time.Minute), expired},
		{"asked as far ahead as clocks may be", good, noon.Add(-believable), ""},
		{"asked further ahead", good, noon.Add(-believable - 1), askedInFuture},
		{"of another format", append([]byte{2}, good[1:]...), noon, otherFormat},
		{"a code of another release", bytes.Replace(good, []byte("VERIFIED"), []byte("VERIFINE"), 1), noon, unknownCode},
		{"undecided", bytes.Replace(good, []byte("\x08VERIFIED"), []byte("\x0bUNAVAILABLE"), 1), noon, unknownCode},
		{"more than there should be", append(slices.Clone(good), 0), noon, malformed},
		{"less", good[:len(good)-1], noon, malformed},
		{"a string longer than the rest", slices.Concat(good[:17], []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), noon, malformed},
		{"a length that does not end", slices.Concat(good[:17], bytes.Repeat([]byte{0xff}, 11)), noon, malformed},
		{"neither signed at nor not", append(slices.Clone(good[:len(good)-13]), 2), noon, malformed},
		{"a second of 10^9 nanoseconds", append(slices.Clone(good[:len(good)-4]), 0x3b, 0x9a, 0xca, 0), noon, malformed},
		{"asked at no time", slices.Concat([]byte{format}, make([]byte, 8), good[prefixBytes:]), noon, malformed},
		{"asked before 1970", slices.Concat([]byte{format}, bytes.Repeat([]byte{0xff}, 8), good[prefixBytes:]), noon, malformed},
		{"asked later than it expires", asked(noon.Add(time.Hour)), noon, askedInFuture},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			raw := slices.Concat(tc.body, r.mac(0, "verdict", id, tc.body...))
			e, reason := r.open(0, id, string(raw), tc.now)
			if reason != tc.want {
				t.Errorf("open = %q, want %q", reason, tc.want)
			}
			if (e == entry{}) != (tc.want != "") {
				t.Errorf("open = %+v beside %q", e, reason)
			}
		})
	}
}

func TestWhatIsNoEntryIsRefusedByItsLength(t *testing.T) {
	t.Parallel()
	r := newRing([][]byte{keyA}, origin)
	for _, tc := range []struct {
		name, raw string
		want      rejection
	}{
		{"nothing", "", malformed},
		{"too short for an HMAC", "\x01" + strings.Repeat("x", 39), malformed},
		{"text", strings.Repeat("x", 100), otherFormat},
		{"as long as possible", "\x01" + strings.Repeat("x", maxEntry-1), forged},
		{"longer", "\x01" + strings.Repeat("x", maxEntry), tooLong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, reason := r.open(0, verify.ID{}, tc.raw, noon); reason != tc.want {
				t.Errorf("open = %q, want %q", reason, tc.want)
			}
		})
	}
}

// What is read is what would be written, whatever it was read from.
func FuzzDecode(f *testing.F) {
	good, _ := encode(verified())
	f.Add(good)
	f.Add(good[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		e, ok := decode(body)
		if !ok || !decided(e.verdict.Code) {
			return
		}
		again, ok := encode(e)
		if !ok {
			t.Fatalf("encode refuses %+v", e)
		}
		if got, ok := decode(again); !ok || got != e {
			t.Fatalf("decode(encode(e)) = %+v, %t\nwant %+v", got, ok, e)
		}
	})
}

// Nothing is believed that does not end in its HMAC.
func FuzzOpen(f *testing.F) {
	r := newRing([][]byte{keyA, keyB}, origin)
	id := verify.ID{1}
	good, _ := r.seal(id, verified())
	f.Add(string(good))
	f.Add("")
	f.Fuzz(func(t *testing.T, raw string) {
		if _, reason := r.open(1, id, raw, noon); reason == "" {
			t.Fatalf("open believes %q under a key that signed nothing", raw)
		}
		if _, reason := r.open(0, id, raw, noon); reason == "" && raw != string(good) {
			t.Fatalf("open believes %q", raw)
		}
	})
}
