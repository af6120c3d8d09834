// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// slots is an Endor Labs behind a Limit that answers each question when told.
type slots struct {
	t     *testing.T
	limit *verify.Limit

	mu    sync.Mutex
	order []string // questions in the order in which they got a slot
	held  map[string]chan struct{}
	ended map[string]error
}

func newSlots(t *testing.T, cfg verify.LimitConfig) *slots {
	t.Helper()
	s := &slots{t: t, held: map[string]chan struct{}{}, ended: map[string]error{}}
	s.limit = verify.NewLimitWith(s, cfg)
	return s
}

func (s *slots) Verify(_ context.Context, q question.Question) (verify.Verdict, error) {
	s.mu.Lock()
	name := strings.TrimPrefix(q.Image.Name(), "example.com/")
	s.order = append(s.order, name)
	answer := make(chan struct{})
	s.held[name] = answer
	s.mu.Unlock()
	<-answer
	return verified(), nil
}

// ask asks a question and gives a way to leave.
func (s *slots) ask(ctx context.Context, name string) (leave func()) {
	s.t.Helper()
	ctx, leave = context.WithCancel(ctx)
	q := ask(s.t, "example.com/"+name+"@"+digest(1))
	go func() {
		_, err := s.limit.Verify(ctx, q)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended[name] = err
	}()
	synctest.Wait()
	return leave
}

// askAll asks the questions name-0 to name-(n-1) of one request.
func (s *slots) askAll(ctx context.Context, name string, n int) {
	s.t.Helper()
	for i := range n {
		s.ask(ctx, fmt.Sprintf("%s-%d", name, i))
	}
}

// answer ends the call about a question, which holds a slot.
func (s *slots) answer(name string) {
	s.t.Helper()
	s.mu.Lock()
	answer, ok := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if !ok {
		s.t.Fatalf("%s holds no slot", name)
	}
	close(answer)
	synctest.Wait()
}

// answerAll answers until nothing waits, always the question that is longest
// with Endor, and gives the order in which slots were got from now on.
func (s *slots) answerAll() []string {
	s.t.Helper()
	from := len(s.order)
	for _, name := range s.order {
		if _, ok := s.held[name]; ok {
			s.answer(name)
		}
	}
	for i := from; i < len(s.order); i++ {
		s.answer(s.order[i])
	}
	return s.order[from:]
}

func (s *slots) running() []string { return slices.Sorted(maps.Keys(s.held)) }

func (s *slots) runningOf(request string) (n int) {
	for name := range s.held {
		if strings.HasPrefix(name, request+"-") {
			n++
		}
	}
	return n
}

func wantQueue(t *testing.T, err error) {
	t.Helper()
	if u, ok := errors.AsType[*verify.Undecided](err); !ok || u.Code != verify.Unavailable || u.Cause != verify.CauseQueue {
		t.Errorf("error = %v, want UNAVAILABLE because of a queue", err)
	}
}

func TestLimitHoldsQuestionsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		l := verify.NewLimit(verifierFunc(func(context.Context, question.Question) (verify.Verdict, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return verified(), nil
		}), 4)
		start := time.Now()
		request := verify.InRequest(t.Context(), 10)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if _, err := l.Verify(request, ask(t, "a@"+digest(i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); most != 4 || took != 3*time.Second {
			t.Errorf("at most %d at once, %v in all; want 4 and 3s", most, took)
		}
	})
}

func TestARequestAloneUsesAllSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 8})
		s.askAll(verify.InRequest(t.Context(), 20), "a", 20)
		if got := s.runningOf("a"); got != 8 {
			t.Errorf("it has %d of 8 slots", got)
		}
		s.answerAll()
	})
}

func TestASmallRequestBesideAFloodWaitsForOneCallAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const call = 50 * time.Millisecond
		l := verify.NewLimit(verifierFunc(func(context.Context, question.Question) (verify.Verdict, error) {
			time.Sleep(call)
			return verified(), nil
		}), 32)
		var wg sync.WaitGroup
		flood := verify.InRequest(t.Context(), 200)
		for i := range 200 {
			wg.Go(func() {
				if _, err := l.Verify(flood, ask(t, "flood@"+digest(i))); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		for n := range 5 {
			time.Sleep(7 * time.Millisecond) // not in step with the flood
			start := time.Now()
			if _, err := l.Verify(verify.InRequest(t.Context(), 1), ask(t, "small@"+digest(n))); err != nil {
				t.Error(err)
			}
			if waited := time.Since(start) - call; waited > call {
				t.Errorf("request %d waited %v for a slot, want at most %v", n, waited, call)
			}
		}
		wg.Wait()
	})
}

