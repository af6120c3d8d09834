// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Three providers with one shared cache live through random schedules. What they
// answer is held against a book of all that Endor Labs
// ever said: each saying has a number that travels with the verdict, so the
// book knows its true age however often it was copied.

const (
	providers = 3

	// Short lives, because virtual time is not quite free. No answer may take
	// longer than the shortest life, or it would be past it when it comes.
	ttl      = time.Minute
	negative = 5 * time.Second
	stale    = time.Minute
	timeout  = 4 * time.Second

	// recovery is how long an outage is felt after it ended: calls that hung end
	// with their timeout, and the breaker is open for 5 seconds after the last
	// that overran its budget.
	recovery = 10 * time.Second
)

// modelImages are the images, and the keys that ask about them.
var modelImages = []string{"a@" + digest(1), "b@" + digest(2)}

// step is an event, some time after the one before.
type step struct {
	after time.Duration
	what  string
	who   int // the provider that it concerns; all of them if there is none with this number
	image int
}

// GoString is what rapid prints of a schedule that fails.
func (s step) GoString() string {
	if s == (step{what: "pass"}) { // what it is thinned out with
		return ""
	}
	return fmt.Sprintf("\n%8v later: %s (provider %d, image %d)", s.after, s.what, s.who, s.image)
}

// What happens in every schedule, and what else may. A schedule has a few of the
// others, so that each is dense in something: all at once hide each other.
var (
	usual  = []string{"pass", "ask", "ask", "ask", "ask", "sign", "revoke", "well"}
	others = []string{
		"brisk", "slow", "down", "hung", "misconfigured", "queue full", "nonsense", // how Endor Labs is for a provider from then on
		"restart", "shared lost", "shared down", "shared up", "shared replays", "clock 4s ahead", "clock 10s ahead",
	}
	pauses = []time.Duration{
		0, 200 * time.Millisecond, 300 * time.Millisecond, time.Second, time.Second, 2 * time.Second,
		negative, recovery, ttl*3/4 + time.Second, stale,
	}
)

var anySchedule = rapid.Custom(func(t *rapid.T) []step {
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(others), 1, 6, rapid.ID).Draw(t, "others")
	events := slices.Concat(usual, some)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			after: rapid.SampledFrom(pauses).Draw(t, "after"),
			what:  rapid.SampledFrom(events).Draw(t, "what"),
			who:   rapid.IntRange(0, providers).Draw(t, "who"),
			image: rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "image"),
		}
	}), 80, 160).Draw(t, "steps")
})

func TestVerdictsKeepTheirAgeAndOrderWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		if wrong := play(t, anySchedule.Draw(rt, "schedule")); wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// play lets a schedule happen and says which rule was broken first.
func play(t *testing.T, schedule []step) (wrong string) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{commons: newCommons(), truth: make([]truth, len(modelImages))}
		for range providers {
			w.links = append(w.links, &link{world: w, mood: "well"})
		}
		for _, l := range w.links {
			l.start(t)
		}
		for _, s := range schedule {
			time.Sleep(s.after)
			synctest.Wait() // what is due at this moment has happened
			w.happens(t, s)
		}
		w.asking.Wait()
		for _, l := range w.links {
			l.provider.desk.Close()
		}
		wrong = w.wrong
	})
	return wrong
}

// world is the reference: what is so, what was said, and who heard it.
type world struct {
	commons *commons
	links   []*link
	asking  sync.WaitGroup

	mu    sync.Mutex // protects the fields below, and those of links and providers
	truth []truth    // by image
	book  []saying
	wrong string
}

// truth is what Endor Labs thinks of an image, and since when.
type truth struct {
	code  verify.Code
	since time.Time
}

// saying is something that Endor Labs said once.
type saying struct {
	image int
	code  verify.Code
	at    time.Time     // when it was asked
	ahead time.Duration // how far the clock was ahead that dated it
}

