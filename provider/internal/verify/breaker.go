// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/sony/gobreaker/v2"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// BreakerConfig configures a [Breaker].
type BreakerConfig struct {
	// Budget is how long Endor Labs may take over a question until that counts
	// as a failure; default [DefaultBudget], after which no request waits for it.
	Budget time.Duration

	// Failures in a row open the breaker; default 10. A single node of Endor's
	// that restarts fails fewer. It must not be more than the slots of the
	// [Limit] behind, or calls that hang would hold all of them before there are
	// enough failures.
	Failures int

	// Calls is how many have to end within Window so that more than half of them
	// failing opens the breaker too; defaults 20 in 10 seconds. It sees an
	// outage of one part of Endor Labs, where the rest goes on to decide.
	Calls  int
	Window time.Duration

	// OpenFor is how long nobody is asked once the breaker is open; default 5
	// seconds: an outage costs Endor Labs one call per replica in that time, and
	// its end is noticed before controllers try for the second or third time.
	OpenFor time.Duration

	// Registerer takes the breaker's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer
}

const (
	// maxHold bounds what a Retry-After can ask for: a wrong one must not stop
	// the provider for a day.
	maxHold = time.Minute

	namespaceDelay    = 5 * time.Second
	maxNamespaceDelay = time.Minute

	// maxNamespaces bounds the Endor namespaces that are remembered as refusing.
	// Constraints name them, so there are few unless somebody makes them up.
	maxNamespaces = 1024
)

// Breaker spares Endor Labs, and those who wait for it, questions that have no
// hope. What it does not let through is answered at once. There are three
// reasons, apart from each other because each concerns other questions:
//
//   - Endor Labs fails or hangs. After some time one question at a time is let
//     through, and the first that is decided ends it. Only what a question's
//     author cannot bring about counts: no verdict does, whatever it is, nor
//     waiting within the provider, nor credentials or permissions, nor callers
//     that left.
//   - Endor Labs asked for a pause with Retry-After, longer than a call lasts.
//   - One Endor namespace is unknown or forbidden. That is somebody's mistake,
//     and nobody else's outage.
//
// It belongs before [Limit], so that nobody waits for a slot in vain, and is
// asked again behind the wait: what happened meanwhile counts.
type Breaker struct {
	next       Verifier
	budget     time.Duration
	circuit    *gobreaker.TwoStepCircuitBreaker[Verdict]
	opened     atomic.Pointer[chan struct{}] // closed, and replaced, when the circuit opens
	hold       hold
	namespaces namespaces
}

var _ Verifier = (*Breaker)(nil)

// DefaultBreakerFailures is the default of [BreakerConfig.Failures].
const DefaultBreakerFailures = 10

// NewBreaker makes a Breaker that is closed.
func NewBreaker(next Verifier, cfg BreakerConfig) *Breaker {
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	if cfg.Failures == 0 {
		cfg.Failures = DefaultBreakerFailures
	}
	if cfg.Calls == 0 {
		cfg.Calls = 20
	}
	if cfg.Window == 0 {
		cfg.Window = 10 * time.Second
	}
	if cfg.OpenFor == 0 {
		cfg.OpenFor = 5 * time.Second
	}
	b := &Breaker{next: next, budget: cfg.Budget, namespaces: namespaces{refusing: map[string]refusing{}}}
	b.opened.Store(newOpened())
	f := promauto.With(cfg.Registerer)
	transitions := f.NewCounterVec(prometheus.CounterOpts{
		Name: "upstream_breaker_transitions_total",
		Help: "Changes of the circuit breaker before Endor Labs, by the state it came to.",
	}, []string{"to"})
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[Verdict](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     cfg.Window,
		BucketPeriod: cfg.Window / 10,
		Timeout:      cfg.OpenFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			ended := n.TotalSuccesses + n.TotalFailures
			return int(n.ConsecutiveFailures) >= cfg.Failures ||
				int(ended) >= cfg.Calls && 2*n.TotalFailures > ended
		},
		IsExcluded: func(outcome error) bool { return errors.Is(outcome, errNoSign) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				close(*b.opened.Swap(newOpened()))
			}
			transitions.WithLabelValues(stateLabel(to)).Inc()
		},
	})
	for _, state := range []gobreaker.State{gobreaker.StateClosed, gobreaker.StateHalfOpen, gobreaker.StateOpen} {
		transitions.WithLabelValues(stateLabel(state)) // an alert needs a zero to rise from
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "upstream_breaker_state",
			Help:        "1 for the state that the circuit breaker before Endor Labs is in, 0 for the others.",
			ConstLabels: prometheus.Labels{"state": stateLabel(state)},
		}, func() float64 {
			if b.circuit.State() == state {
				return 1
			}
			return 0
		})
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "upstream_hold_seconds",
		Help: "How long calls are still held because Endor Labs asked for it with Retry-After; 0 if they are not.",
	}, func() float64 { return b.hold.left().Seconds() })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "upstream_refusing_namespaces",
		Help: "Endor namespaces that are not asked for a while because Endor Labs refused them.",
	}, func() float64 { return float64(b.namespaces.count()) })
	return b
}