func TestWhileAnotherWaitsARequestHoldsAQuarterAtMost(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ slots, share int }{{8, 2}, {32, 8}, {3, 1}, {1, 1}} {
		t.Run(fmt.Sprintf("%d slots", tc.slots), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSlots(t, verify.LimitConfig{Slots: tc.slots})
				s.askAll(verify.InRequest(t.Context(), 20), "a", 3*tc.slots)
				s.askAll(verify.InRequest(t.Context(), 30), "b", 3*tc.slots)
				// What a holds already is not taken away, but it gets no more.
				for i := range tc.slots {
					s.answer(fmt.Sprintf("a-%d", i))
					if got := s.runningOf("b"); got > tc.share {
						t.Fatalf("b holds %d slots, want at most %d", got, tc.share)
					}
				}
				if got := s.runningOf("a"); got > tc.share {
					t.Errorf("a holds %d slots, want at most %d", got, tc.share)
				}
				s.answerAll()
			})
		})
	}
}

func TestWhenTheOthersAreServedARequestMayUseAllAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 8})
		s.askAll(verify.InRequest(t.Context(), 30), "a", 30)
		s.ask(verify.InRequest(t.Context(), 1), "b")
		s.answer("a-0")
		if got := s.running(); len(got) != 8 || !slices.Contains(got, "b") {
			t.Fatalf("running %v, want b and 7 of a", got)
		}
		for i := range 7 {
			s.answer(fmt.Sprintf("a-%d", i+1))
		}
		if got := s.runningOf("a"); got != 7 {
			t.Errorf("a holds %d slots, want all 7 that b does not hold: nobody else waits", got)
		}
		s.answerAll()
	})
}

func TestARequestThatLeavesFreesTheOthersFromTheirShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 4})
		first := verify.InRequest(t.Context(), 1)
		for i := range 4 {
			s.ask(first, fmt.Sprintf("first-%d", i))
		}
		s.askAll(verify.InRequest(t.Context(), 5), "a", 5)
		gone, cancel := context.WithCancel(verify.InRequest(t.Context(), 3))
		s.askAll(gone, "b", 3)
		for i := range 4 {
			s.answer(fmt.Sprintf("first-%d", i))
		}
		if a, b := s.runningOf("a"), s.runningOf("b"); a != 1 || b != 1 {
			t.Fatalf("a holds %d slots and b %d, want a quarter of 4 each while the other waits", a, b)
		}
		cancel()
		synctest.Wait()
		if a := s.runningOf("a"); a != 3 {
			t.Errorf("a holds %d slots, want all 3 that b does not hold", a)
		}
		s.answerAll()
	})
}

func TestRequestsAreServedInRoundsTheSmallestFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 1})
		s.ask(t.Context(), "first")
		s.askAll(verify.InRequest(t.Context(), 4), "large", 4)
		s.askAll(verify.InRequest(t.Context(), 2), "middle", 2)
		s.askAll(verify.InRequest(t.Context(), 1), "small", 1)
		s.askAll(verify.InRequest(t.Context(), 2), "later", 2)
		want := []string{
			"small-0", "middle-0", "later-0", "large-0",
			"middle-1", "later-1", "large-1",
			"large-2", "large-3",
		}
		if diff := cmp.Diff(want, s.answerAll()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestARequestThatComesDuringARoundJoinsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 1})
		s.ask(t.Context(), "first")
		s.askAll(verify.InRequest(t.Context(), 3), "a", 3)
		s.askAll(verify.InRequest(t.Context(), 4), "b", 3)
		s.answer("first")
		s.ask(verify.InRequest(t.Context(), 1), "small") // comes while a-0 runs and b-0 is next
		want := []string{"small", "b-0", "a-1", "b-1", "a-2", "b-2"}
		if diff := cmp.Diff(want, s.answerAll()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestARequestHasOneTurnARound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 8})
		s.askAll(verify.InRequest(t.Context(), 1), "first", 8)
		small := verify.InRequest(t.Context(), 1)
		s.ask(small, "small-0")
		s.askAll(verify.InRequest(t.Context(), 9), "large", 3)
		s.answer("first-0")
		s.ask(small, "small-1") // it was served in this round, and large was not
		s.answer("first-1")
		if got := s.runningOf("large"); got != 1 {
			t.Errorf("running %v, want one of large", s.running())
		}
		s.answerAll()
	})
}

