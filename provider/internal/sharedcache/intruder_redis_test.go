// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build redis

package sharedcache_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestWhatAnIntruderWritesIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url()))
	admin := s.intruder(t)
	put(t, c, api, verdict(verify.Revoked, 0))
	name, genuine := admin.only(t)
	put(t, c, web, verdict(verify.Verified, 0))
	good := admin.value(t, admin.other(t, name))

	flipped := []byte(genuine)
	flipped[20] ^= 1
	for _, tc := range []struct {
		name, value, reason string
	}{
		{"a verdict of another question", good, "forged"},
		{"another code", strings.Replace(genuine, "REVOKED", "VERIFIE", 1), "forged"},
		{"a later expiry", genuine[:9] + "\x7f" + genuine[10:], "forged"},
		{"a later time of asking", genuine[:8] + "\xff" + genuine[9:], "forged"},
		{"the body of one and the HMAC of another", good[:len(good)-32] + genuine[len(genuine)-32:], "forged"},
		{"a bit", string(flipped), "forged"},
		{"no HMAC", genuine[:len(genuine)-32], "forged"},
		{"a piece", genuine[:30], "malformed"},
		{"nothing", "", "malformed"},
		{"another format", "\x02" + genuine[1:], "other_format"},
		{"too much", genuine + strings.Repeat("x", 4096), "too_long"},
	} {
		before := c.rejected(t, tc.reason)
		admin.set(t, name, tc.value)
		got := c.Get(t.Context(), []verify.ID{api, web})
		if _, ok := got[api]; ok || got[web] != verdict(verify.Verified, 0) {
			t.Errorf("%s: Get = %+v", tc.name, got)
		}
		if after := c.rejected(t, tc.reason); after != before+1 {
			t.Errorf("%s: %d entries were rejected as %s, want 1", tc.name, after-before, tc.reason)
		}
		// And it does not keep a verdict out, unless it says that it is newer.
		admin.Del(t.Context(), name)
	}
}

func TestWhatAnIntruderWritesGivesWay(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url()))
	admin := s.intruder(t)
	put(t, c, api, verdict(verify.Verified, 0))
	name, genuine := admin.only(t)
	soon := verdict(verify.Verified, 4*time.Second)
	put(t, c, api, soon)
	ahead := admin.value(t, name)

	for _, tc := range []struct {
		name   string
		put    func()
		result string
	}{
		{"nothing", func() { admin.set(t, name, "") }, "stored"},
		{"text", func() { admin.set(t, name, strings.Repeat("x", 100)) }, "stored"},
		{"another type", func() { admin.Del(t.Context(), name); admin.RPush(t.Context(), name, "x") }, "stored"},
		{"a time at the end of time", func() { admin.set(t, name, "\x01"+strings.Repeat("\xff", 100)) }, "stored"},
		{"a time that no reader believes", func() { admin.set(t, name, later(genuine, 6*time.Second)) }, "stored"},
		// The most that an intruder can do here, which deleting does as well.
		{"a time that readers believe", func() { admin.set(t, name, later(genuine, 4*time.Second)) }, "older"},
		{"a verdict that is later", func() { admin.set(t, name, ahead) }, "older"},
	} {
		tc.put()
		before := c.writes(t, tc.result)
		put(t, c, api, verdict(verify.Verified, time.Second))
		if c.writes(t, tc.result) != before+1 {
			t.Errorf("%s: the write is not %s", tc.name, tc.result)
		}
		if tc.result == "stored" {
			want(t, c, api, verdict(verify.Verified, time.Second))
		}
	}
}

// later is a genuine entry whose time of asking somebody moved.
func later(entry string, by time.Duration) string {
	b := []byte(entry)
	n := uint64(0)
	for _, digit := range b[1:9] {
		n = n<<8 | uint64(digit)
	}
	n += uint64(by)
	for i := range 8 {
		b[8-i] = byte(n >> (8 * i))
	}
	return string(b)
}

// The bound that the package promises: what was captured before a revocation and
// is written back after it is believed until its own expiry, and no longer,
// however often and with whatever lifetime it is written.
func TestAReplayLivesToItsOwnExpiry(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url()))
	admin := s.intruder(t)
	put(t, c, api, verdict(verify.Verified, 0)) // until five minutes past noon
	name, captured := admin.only(t)
	c.clock.advance(time.Minute)
	put(t, c, api, verdict(verify.Revoked, time.Minute))
	want(t, c, api, verdict(verify.Revoked, time.Minute))

	admin.set(t, name, captured)
	c.clock.advance(4*time.Minute - 1)
	want(t, c, api, verdict(verify.Verified, 0))
	c.clock.advance(1)
	wantNone(t, c, api)
	if c.rejected(t, "expired") != 1 {
		t.Error("it is not rejected as expired")
	}
	admin.set(t, name, captured)
	wantNone(t, c, api)

	// Nor does it keep a newer verdict out while it lives.
	c.clock.advance(-time.Minute)
	put(t, c, api, verdict(verify.Revoked, 2*time.Minute))
	want(t, c, api, verdict(verify.Revoked, 2*time.Minute))
}

// The clock of whoever asked is ahead of ours.
func TestAVerdictAskedInTheFutureIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	ahead, c := running(t, newCache(t, s.url())), running(t, newCache(t, s.url()))
	ahead.clock.advance(time.Minute)
	v := verdict(verify.Verified, time.Minute)
	put(t, ahead, api, v)
	want(t, ahead, api, v)
	wantNone(t, c, api)
	if c.rejected(t, "asked_in_future") != 1 {
		t.Error("it is not rejected as asked in the future")
	}
	c.clock.advance(55 * time.Second)
	want(t, c, api, v)
}

// A value that is too long for one of ours is a miss; one that is too long for
// memory fails the read before it takes any.
func TestValuesAreBounded(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url()))
	admin := s.intruder(t)
	put(t, c, web, verdict(verify.Verified, 0))
	known := admin.names(t)
	put(t, c, api, verdict(verify.Verified, 0))
	name := admin.other(t, known...)

	admin.set(t, name, strings.Repeat("x", 1<<20))
	if got := c.Get(t.Context(), []verify.ID{api, web}); len(got) != 1 || got[web] != verdict(verify.Verified, 0) {
		t.Errorf("Get = %+v", got)
	}
	if c.rejected(t, "too_long") != 1 {
		t.Error("it is not rejected as too long")
	}
	if err := admin.SetRange(t.Context(), name, 64<<20, "x").Err(); err != nil {
		t.Fatal(err)
	}
	wantNone(t, c, api)
	if c.requests(t, "error") != 1 {
		t.Error("a value of 64 MiB was read")
	}
	// The connection is given up with it, and the next one works.
	want(t, c, web, verdict(verify.Verified, 0))
	put(t, c, api, verdict(verify.Revoked, time.Second))
	want(t, c, api, verdict(verify.Revoked, time.Second))

	long := verdict(verify.Verified, time.Second)
	long.Signer.BuildConfigName = strings.Repeat("x", 4096)
	put(t, c, api, long)
	if c.writes(t, "refused") != 1 || slices.ContainsFunc(admin.names(t), func(n string) bool { return len(admin.value(t, n)) > 4096 }) {
		t.Error("an entry is longer than 4 KiB")
	}
}