func newOpened() *chan struct{} {
	c := make(chan struct{})
	return &c
}

func stateLabel(s gobreaker.State) string {
	if s == gobreaker.StateHalfOpen {
		return "half_open"
	}
	return s.String()
}

// Outcomes of a call, as the circuit is told them; nil is a decision.
var (
	errFailed = errors.New("Endor Labs failed")
	errNoSign = errors.New("this says nothing of Endor Labs")
)

// errHeld is why Endor Labs was not asked again.
var errHeld = errors.New("it is too early to ask again")

// Verify asks, or answers at once if there is no hope.
func (b *Breaker) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	if u := b.heldBack(q.Namespace); u != nil {
		return Verdict{}, u
	}
	opened := *b.opened.Load()
	done, err := b.circuit.Allow()
	if err != nil {
		return Verdict{}, &Undecided{Code: Unavailable, Cause: CauseBreaker, Err: err}
	}
	p := newPassage(b, q.Namespace, done)
	p.opened = opened
	// A panic says nothing of Endor Labs. Every other way has reported before.
	defer p.end(errNoSign)
	v, err := b.next.Verify(p.into(ctx), q)
	if err == nil {
		p.end(nil)
		b.namespaces.clear(q.Namespace)
		return v, nil
	}
	u := undecided(err)
	if p.heldBack {
		return Verdict{}, u
	}
	b.hold.learn(u)
	b.namespaces.learn(q.Namespace, p.began, u)
	p.end(outcome(ctx, u))
	return Verdict{}, u
}

// heldBack answers for Endor Labs while it is not to be asked.
func (b *Breaker) heldBack(namespace string) *Undecided {
	if u := b.namespaces.answer(namespace); u != nil {
		return u
	}
	return b.hold.answer()
}

// failures are the causes that count. What Endor Labs says of a credential or a
// namespace does not, and neither does what happens within the provider.
var failures = []Cause{
	Cause(endor.ReasonNetwork), Cause(endor.ReasonTimeout), Cause(endor.ReasonRateLimited),
	Cause(endor.ReasonServerError), Cause(endor.ReasonBadResponse),
}

func outcome(ctx context.Context, u *Undecided) error {
	if errors.Is(ctx.Err(), context.Canceled) { // whoever asked left; how it would have ended is not known
		return errNoSign
	}
	if u.Code == Unavailable && slices.Contains(failures, u.Cause) {
		return errFailed
	}
	return errNoSign
}

// passage is one question that was let through. It travels in the context, so
// that waits within the provider are not held against Endor Labs.
type passage struct {
	breaker   *Breaker
	namespace string
	began     time.Time
	opened    <-chan struct{} // closed when the circuit opens

	// heldBack says that it was turned back behind a wait. Only the goroutine
	// that asks looks at it.
	heldBack bool

	once sync.Once
	done func(error)

	watch struct {
		sync.Mutex // protects the fields below
		overrun    *time.Timer
		since      time.Time // zero while the provider itself is what is waited for
		left       time.Duration
	}
}

func newPassage(b *Breaker, namespace string, done func(error)) *passage {
	now := time.Now()
	p := &passage{breaker: b, namespace: namespace, began: now, done: done}
	p.watch.Lock()
	defer p.watch.Unlock()
	p.watch.since, p.watch.left = now, b.budget
	p.watch.overrun = time.AfterFunc(b.budget, func() { p.report(errFailed) })
	return p
}

// report tells the circuit how the question ended. Only the first time counts:
// one that overran its budget has failed, whatever comes of it later.
func (p *passage) report(outcome error) { p.once.Do(func() { p.done(outcome) }) }

func (p *passage) end(outcome error) {
	p.waits() // for nobody: the time is over
	p.report(outcome)
}

type passageKey struct{}

func (p *passage) into(asking context.Context) context.Context {
	ctx := endor.WithPause(asking, p.waits)
	ctx = endor.WithAttempt(ctx, func() {
		p.resumes()
		endor.Attempted(asking)
	})
	return context.WithValue(ctx, passageKey{}, p)
}