func TestAStreamOfSmallRequestsKeepsNobodyWaitingForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 4})
		s.askAll(verify.InRequest(t.Context(), 1), "first", 4)
		s.ask(verify.InRequest(t.Context(), 100), "large")
		s.ask(verify.InRequest(t.Context(), 1), "small-0")
		small := 1
		for i := 0; !slices.Contains(s.order, "large"); i++ {
			if small++; small > 100 {
				t.Fatal("100 small requests came before one large one")
			}
			s.ask(verify.InRequest(t.Context(), 1), fmt.Sprintf("small-%d", small))
			s.answer(s.order[i])
		}
		t.Logf("%d small requests came first", small)
		s.answerAll()
	})
}

func TestRefreshesComeLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 1})
		s.ask(t.Context(), "first")
		s.ask(verify.InRefresh(t.Context()), "refresh-0")
		s.ask(verify.InRefresh(t.Context()), "refresh-1")
		s.askAll(verify.InRequest(t.Context(), 50), "large", 3)
		want := []string{"large-0", "large-1", "large-2", "refresh-0", "refresh-1"}
		if diff := cmp.Diff(want, s.answerAll()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestARefreshThatWaitsTakesNothingFromARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 4})
		s.askAll(verify.InRequest(t.Context(), 8), "a", 8)
		s.ask(verify.InRefresh(t.Context()), "refresh")
		s.answer("a-0")
		s.answer("a-1")
		if got := s.runningOf("a"); got != 4 {
			t.Errorf("the request holds %d slots of 4 while a refresh waits, want all", got)
		}
		s.answerAll()
	})
}

func TestWhoCannotWaitForASlotIsUndecided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 1})
		s.ask(t.Context(), "first")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := s.limit.Verify(ctx, ask(t, api))
		wantQueue(t, err)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v, want 1s", waited)
		}
		if _, err = s.limit.Verify(ctx, ask(t, api)); err == nil {
			t.Error("a question whose time was over got a slot")
		}
		s.answerAll()
	})
}

func TestWhoLeavesLosesItsPlaceAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 1})
		s.ask(t.Context(), "first")
		request := verify.InRequest(t.Context(), 3)
		s.ask(request, "a-0")
		leave := s.ask(request, "a-1")
		s.ask(request, "a-2")
		leave()
		synctest.Wait()
		wantQueue(t, s.ended["a-1"])
		if diff := cmp.Diff([]string{"a-0", "a-2"}, s.answerAll()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestASlotThatComesAsItsWaiterLeavesIsNotLost(t *testing.T) {
	t.Parallel()
	for range 100 { // which of the two is seen first is left to chance
		synctest.Test(t, func(t *testing.T) {
			l := verify.NewLimit(verifierFunc(func(context.Context, question.Question) (verify.Verdict, error) {
				time.Sleep(time.Second)
				return verified(), nil
			}), 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var wg sync.WaitGroup
			for i := range 3 {
				wg.Go(func() { _, _ = l.Verify(ctx, ask(t, "a@"+digest(i))) })
			}
			wg.Wait()
			start := time.Now()
			if _, err := l.Verify(t.Context(), ask(t, api)); err != nil || time.Since(start) != time.Second {
				t.Errorf("error %v after %v, want a verdict after 1s: a slot was lost", err, time.Since(start))
			}
		})
	}
}

func TestAPanicGivesItsSlotBack(t *testing.T) {
	t.Parallel()
	l := verify.NewLimit(verifierFunc(func(_ context.Context, q question.Question) (verify.Verdict, error) {
		if strings.HasSuffix(q.Image.Name(), "evil") {
			panic("unexpected")
		}
		return verified(), nil
	}), 1)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was hidden")
			}
		}()
		_, _ = l.Verify(t.Context(), ask(t, "evil@"+digest(1)))
	}()
	if _, err := l.Verify(t.Context(), ask(t, api)); err != nil {
		t.Error(err)
	}
}

func TestTooManyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t, verify.LimitConfig{Slots: 1, MaxWaiting: 6})
		s.ask(t.Context(), "first")
		flood := verify.InRequest(t.Context(), 9)
		s.askAll(flood, "flood", 4)
		s.ask(verify.InRefresh(t.Context()), "refresh")
		two := verify.InRequest(t.Context(), 2)
		s.askAll(two, "two", 2)
		if _, ended := s.ended["two-1"]; ended {
			t.Error("one of a small request found no room, while a refresh had one")
		}
		wantQueue(t, s.ended["refresh"])

		start := time.Now()
		_, err := s.limit.Verify(flood, ask(t, api))
		if wantQueue(t, err); time.Since(start) != 0 {
			t.Error("one too many of the largest request was left to wait")
		}
		s.ask(verify.InRequest(t.Context(), 1), "small")
		wantQueue(t, s.ended["flood-3"])
		_, err = s.limit.Verify(two, ask(t, api)) // it has 2, and the flood no more than one more
		wantQueue(t, err)
		_, err = s.limit.Verify(verify.InRefresh(t.Context()), ask(t, api))
		wantQueue(t, err)
		want := []string{"small", "two-0", "flood-0", "two-1", "flood-1", "flood-2"}
		if diff := cmp.Diff(want, s.answerAll()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestMetricsOfLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		s := newSlots(t, verify.LimitConfig{Slots: 2, Registerer: reg})
		s.askAll(t.Context(), "a", 5)
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
			# HELP upstream_slots_used Questions that hold a slot.
			# TYPE upstream_slots_used gauge
			upstream_slots_used 2
			# HELP upstream_waiting Questions that wait for a slot.
			# TYPE upstream_waiting gauge
			upstream_waiting 3
		`), "upstream_slots_used", "upstream_waiting"); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		s.answerAll()
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
			# HELP upstream_wait_seconds Time that questions waited for a slot, whether or not they got it.
			# TYPE upstream_wait_seconds histogram
			upstream_wait_seconds_bucket{le="0.001"} 2
			upstream_wait_seconds_bucket{le="0.01"} 2
			upstream_wait_seconds_bucket{le="0.05"} 2
			upstream_wait_seconds_bucket{le="0.1"} 2
			upstream_wait_seconds_bucket{le="0.25"} 2
			upstream_wait_seconds_bucket{le="0.5"} 2
			upstream_wait_seconds_bucket{le="1"} 2
			upstream_wait_seconds_bucket{le="1.7"} 2
			upstream_wait_seconds_bucket{le="2.5"} 5
			upstream_wait_seconds_bucket{le="5"} 5
			upstream_wait_seconds_bucket{le="10"} 5
			upstream_wait_seconds_bucket{le="15"} 5
			upstream_wait_seconds_bucket{le="+Inf"} 5
			upstream_wait_seconds_sum 6
			upstream_wait_seconds_count 5
		`), "upstream_wait_seconds"); err != nil {
			t.Error(err)
		}
	})
}

// A reference model: the rules said once more, of plain lists, slow and simple.

type modelRequest struct {
	unknown int
	refresh bool
}

type modelQuestion struct {
	name    string
	request int
}

type model struct {
	slots    int
	requests []modelRequest
	waiting  []modelQuestion // in the order in which they came
	running  []modelQuestion

	round, joined, arrivals int
	rounds, arrival         map[int]int // by request, while it has anything here
}

func (m *model) of(list []modelQuestion, request int) (n int) {
	for _, q := range list {
		if q.request == request {
			n++
		}
	}
	return n
}

func (m *model) ask(q modelQuestion) {
	if _, here := m.arrival[q.request]; !here {
		m.arrival[q.request] = m.arrivals
		m.arrivals++
	}
	if m.of(m.waiting, q.request) == 0 && m.rounds[q.request] <= m.round {
		m.rounds[q.request] = m.round
		if m.joined++; m.joined > m.slots {
			m.joined--
			m.rounds[q.request] = m.round + 1
		}
	}
	m.waiting = append(m.waiting, q)
	m.serve()
}

func (m *model) leaveOrEnd(name string) {
	is := func(q modelQuestion) bool { return q.name == name }
	m.waiting, m.running = slices.DeleteFunc(m.waiting, is), slices.DeleteFunc(m.running, is)
	for r := range m.arrival {
		if m.of(m.waiting, r)+m.of(m.running, r) == 0 {
			delete(m.arrival, r)
			delete(m.rounds, r)
		}
	}
	m.serve()
}

