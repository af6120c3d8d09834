// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// LimitConfig configures a [Limit].
type LimitConfig struct {
	// Slots is how many questions are with Endor Labs at the same time; default
	// 32, at least 1.
	Slots int

	// MaxWaiting bounds the questions that wait for a slot; default 4,096, which
	// is 16 requests of the usual greatest size and, at 100 calls a second,
	// more than can be served before their calls time out.
	MaxWaiting int

	// Registerer takes the limit's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer
}

// Limit bounds how many questions are with Endor Labs at the same time, and is
// fair between the requests that they belong to. A question holds its slot for
// its whole call, also while it waits to be retried.
//
//   - Requests are served in rounds: each gets one slot a round, those with the
//     fewest unknown questions first. A request that comes while a round is
//     under way joins it, but only as many do so as there are slots: otherwise
//     a stream of small requests would keep a large one waiting for ever.
//   - While another request waits, one request gets no more than a quarter of
//     the slots, so that a flood leaves room for whoever comes next.
//   - A refresh is served when nobody else waits. Nobody waits for it.
//   - When too many wait, the request with the most loses its last one.
type Limit struct {
	next  Verifier
	cfg   LimitConfig
	share int // of one request while another waits

	seconds prometheus.Histogram

	state struct {
		sync.Mutex // protects the fields below and what they hold
		used       int
		waiting    int
		lines      map[*request]*line
		arrivals   int
		round      int
		joined     int // lines that came while round was under way
	}
}

var _ Verifier = (*Limit)(nil)

// line is what one request has waiting and under way.
type line struct {
	request *request
	arrival int
	round   int // in which it is served next
	running int
	waiters []*waiter // first come, first served
}

// waiter is a question without a slot.
type waiter struct {
	line *line

	// out is closed when it is out of its line: with a slot if granted is set,
	// or because too many wait.
	out     chan struct{}
	granted bool
}

// NewLimit makes a Limit of n questions.
func NewLimit(next Verifier, n int) *Limit {
	return NewLimitWith(next, LimitConfig{Slots: max(n, 1)})
}

// NewLimitWith makes a Limit.
func NewLimitWith(next Verifier, cfg LimitConfig) *Limit {
	if cfg.Slots == 0 {
		cfg.Slots = 32
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 4096
	}
	cfg.Slots = max(cfg.Slots, 1)
	l := &Limit{next: next, cfg: cfg, share: max(cfg.Slots/4, 1)}
	l.state.lines = map[*request]*line{}
	f := promauto.With(cfg.Registerer)
	l.seconds = f.NewHistogram(prometheus.HistogramOpts{
		Name:    "upstream_wait_seconds",
		Help:    "Time that questions waited for a slot, whether or not they got it.",
		Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 1.7, 2.5, 5, 10, 15},
	})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "upstream_waiting",
		Help: "Questions that wait for a slot.",
	}, func() float64 { return l.read(&l.state.waiting) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "upstream_slots_used",
		Help: "Questions that hold a slot.",
	}, func() float64 { return l.read(&l.state.used) })
	return l
}

func (l *Limit) read(n *int) float64 {
	l.state.Lock()
	defer l.state.Unlock()
	return float64(*n)
}

var (
	errQueueFull = errors.New("too many questions wait for a slot")
	errOpened    = errors.New("Endor Labs began to fail while the question waited for a slot")
)

// Verify waits for a slot, but not longer than ctx.
func (l *Limit) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	passage := passageOf(ctx)
	passage.waits()
	w, err := l.acquire(ctx, passage.opens())
	if errors.Is(err, errOpened) {
		if u := passage.goesOn(); u != nil {
			return Verdict{}, u
		}
		passage.waits() // it is closed again already
		w, err = l.acquire(ctx, nil)
	}
	if err != nil {
		return Verdict{}, &Undecided{Code: Unavailable, Cause: CauseQueue, Err: err}
	}
	defer l.release(w)
	if u := passage.goesOn(); u != nil {
		return Verdict{}, u
	}
	return l.next.Verify(ctx, q)
}

// acquire fails with errOpened if opened is closed before there is a slot.
func (l *Limit) acquire(ctx context.Context, opened <-chan struct{}) (*waiter, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	start := time.Now()
	w := l.join(requestOf(ctx))
	if w == nil {
		return nil, errQueueFull
	}
	turnedBack := false
	select {
	case <-w.out:
	case <-ctx.Done():
	case <-opened:
		turnedBack = true
	}
	waited := time.Since(start)
	l.seconds.Observe(waited.Seconds())
	trailOf(ctx).waited(waited)
	if ctx.Err() != nil { // perhaps as well as a slot
		l.leave(w)
		return nil, context.Cause(ctx)
	}
	if turnedBack {
		l.leave(w)
		return nil, errOpened
	}
	if !w.granted {
		return nil, errQueueFull
	}
	return w, nil
}

