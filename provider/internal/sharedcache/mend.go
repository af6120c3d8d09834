// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"context"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// usable says whether the Redis is thought to be well. No request is spent on
// finding out: a breaker that is half open waits for [Cache.mend].
func (c *Cache) usable() bool { return c.breaker.State() == gobreaker.StateClosed }

// report tells the breaker how it went.
func (c *Cache) report(done func(error), err error) {
	if err != nil {
		trouble := describe(err)
		c.trouble.Store(&trouble)
	}
	done(err)
}

// stateChanged is called with the breaker locked.
func (c *Cache) stateChanged(_ string, from, to gobreaker.State) {
	switch {
	case to == gobreaker.StateOpen && from == gobreaker.StateClosed:
		c.cfg.Log.Warn("the shared cache fails and is left alone for now", slog.String("trouble", *c.trouble.Load()))
	case to == gobreaker.StateClosed:
		c.cfg.Log.Info("the shared cache is back")
	}
	if to == gobreaker.StateOpen {
		select {
		case c.opened <- struct{}{}:
		default:
		}
	}
}

// mend connects, so that no request has to, and again after each failure.
func (c *Cache) mend(ctx context.Context) {
	if err := c.probe(ctx); err != nil && ctx.Err() == nil {
		c.cfg.Log.Warn("the shared cache cannot be used yet", slog.String("trouble", describe(err)))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.opened:
		}
		for !c.usable() {
			select {
			case <-ctx.Done():
				return
			case <-time.After(c.cfg.Pause):
			}
			done, err := c.breaker.Allow()
			if err != nil {
				continue
			}
			// The connections to a server that is gone are of no use, and each
			// would be found out by a request.
			c.renew()
			c.report(done, c.probe(ctx))
		}
	}
}

func (c *Cache) renew() {
	_ = c.client.Swap(c.connect()).Close()
}

// probe takes its time to connect, and then asks as a request would: a Redis
// that cannot answer in time is of no use either.
func (c *Cache) probe(ctx context.Context) error {
	names := c.ring.names([]verify.ID{{}})
	if _, err := c.mget(ctx, patience, names); err != nil {
		return err
	}
	_, err := c.mget(ctx, c.cfg.Timeout, names)
	return err
}
