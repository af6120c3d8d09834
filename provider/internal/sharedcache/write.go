// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// batch is how many writes share a round trip.
const batch = 128

// write is an entry on its way.
type write struct {
	id    verify.ID
	entry entry
}

// keepLater writes an entry unless one is there that was asked for later. It
// reads that from the first bytes of what is there, in the clear and without the
// key: Redis has none. Whoever writes to the Redis can put any time there. With
// it they keep our entry out, which costs calls of Endor Labs and which they
// could have by deleting it; they make nobody believe anything, since the same
// bytes are under the HMAC that readers check. A time so far ahead that no reader
// believes it keeps nothing out, so that one write does not block a name for
// good.
//
// Bytes are compared as such: comparing strings would be up to the server's
// locale, and its numbers cannot tell nanoseconds.
//
//	KEYS[1]  the name
//	ARGV[1]  the entry
//	ARGV[2]  milliseconds that it lives
//	ARGV[3]  the first bytes of an entry that is just not asked too far ahead
const keepLater = `
local function asked_later(a, b)
  for i = 2, 9 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return false
end
local old = redis.pcall('GETRANGE', KEYS[1], 0, 8)
if type(old) == 'string' and #old == 9 and string.byte(old, 1) == string.byte(ARGV[1], 1)
    and asked_later(old, ARGV[1]) and not asked_later(old, ARGV[3]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`

var script = redis.NewScript(keepLater)

func (c *Cache) writeAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-c.writes:
			c.writeBatch(ctx, c.collect(first))
		}
	}
}

// collect adds to first what is queued already.
func (c *Cache) collect(first write) []write {
	writes := []write{first}
	for len(writes) < batch {
		select {
		case w := <-c.writes:
			writes = append(writes, w)
		default:
			return writes
		}
	}
	return writes
}

// call is one run of the script.
type call struct {
	name string
	args []any
}

func (c *Cache) writeBatch(ctx context.Context, writes []write) {
	if !c.usable() {
		c.metrics.wrote(skipped, len(writes))
		return
	}
	var calls []call
	for _, w := range writes {
		if call, ok := c.prepare(w); ok {
			calls = append(calls, call)
		} else {
			c.metrics.wrote(refused, 1)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Redis knows the script by its hash once it saw it, until it restarts.
	if unknown := c.send(ctx, calls, false); len(unknown) > 0 {
		c.metrics.wrote(failed, len(c.send(ctx, unknown, true)))
	}
}

// prepare seals w, or says that it is nothing to share.
func (c *Cache) prepare(w write) (call, bool) {
	now := c.cfg.Now()
	lives := w.entry.expires.Sub(now).Milliseconds()
	value, ok := c.ring.seal(w.id, w.entry)
	if !ok || lives <= 0 {
		return call{}, false
	}
	return call{name: c.ring.name(0, w.id), args: []any{value, lives, askedPrefix(now.Add(believable))}}, true
}

// send runs calls in one round trip and gives those for which the Redis did not
// know the script. With teach, it is told with the first.
func (c *Cache) send(ctx context.Context, calls []call, teach bool) (unknown []call) {
	if len(calls) == 0 {
		return nil
	}
	pipe := c.client.Load().Pipeline()
	replies := make([]*redis.Cmd, len(calls))
	for i, call := range calls {
		if teach && i == 0 {
			replies[i] = script.Eval(ctx, pipe, []string{call.name}, call.args...)
			continue
		}
		replies[i] = script.EvalSha(ctx, pipe, []string{call.name}, call.args...)
	}
	// Each reply has its own error, or that of the connection.
	_, _ = pipe.Exec(ctx)
	for i, reply := range replies {
		kept, err := reply.Bool()
		switch {
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, calls[i])
		case err != nil:
			c.metrics.wrote(failed, 1)
		case kept:
			c.metrics.wrote(stored, 1)
		default:
			c.metrics.wrote(older, 1)
		}
	}
	return unknown
}