// link is a provider's way to Endor Labs.
type link struct {
	world    *world
	provider *provider
	mood     string
	ill      time.Time // when it was last anything but well
	out      time.Time // when Endor Labs could last not be asked in time
}

// provider is one life of a replica. Its memory ends with it.
type provider struct {
	desk  *verify.Desk
	heard [][]hearing // by image
	ended bool
}

// hearing is a verdict and when it was heard.
type hearing struct {
	verify.Verdict
	at time.Time
}

func (l *link) start(t *testing.T) {
	desk, err := verify.New(l, verify.Config{
		Resolver: resolver, Shared: l.world.commons, UpstreamTimeout: timeout,
		Cache: verify.CacheConfig{TTL: ttl, NegativeTTL: negative, StaleIfError: stale},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.provider = &provider{desk: desk, heard: make([][]hearing, len(modelImages))}
}

func (w *world) happens(t *testing.T, s step) {
	concerned := w.links
	if s.who < providers {
		concerned = w.links[s.who : s.who+1]
	}
	id := verify.Identify(ask(t, modelImages[s.image]))
	switch s.what {
	case "sign":
		w.becomes(s.image, verify.Verified)
	case "revoke":
		w.becomes(s.image, verify.Revoked)
	case "shared lost":
		w.commons.lose()
	case "shared up", "shared down", "shared replays":
		w.commons.becomes(s.what)
	case "clock 4s ahead":
		w.strangerPuts(id, s.image, 4*time.Second)
	case "clock 10s ahead":
		w.strangerPuts(id, s.image, 10*time.Second)
	case "pass":
	default:
		for _, l := range concerned {
			switch s.what {
			case "ask":
				w.asking.Go(func() { l.ask(t, s.image) })
			case "restart":
				l.restart(t)
			default:
				l.becomes(s.what)
			}
			synctest.Wait()
		}
	}
}

func (w *world) becomes(image int, code verify.Code) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.truth[image].code != code {
		w.truth[image] = truth{code: code, since: time.Now()}
	}
}

// says asks Endor Labs: what is so now is written into the book.
func (w *world) says(image int, code verify.Code, ahead time.Duration) verify.Verdict {
	if code == "" {
		code = verify.NotSigned
	}
	now := time.Now()
	w.book = append(w.book, saying{image: image, code: code, at: now, ahead: ahead})
	return verify.Verdict{Code: code, Result: strconv.Itoa(len(w.book) - 1), AskedAt: now.Add(ahead)}
}

// strangerPuts has one more provider, whose clock is ahead, share what it heard.
func (w *world) strangerPuts(id verify.ID, image int, ahead time.Duration) {
	w.mu.Lock()
	v := w.says(image, w.truth[image].code, ahead)
	w.mu.Unlock()
	life := lifeOf(v.Code)
	w.commons.put(common{id: id, verdict: v, expires: v.AskedAt.Add(life), dropped: time.Now().Add(life)})
}

func lifeOf(code verify.Code) time.Duration {
	if code == verify.Verified {
		return ttl
	}
	return negative
}

func (l *link) restart(t *testing.T) {
	l.world.mu.Lock()
	l.provider.ended = true
	l.world.mu.Unlock()
	l.provider.desk.Close()
	l.start(t)
}

func (l *link) becomes(mood string) {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	l.notes() // of what it was until now
	l.mood = mood
}

// notes keeps account of how it was lately.
func (l *link) notes() {
	switch l.mood {
	case "well":
		return
	case "brisk", "slow", "down", "hung":
		l.out = time.Now()
	}
	l.ill = time.Now()
}

// Verify is the provider's call of Endor Labs.
func (l *link) Verify(ctx context.Context, q question.Question) (verify.Verdict, error) {
	w := l.world
	w.mu.Lock()
	p, mood := l.provider, l.mood
	image := 0
	for q.Image.Artifact() != modelImages[image] {
		image++
	}
	w.mu.Unlock()
	delay := time.Duration(0)
	switch mood {
	case "down":
		return fails(verify.Unavailable, "network")(ctx)
	case "misconfigured":
		return fails(verify.Misconfigured, "credentials")(ctx)
	case "queue full":
		return fails(verify.Unavailable, verify.CauseQueue)(ctx)
	case "hung":
		return hangs(ctx)
	case "brisk": // within the budget
		delay = 1500 * time.Millisecond
	case "slow":
		delay = timeout - time.Second
	}
	w.mu.Lock()
	code := w.truth[image].code
	if mood == "nonsense" {
		code = verify.UnrecognizedResult
	}
	v := w.says(image, code, 0)
	w.mu.Unlock()
	endor.Attempted(ctx)
	select { // what is so may change before it is heard
	case <-ctx.Done():
		return verify.Verdict{}, ctx.Err()
	case <-time.After(delay):
	}
	if code != verify.UnrecognizedResult { // which does not replace what is known
		w.mu.Lock()
		p.hears(image, v)
		w.mu.Unlock()
	}
	return v, nil
}

func (p *provider) hears(image int, v verify.Verdict) {
	p.heard[image] = append(p.heard[image], hearing{Verdict: v, at: time.Now()})
}

// ask asks about one image and judges the answer.
func (l *link) ask(t *testing.T, image int) {
	w := l.world
	w.mu.Lock()
	p := l.provider
	l.notes()
	well := time.Since(l.ill) >= recovery
	w.mu.Unlock()

	a := p.desk.Answers(t.Context(), modelImages[image:image+1])[0]

	w.mu.Lock()
	defer w.mu.Unlock()
	l.notes()
	rule := ""
	switch {
	case a.Undecided == nil:
		rule = w.judge(l, p, image, a.Verdict)
		p.hears(image, a.Verdict)
	case well && !p.ended:
		rule = "Endor Labs is well and it is undecided"
	}
	if rule != "" && w.wrong == "" {
		w.wrong = fmt.Sprintf("%s: %+v, %v", rule, a.Verdict, a.Undecided)
	}
}

// judge says which rule a verdict breaks that p gives about image now. These
// are all the rules.
func (w *world) judge(l *link, p *provider, image int, v verify.Verdict) string {
	now := time.Now()
	n, err := strconv.Atoi(v.Result)
	if err != nil {
		return "it comes from nowhere"
	}
	said := w.book[n]
	// A clock that is ahead is believed for as much longer.
	window := lifeOf(said.code) + said.ahead
	if v.Stale {
		window += stale
	}
	switch {
	case said.image != image || said.code != v.Code:
		return "this is not what Endor Labs said"
	case !v.AskedAt.Equal(said.at.Add(said.ahead)):
		return "its age is not counted from when it was asked"
	case v.AskedAt.After(now.Add(5 * time.Second)):
		return "it is from the future"
	case now.Sub(said.at) >= window:
		return "it is past its life"
	case v.Verified() && w.truth[image].code != verify.Verified && now.Sub(w.truth[image].since) >= window:
		return "it was revoked too long ago"
	case v.Stale && !v.Verified():
		return "a refusal was given past its life"
	case v.Stale && time.Since(l.out) >= recovery:
		return "it was given past its life though Endor Labs could be asked"
	}
	switch last := p.last(image); {
	case last.AskedAt.After(v.AskedAt):
		return "something that was asked for later was heard before"
	case v.Code == verify.UnrecognizedResult && last.Verified() && now.Sub(last.AskedAt) < ttl:
		return "it took the place of a live VERIFIED"
	}
	return ""
}

// last is what p has heard about an image, before this moment, of what was asked
// for last.
func (p *provider) last(image int) (last hearing) {
	for _, h := range p.heard[image] {
		if h.at.Before(time.Now()) && h.AskedAt.After(last.AskedAt) {
			last = h
		}
	}
	return last
}