// join puts a question into the line of its request; nil if there is no room.
func (l *Limit) join(r *request) *waiter {
	s := &l.state
	s.Lock()
	defer s.Unlock()
	mine, found := s.lines[r]
	if !found {
		mine = &line{request: r, arrival: s.arrivals}
		s.arrivals++
	}
	if s.waiting >= l.cfg.MaxWaiting && !l.makeRoomFor(mine) {
		return nil
	}
	if len(mine.waiters) == 0 {
		l.enterRound(mine)
	}
	w := &waiter{line: mine, out: make(chan struct{})}
	mine.waiters = append(mine.waiters, w)
	s.lines[r] = mine
	s.waiting++
	l.dispatch()
	return w
}

// enterRound says when a line that begins to wait is served.
func (l *Limit) enterRound(c *line) {
	s := &l.state
	switch {
	case c.round > s.round: // it had its turn in this round
	case s.joined < l.cfg.Slots:
		c.round = s.round
		s.joined++
	default:
		c.round = s.round + 1
	}
}

// makeRoomFor takes the last question out of the line that has most of them,
// refreshes first; not out of one that is no longer than mine would be.
func (l *Limit) makeRoomFor(mine *line) bool {
	var most *line
	for _, c := range l.state.lines {
		if len(c.waiters) > 0 && (most == nil || c.yieldsBefore(most)) {
			most = c
		}
	}
	switch {
	case most == nil || most == mine:
		return false
	case most.request.refresh != mine.request.refresh:
		if mine.request.refresh {
			return false
		}
	case len(most.waiters) <= len(mine.waiters)+1:
		return false
	}
	w := most.waiters[len(most.waiters)-1]
	l.remove(w)
	close(w.out)
	return true
}

func (c *line) yieldsBefore(other *line) bool {
	switch {
	case c.request.refresh != other.request.refresh:
		return c.request.refresh
	case len(c.waiters) != len(other.waiters):
		return len(c.waiters) > len(other.waiters)
	default:
		return c.arrival > other.arrival
	}
}

// leave ends a wait, wherever it is: in the line, out of it, or with a slot
// that came at the same moment.
func (l *Limit) leave(w *waiter) {
	l.state.Lock()
	defer l.state.Unlock()
	switch {
	case w.granted:
		l.free(w)
	case slices.Contains(w.line.waiters, w):
		l.remove(w)
	}
	// One request less may wait, which can free the others from their share.
	l.dispatch()
}

func (l *Limit) release(w *waiter) {
	l.state.Lock()
	defer l.state.Unlock()
	l.free(w)
	l.dispatch()
}

func (l *Limit) free(w *waiter) {
	l.state.used--
	w.line.running--
	l.forgetIdle(w.line)
}

func (l *Limit) remove(w *waiter) {
	c := w.line
	i := slices.Index(c.waiters, w)
	c.waiters = slices.Delete(c.waiters, i, i+1)
	l.state.waiting--
	l.forgetIdle(c)
}

func (l *Limit) forgetIdle(c *line) {
	if c.running == 0 && len(c.waiters) == 0 {
		delete(l.state.lines, c.request)
	}
}

// dispatch gives out the slots that may be given.
func (l *Limit) dispatch() {
	s := &l.state
	for s.used < l.cfg.Slots {
		c := l.first()
		if c == nil {
			return
		}
		if c.round > s.round {
			s.round, s.joined = c.round, 0
		}
		c.round = s.round + 1
		w := c.waiters[0]
		s.used++
		c.running++
		l.remove(w)
		w.granted = true
		close(w.out)
	}
}

// first is the line to be served next; nil if none may be.
func (l *Limit) first() *line {
	requests, refreshes := 0, 0
	for _, c := range l.state.lines {
		switch {
		case len(c.waiters) == 0:
		case c.request.refresh:
			refreshes++
		default:
			requests++
		}
	}
	var first *line
	for _, c := range l.state.lines {
		others := requests - 1
		if c.request.refresh {
			others = refreshes - 1
			if requests > 0 {
				continue
			}
		}
		if len(c.waiters) > 0 && (c.running < l.share || others == 0) && (first == nil || c.before(first)) {
			first = c
		}
	}
	return first
}

// before compares lines that are both refreshes or both none.
func (c *line) before(other *line) bool {
	switch {
	case c.round != other.round:
		return c.round < other.round
	case c.request.unknown != other.request.unknown:
		return c.request.unknown < other.request.unknown
	default:
		return c.arrival < other.arrival
	}
}
