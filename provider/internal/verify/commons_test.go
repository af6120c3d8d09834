// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"sync"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// commons is a [verify.Shared] that keeps what package sharedcache would keep
// in a Redis: of two verdicts the one asked for later, and each until it
// expires. It is lenient where that package refuses, so that the reader is seen
// to refuse too: it gives verdicts from the future.
type commons struct {
	mu      sync.Mutex
	kept    map[verify.ID]common
	genuine []common // all that was ever put, the oldest first
	mood    string
}

// common is what is kept about id.
type common struct {
	id      verify.ID
	verdict verify.Verdict
	expires time.Time // as its writer signed it
	dropped time.Time // by the clock of the Redis
}

func newCommons() *commons { return &commons{kept: map[verify.ID]common{}} }

func (c *commons) Get(_ context.Context, ids []verify.ID) map[verify.ID]verify.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, found := time.Now(), map[verify.ID]verify.Verdict{}
	for _, id := range ids {
		e, ok := c.kept[id]
		if ok = ok && now.Before(e.dropped); c.mood == "shared replays" {
			e, ok = c.oldest(id)
		}
		if ok && c.mood != "shared down" && now.Before(e.expires) {
			found[id] = e.verdict
		}
	}
	return found
}

// oldest is what is given where somebody writes back what has not expired. They
// can do no worse without a key, and a Redis that falls back to a copy does it
// too.
func (c *commons) oldest(id verify.ID) (common, bool) {
	for _, e := range c.genuine {
		if e.id == id && time.Now().Before(e.expires) {
			return e, true
		}
	}
	return common{}, false
}

func (c *commons) Put(id verify.ID, v verify.Verdict, expires time.Time) {
	c.put(common{id: id, verdict: v, expires: expires, dropped: expires})
}

func (c *commons) put(e common) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.mood == "shared down" || !now.Before(e.dropped) {
		return
	}
	c.genuine = append(c.genuine, e)
	old := c.kept[e.id]
	later := now.Before(old.dropped) && old.verdict.AskedAt.After(e.verdict.AskedAt)
	if later && !old.verdict.AskedAt.After(now.Add(5*time.Second)) { // who is too far ahead keeps nothing out
		return
	}
	c.kept[e.id] = e
}

// becomes makes it "shared up", "shared down" or "shared replays".
func (c *commons) becomes(mood string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mood = mood
}

func (c *commons) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.kept)
}