// mayRun are the questions that may be given a slot.
func (m *model) mayRun() (list []modelQuestion) {
	someoneWaits := slices.ContainsFunc(m.waiting, func(q modelQuestion) bool { return !m.requests[q.request].refresh })
	for _, q := range m.waiting {
		refresh := m.requests[q.request].refresh
		if refresh && someoneWaits {
			continue
		}
		alone := !slices.ContainsFunc(m.waiting, func(o modelQuestion) bool {
			return o.request != q.request && m.requests[o.request].refresh == refresh
		})
		if alone || m.of(m.running, q.request) < max(m.slots/4, 1) {
			list = append(list, q)
		}
	}
	return list
}

// rank orders those who may run.
func (m *model) rank(q modelQuestion) []int {
	return []int{m.rounds[q.request], m.requests[q.request].unknown, m.arrival[q.request]}
}

func (m *model) serve() {
	for len(m.running) < m.slots {
		list := m.mayRun()
		if len(list) == 0 {
			return
		}
		q := slices.MinFunc(list, func(a, b modelQuestion) int {
			return slices.Compare(m.rank(a), m.rank(b))
		})
		if m.rounds[q.request] > m.round {
			m.round, m.joined = m.rounds[q.request], 0
		}
		m.rounds[q.request] = m.round + 1
		m.waiting = slices.DeleteFunc(m.waiting, func(o modelQuestion) bool { return o == q })
		m.running = append(m.running, q)
	}
}

func names(list []modelQuestion) (names []string) {
	for _, q := range list {
		names = append(names, q.name)
	}
	slices.Sort(names)
	return names
}

// event is a step of a schedule: a request asks, or one of those who wait or
// run, chosen by pick, leaves or is answered.
type event struct {
	Kind    string
	Request int
	Pick    int
}

func TestLimitDoesAsTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "slots")
		requests := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) modelRequest {
			return modelRequest{unknown: rapid.IntRange(1, 4).Draw(rt, "unknown"), refresh: rapid.IntRange(0, 3).Draw(rt, "refresh") == 0}
		}), 1, 6).Draw(rt, "requests")
		events := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) event {
			return event{
				Kind:    rapid.SampledFrom([]string{"ask", "ask", "ask", "answer", "answer", "leave"}).Draw(rt, "kind"),
				Request: rapid.IntRange(0, len(requests)-1).Draw(rt, "request"),
				Pick:    rapid.IntRange(0, 99).Draw(rt, "pick"),
			}
		}), 1, 100).Draw(rt, "events")
		var problem string
		synctest.Test(t, func(t *testing.T) { problem = compareWithModel(t, n, requests, events) })
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func compareWithModel(t *testing.T, n int, requests []modelRequest, events []event) (problem string) {
	t.Helper()
	s := newSlots(t, verify.LimitConfig{Slots: n})
	m := &model{slots: n, requests: requests, rounds: map[int]int{}, arrival: map[int]int{}}
	contexts := make([]context.Context, len(requests))
	for i, r := range requests {
		if contexts[i] = verify.InRequest(t.Context(), r.unknown); r.refresh {
			contexts[i] = verify.InRefresh(t.Context())
			requests[i].unknown = 1
		}
	}
	leave := map[string]func(){}
	defer func() {
		for _, f := range leave {
			f()
		}
		synctest.Wait()
		s.answerAll()
	}()
	for i, e := range events {
		switch e.Kind {
		case "ask":
			q := modelQuestion{name: fmt.Sprintf("q%d", i), request: e.Request}
			leave[q.name] = s.ask(contexts[e.Request], q.name)
			m.ask(q)
		case "answer":
			if len(m.running) > 0 {
				q := m.running[e.Pick%len(m.running)]
				s.answer(q.name)
				m.leaveOrEnd(q.name)
			}
		case "leave":
			if len(m.waiting) > 0 {
				q := m.waiting[e.Pick%len(m.waiting)]
				leave[q.name]()
				synctest.Wait()
				m.leaveOrEnd(q.name)
			}
		}
		if diff := cmp.Diff(names(m.running), s.running()); diff != "" {
			return fmt.Sprintf("after event %d, %+v, who holds a slot (-model +limit):\n%s", i, e, diff)
		}
	}
	return ""
}
