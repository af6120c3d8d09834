// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// CoalesceConfig configures a [Coalesce].
type CoalesceConfig struct {
	// Timeout is how long a call may take; default 15 seconds.
	Timeout time.Duration

	// Budget is how long a call may be under way until it counts as one that
	// overran: while Impatient says so, whoever asks the same is not left to wait
	// for it. Default [DefaultBudget].
	Budget time.Duration

	// Impatient says whether calls that overran are not worth waiting for;
	// nil means that they are.
	Impatient func() bool

	// Unheard is told of each verdict of Endor Labs that nobody waits for any more,
	// since it came too late or renews one that is still good; nil means nobody.
	Unheard func(context.Context, *Answer)

	// MaxWaiting bounds the questions of all requests that wait; default 1,000.
	MaxWaiting int

	// MaxCalls bounds the calls under way, those that nobody waits for any more
	// included; default 2,000.
	MaxCalls int
}

// Coalesce lets equal questions that are asked at the same time share one
// call. The call belongs to no caller: it goes on when the first one leaves,
// so that whoever asks next finds the verdict in the cache behind it.
//
// It does what x/sync/singleflight does, and knows besides of each call when it
// began and whether Endor Labs was reached: only who waited for Endor, and not
// for a place in a queue of ours, may be given a stale verdict instead.
type Coalesce struct {
	next Verifier
	cfg  CoalesceConfig

	state struct {
		sync.Mutex // protects the fields below
		flights    map[ID]*flight
		waiting    int
		closed     bool
	}
	calls sync.WaitGroup
	ended context.Context
	end   context.CancelFunc
}

var _ Verifier = (*Coalesce)(nil)

// flight is one call under way.
type flight struct {
	began time.Time
	done  chan struct{} // closed once verdict and err are set

	asked  atomic.Bool                 // an attempt was on its way to Endor Labs
	failed atomic.Pointer[endor.Error] // the latest attempt that failed; nil if none has
	trail  trail
	span   trace.SpanContext // that it was begun in

	waiting int  // of who asked for an answer; under the lock of the state
	ended   bool // as done is closed; under the lock of the state

	verdict Verdict
	err     error
}

// NewCoalesce makes a Coalesce.
func NewCoalesce(next Verifier, cfg CoalesceConfig) *Coalesce {
	if cfg.Timeout == 0 {
		cfg.Timeout = endor.DefaultTimeout
	}
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	if cfg.Impatient == nil {
		cfg.Impatient = func() bool { return false }
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 1000
	}
	if cfg.MaxCalls == 0 {
		cfg.MaxCalls = 2000
	}
	c := &Coalesce{next: next, cfg: cfg}
	c.state.flights = map[ID]*flight{}
	c.ended, c.end = context.WithCancel(context.Background())
	return c
}

// Verify waits for the shared call, but not longer than ctx.
func (c *Coalesce) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	f, err := c.join(ctx, q)
	if err != nil {
		return Verdict{}, err
	}
	return c.wait(ctx, f)
}

// ask is Verify for an answer, which is filled in.
func (c *Coalesce) ask(ctx context.Context, a *Answer) {
	start := time.Now()
	f, err := c.join(ctx, a.Question)
	if err == nil {
		a.Verdict, err = c.wait(ctx, f)
		a.Phases = f.trail.phases(time.Since(start))
		linkTo(ctx, f.span)
	}
	if err != nil {
		a.Undecided = undecided(err)
		return
	}
	a.Source = f.trail.source()
}

// wait waits for a call that was joined.
func (c *Coalesce) wait(ctx context.Context, f *flight) (Verdict, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	// Both may have happened; an answer is worth more than a reason.
	if c.leave(ctx, f) {
		return f.verdict, f.err
	}
	return Verdict{}, f.overrun(context.Cause(ctx))
}

// join finds the call about q, or begins one, and takes a place among those
// who wait.
func (c *Coalesce) join(ctx context.Context, q question.Question) (*flight, error) {
	id := Identify(q)
	c.state.Lock()
	defer c.state.Unlock()
	if c.state.closed {
		return nil, &Undecided{Code: Unavailable, Cause: CauseQueue, Err: errors.New("the provider is shutting down")}
	}
	f, found := c.state.flights[id]
	switch {
	case c.state.waiting >= c.cfg.MaxWaiting, !found && len(c.state.flights) >= c.cfg.MaxCalls:
		return nil, &Undecided{Code: Unavailable, Cause: CauseQueue, Err: errors.New("too many questions wait")}
	case found && time.Since(f.began) > c.cfg.Budget && c.cfg.Impatient():
		return nil, f.overrun(errors.New("the call is under way for longer than the budget"))
	case !found:
		f = &flight{began: time.Now(), done: make(chan struct{}), span: trace.SpanContextFromContext(ctx)}
		c.state.flights[id] = f
		c.calls.Add(1)
		go c.fly(context.WithoutCancel(ctx), q, id, f)
	}
	c.state.waiting++
	if !requestOf(ctx).refresh {
		f.waiting++
	}
	return f, nil
}

// leave ends a wait and says whether the call has ended.
func (c *Coalesce) leave(ctx context.Context, f *flight) bool {
	c.state.Lock()
	defer c.state.Unlock()
	c.state.waiting--
	if !requestOf(ctx).refresh {
		f.waiting--
	}
	return f.ended
}

// fly carries a call out.
func (c *Coalesce) fly(ctx context.Context, q question.Question, id ID, f *flight) {
	defer c.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(c.ended, cancel)()
	f.verdict, f.err = c.call(f.follow(ctx), q)
	c.state.Lock()
	delete(c.state.flights, id)
	f.ended = true
	unheard := f.waiting == 0
	c.state.Unlock()
	if unheard && f.err == nil && c.cfg.Unheard != nil && f.trail.source() == FromUpstream {
		c.cfg.Unheard(ctx, &Answer{
			Key: q.Key(), Question: q, Verdict: f.verdict, Source: FromUpstream, Phases: f.trail.phases(time.Since(f.began)), Background: true,
		})
	}
	close(f.done)
}

func (c *Coalesce) call(ctx context.Context, q question.Question) (v Verdict, err error) {
	defer func() {
		// Without this one image could end the process for all of them.
		if p := recover(); p != nil {
			v, err = Verdict{}, &Undecided{Code: Unavailable, Cause: CausePanic, Err: fmt.Errorf("%v\n%s", p, debug.Stack())}
		}
	}()
	if v, err = c.next.Verify(ctx, q); err != nil {
		return Verdict{}, undecided(err)
	}
	return v, nil
}

// follow has the flight know how its call goes on.
func (f *flight) follow(ctx context.Context) context.Context {
	ctx = f.trail.into(ctx)
	ctx = endor.WithAttempt(ctx, func() { f.asked.Store(true) })
	return endor.WithFailure(ctx, f.failed.Store)
}

// overrun is what is told to who waited in vain: what went wrong so far, or
// that nothing happened.
func (f *flight) overrun(why error) *Undecided {
	if failed := f.failed.Load(); failed != nil {
		return undecided(failed)
	}
	if f.asked.Load() {
		return &Undecided{Code: Unavailable, Cause: CauseBudget, Err: why}
	}
	return &Undecided{Code: Unavailable, Cause: CauseQueue, Err: why}
}

// Close ends the calls that are under way and waits for them. Questions that
// come later are undecided.
func (c *Coalesce) Close() {
	c.state.Lock()
	c.state.closed = true
	c.state.Unlock()
	c.end()
	c.calls.Wait()
}
