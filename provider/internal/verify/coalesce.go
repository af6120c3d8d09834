// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// Coalesce lets equal questions that are asked at the same time share one
// call. The call belongs to no caller: it goes on when the first one leaves,
// so that whoever asks next finds the verdict in the cache behind it.
type Coalesce struct {
	next    Verifier
	timeout time.Duration

	group singleflight.Group

	life struct {
		sync.Mutex // protects closed, and that no call begins once it is set
		closed     bool
		calls      sync.WaitGroup
		ended      context.Context
		end        context.CancelFunc
	}
}

var _ Verifier = (*Coalesce)(nil)

// NewCoalesce makes a Coalesce whose calls take at most timeout.
func NewCoalesce(next Verifier, timeout time.Duration) *Coalesce {
	c := &Coalesce{next: next, timeout: timeout}
	c.life.ended, c.life.end = context.WithCancel(context.Background())
	return c
}

// Verify waits for the shared call, but not longer than ctx.
func (c *Coalesce) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	id := identify(q)
	done := c.group.DoChan(string(id[:]), func() (any, error) {
		return c.call(context.WithoutCancel(ctx), q)
	})
	select {
	case got := <-done:
		return outcomeOf(got)
	case <-ctx.Done():
	}
	select {
	case got := <-done: // both happened; an answer is worth more than a reason
		return outcomeOf(got)
	default:
		return Verdict{}, &Undecided{Code: Unavailable, Cause: CauseBudget, Err: context.Cause(ctx)}
	}
}

func outcomeOf(got singleflight.Result) (Verdict, error) {
	if got.Err != nil {
		return Verdict{}, undecided(got.Err)
	}
	return got.Val.(Verdict), nil
}

func (c *Coalesce) call(ctx context.Context, q question.Question) (v Verdict, err error) {
	if !c.begin() {
		return Verdict{}, &Undecided{Code: Unavailable, Cause: CauseBudget, Err: errors.New("the provider is shutting down")}
	}
	defer c.life.calls.Done()
	defer func() {
		// Without this one image could end the process for all of them.
		if p := recover(); p != nil {
			v, err = Verdict{}, &Undecided{Code: Unavailable, Cause: CausePanic, Err: fmt.Errorf("%v\n%s", p, debug.Stack())}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer context.AfterFunc(c.life.ended, cancel)()
	return c.next.Verify(ctx, q)
}

func (c *Coalesce) begin() bool {
	c.life.Lock()
	defer c.life.Unlock()
	if !c.life.closed {
		c.life.calls.Add(1)
	}
	return !c.life.closed
}

// Close ends the calls that are under way and waits for them. Questions that
// come later are undecided.
func (c *Coalesce) Close() {
	c.life.Lock()
	c.life.closed = true
	c.life.Unlock()
	c.life.end()
	c.life.calls.Wait()
}
