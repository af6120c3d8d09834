// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build redis

package sharedcache_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// found says whether c finds a verdict about api, which takes several tries
// while a Redis is coming back.
func found(t testing.TB, c *cache) bool {
	t.Helper()
	_, ok := c.Get(t.Context(), []verify.ID{api})[api]
	return ok
}

// lose asks until c leaves the Redis alone. Nothing is found meanwhile.
func lose(t testing.TB, c *cache) {
	t.Helper()
	eventually(t, "the Redis is left alone", func() bool {
		if found(t, c) {
			t.Error("a Redis that is not there gives a verdict")
		}
		return c.requests(t, "skipped") > 0
	})
	if c.requests(t, "error") == 0 {
		t.Error("it is left alone without a failure")
	}
	wantText(t, c.log.String(), "the shared cache fails")
}

func TestAKilledRedisIsMissedAndFoundAgain(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url()))
	put(t, c, api, verdict(verify.Verified, 0))
	want(t, c, api, verdict(verify.Verified, 0))

	s.kill()
	lose(t, c)
	put(t, c, api, verdict(verify.Verified, 0))
	if c.writes(t, "skipped")+c.writes(t, "error") == 0 {
		t.Error("nothing became of a write")
	}

	// It comes back without what it had, the script included.
	s.restart(t)
	eventually(t, "the Redis is used again", func() bool {
		c.Put(api, verdict(verify.Revoked, time.Second), noon.Add(time.Minute))
		return found(t, c)
	})
	want(t, c, api, verdict(verify.Revoked, time.Second))
	wantText(t, c.log.String(), "the shared cache is back")
}

// A server that holds connections and says nothing is worse than none. That a
// read ends is counted, not measured.
func TestAPausedRedisCostsLittleAndComesBack(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url(), func(cfg *sharedcache.Config) { cfg.Timeout = 20 * time.Millisecond }))
	eventually(t, "a verdict is there", func() bool {
		c.Put(api, verdict(verify.Verified, 0), noon.Add(5*time.Minute))
		return found(t, c)
	})

	s.pause(t)
	asked := c.requests(t, "error") + c.requests(t, "skipped")
	var requests sync.WaitGroup
	for range 200 {
		requests.Go(func() {
			if found(t, c) {
				t.Error("a paused Redis gives a verdict")
			}
		})
	}
	requests.Wait()
	if got := c.requests(t, "error") + c.requests(t, "skipped") - asked; got != 200 {
		t.Errorf("%d of 200 questions failed or were skipped", got)
	}
	lose(t, c)
	c.Put(api, verdict(verify.Verified, time.Second), noon.Add(5*time.Minute))

	s.resume(t)
	eventually(t, "the Redis is used again", func() bool { return found(t, c) })
}

// It starts before its Redis does.
func TestARedisThatComesLater(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	s.kill()
	c := running(t, newCache(t, s.url()))
	eventually(t, "it is logged", func() bool { return c.log.String() != "" })
	wantText(t, c.log.String(), "cannot be used yet")
	s.restart(t)
	eventually(t, "the Redis is used", func() bool {
		c.Put(api, verdict(verify.Verified, 0), noon.Add(time.Minute))
		return found(t, c)
	})
}

func TestAFullRedisStillAnswers(t *testing.T) {
	t.Parallel()
	s := startRedis(t, "maxmemory-policy noeviction")
	c := running(t, newCache(t, s.url()))
	put(t, c, api, verdict(verify.Verified, 0))
	if err := s.intruder(t).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		put(t, c, verify.ID{9, byte(i)}, verdict(verify.Verified, 0))
	}
	if got := c.writes(t, "error"); got != 10 {
		t.Errorf("%d writes failed, want 10", got)
	}
	want(t, c, api, verdict(verify.Verified, 0))

	if err := s.intruder(t).ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	put(t, c, web, verdict(verify.Verified, 0))
	want(t, c, web, verdict(verify.Verified, 0))
}

// Many requests, each with as many questions as a request may have.
func TestACrowdIsServed(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url(), func(cfg *sharedcache.Config) { cfg.Keys = [][]byte{keyA, keyB} }))
	var ids []verify.ID
	for i := range 256 {
		id := verify.ID{byte(i)}
		v := verdict(verify.Verified, 0)
		v.Result = fmt.Sprintf("%3000d", i)
		ids = append(ids, id)
		c.Put(id, v, noon.Add(time.Minute))
	}
	eventually(t, "all is written", func() bool { return c.writes(t, "stored") == len(ids) })
	var requests sync.WaitGroup
	for range 50 {
		requests.Go(func() {
			if got := c.Get(t.Context(), ids); len(got) != len(ids) {
				t.Errorf("%d of %d verdicts are found; %s", len(got), len(ids), c.log)
			}
		})
	}
	requests.Wait()
}