// passageOf is nil for a question that passed no breaker. The methods below do
// nothing then.
func passageOf(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

// waits says that the provider makes the question wait.
func (p *passage) waits() {
	if p == nil {
		return
	}
	w := &p.watch
	w.Lock()
	defer w.Unlock()
	if !w.since.IsZero() {
		w.overrun.Stop()
		w.left -= time.Since(w.since)
		w.since = time.Time{}
	}
}

// resumes says that such a wait is over.
func (p *passage) resumes() {
	w := &p.watch
	w.Lock()
	defer w.Unlock()
	if w.since.IsZero() {
		w.since = time.Now()
		w.overrun.Reset(w.left)
	}
}

// opens is closed when there is no hope any more for who waits; nil, which is
// never closed, for a question that passed no breaker.
func (p *passage) opens() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.opened
}

// turnedBack says that the circuit opened since the question was let through.
func (p *passage) turnedBack() bool {
	select {
	case <-p.opened:
		return true
	default:
		return false
	}
}

// goesOn is resumes for a wait during which Endor Labs may have begun to fail.
// Its answer, if any, is the question's.
func (p *passage) goesOn() *Undecided {
	if p == nil {
		return nil
	}
	b := p.breaker
	u := b.heldBack(p.namespace)
	if u == nil && p.turnedBack() && b.circuit.State() != gobreaker.StateClosed {
		u = &Undecided{Code: Unavailable, Cause: CauseBreaker, Err: errHeld}
	}
	if u != nil {
		p.heldBack = true
		return u
	}
	p.resumes()
	return nil
}

// hold is the pause that Endor Labs asked for.
type hold struct {
	sync.Mutex // protects the fields below
	until      time.Time
	cause      Cause
}

func (h *hold) learn(u *Undecided) {
	e, ok := errors.AsType[*endor.Error](u.Err)
	if !ok || e.RetryAfter <= 0 {
		return
	}
	h.Lock()
	defer h.Unlock()
	if until := time.Now().Add(min(e.RetryAfter, maxHold)); until.After(h.until) {
		h.until, h.cause = until, u.Cause
	}
}

func (h *hold) answer() *Undecided {
	h.Lock()
	defer h.Unlock()
	if !time.Now().Before(h.until) {
		return nil
	}
	return &Undecided{Code: Unavailable, Cause: h.cause, Err: errHeld}
}

func (h *hold) left() time.Duration {
	h.Lock()
	defer h.Unlock()
	return max(time.Until(h.until), 0)
}

// namespaces are the Endor namespaces that Endor Labs refuses.
type namespaces struct {
	sync.Mutex // protects refusing
	refusing   map[string]refusing
}

type refusing struct {
	until time.Time
	delay time.Duration
	cause Cause
}

// learn begins a pause, twice as long as the last one. Many questions that were
// under way at the same time may be refused; that is one refusal. One that
// comes long after the last does not continue it.
func (n *namespaces) learn(namespace string, began time.Time, u *Undecided) {
	if u.Cause != Cause(endor.ReasonForbidden) && u.Cause != Cause(endor.ReasonNotFound) {
		return
	}
	if e, ok := errors.AsType[*endor.Error](u.Err); ok && e.OfCredential() {
		return // package endor backs off from those
	}
	n.Lock()
	defer n.Unlock()
	last, found := n.refusing[namespace]
	if found && began.Before(last.until) {
		return
	}
	now := time.Now()
	delay := namespaceDelay
	if found && now.Sub(last.until) < maxNamespaceDelay {
		delay = min(2*last.delay, maxNamespaceDelay)
	}
	if !found && len(n.refusing) >= maxNamespaces {
		n.forgetOne()
	}
	n.refusing[namespace] = refusing{until: now.Add(delay), delay: delay, cause: u.Cause}
}

// forgetOne forgets what would be of no use first.
func (n *namespaces) forgetOne() {
	var oldest string
	var until time.Time
	for namespace, r := range n.refusing {
		if until.IsZero() || r.until.Before(until) {
			oldest, until = namespace, r.until
		}
	}
	delete(n.refusing, oldest)
}

func (n *namespaces) answer(namespace string) *Undecided {
	n.Lock()
	defer n.Unlock()
	r, found := n.refusing[namespace]
	if !found || !time.Now().Before(r.until) {
		return nil
	}
	return &Undecided{Code: Misconfigured, Cause: r.cause, Err: errHeld}
}

func (n *namespaces) clear(namespace string) {
	n.Lock()
	defer n.Unlock()
	delete(n.refusing, namespace)
}

func (n *namespaces) count() int {
	n.Lock()
	defer n.Unlock()
	now, count := time.Now(), 0
	for _, r := range n.refusing {
		if now.Before(r.until) {
			count++
		}
	}
	return count
}
