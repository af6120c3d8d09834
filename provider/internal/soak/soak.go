// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

const (
	workers  = 8
	mostKeys = 8                     // of one request
	pace     = 15 * time.Millisecond // between two requests of one worker

	evolveEvery   = 500 * time.Millisecond
	progressEvery = 10 * time.Second

	// calmDown is how long the provider rests until it is measured: calls that
	// hang go on for so long.
	calmDown = upstreamTimeout + 2*time.Second

	// againAfter is when an undecided key is asked about once more, as a
	// controller does, before that counts.
	againAfter = 250 * time.Millisecond
)

type soak struct {
	emulator     *endortest.Emulator
	provider     *testbed.Provider
	certificates *testbed.Certificates
	stdout       io.Writer
	seed         uint64

	world   *world
	weather *weather
	tally   tally
	began   time.Time
}

// run asks for so long. Its error says that something was wrong.
func (s *soak) run(ctx context.Context, length time.Duration) error {
	s.began = time.Now()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	warmUp := length / 3
	warmed, err := s.spell(ctx, 1, warmUp)
	if err == nil && ctx.Err() == nil {
		fmt.Fprintf(s.stdout, "%s warmed up: %s\n", s.elapsed(), warmed)
		var end state
		end, err = s.spell(ctx, 2, length-time.Since(s.began))
		if err == nil && ctx.Err() == nil {
			fmt.Fprintf(s.stdout, "%s at the end: %s\n", s.elapsed(), end)
			err = end.compare(warmed)
		}
	}
	return errors.Join(err, s.summary(ctx))
}

func (s *soak) elapsed() string { return fmt.Sprintf("%6.0fs", time.Since(s.began).Seconds()) }

// prepare makes the images, and fills what the provider keeps of keys that it
// has read, which would otherwise grow for minutes.
func (s *soak) prepare(ctx context.Context) error {
	if err := s.world.populate(); err != nil {
		return err
	}
	client, err := newAsker(s)
	if err != nil {
		return err
	}
	defer client.client.CloseIdleConnections()
	const keys, batch = 1200, 20
	for range keys / batch {
		pictures := make([]*picture, batch)
		for i := range pictures {
			if pictures[i], err = s.world.make(unsigned); err != nil {
				return err
			}
		}
		if err := client.ask(ctx, pictures, longKey); err != nil {
			return err
		}
	}
	return nil
}

// longKey asks about p with about as much as fits into a key.
func longKey(p *picture) string {
	key := p.key()
	return "certificate_identity=" + strings.Repeat("x", 8000-len(key)) + "&" + key
}

// spell asks and lets faults come and go for so long, and then lets everything
// rest and gives the state of the provider.
func (s *soak) spell(ctx context.Context, number uint64, length time.Duration) (state, error) {
	spell, stop := context.WithTimeout(ctx, max(length-calmDown, 0))
	defer stop()
	g, spell := errgroup.WithContext(spell)
	random := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, number<<32|stream)) }
	g.Go(func() error { return s.weather.run(spell, random(0)) })
	g.Go(func() error { return s.evolve(spell, random(1)) })
	g.Go(func() error { return s.report(spell) })
	for i := range uint64(workers) {
		g.Go(func() error { return s.work(spell, random(i+2)) })
	}
	if err := g.Wait(); err != nil || !pause(ctx, calmDown) {
		return state{}, err
	}
	return readState(ctx, s.provider)
}

func (s *soak) evolve(ctx context.Context, random *rand.Rand) error {
	for pause(ctx, evolveEvery) {
		if err := s.world.evolve(random); err != nil {
			return err
		}
	}
	return nil
}

func (s *soak) work(ctx context.Context, random *rand.Rand) error {
	client, err := newAsker(s)
	if err != nil {
		return err
	}
	defer client.client.CloseIdleConnections()
	for pause(ctx, pace) {
		pictures := map[string]*picture{}
		for range 1 + random.IntN(mostKeys) {
			p, err := s.world.pick(random)
			if err != nil {
				return err
			}
			pictures[p.image] = p
		}
		if err := client.ask(ctx, slices.Collect(maps.Values(pictures)), (*picture).key); err != nil {
			return err
		}
	}
	return nil
}

func (s *soak) report(ctx context.Context) error {
	for pause(ctx, progressEvery) {
		now, err := readState(ctx, s.provider)
		if over(ctx) {
			return nil
		}
		if err != nil {
			return err
		}
		sky := s.weather.look()
		fmt.Fprintf(s.stdout, "%s %s; %s; fault: %s\n", s.elapsed(), s.tally.String(), now, orNone(sky.name))
	}
	return nil
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

func (s *soak) summary(ctx context.Context) error {
	fmt.Fprintf(s.stdout, "%s %s\n", s.elapsed(), s.tally.String())
	if ctx.Err() != nil {
		fmt.Fprintln(s.stdout, "interrupted: memory and goroutines were not compared")
		return s.tally.verdict()
	}
	return errors.Join(s.tally.verdict(), s.tally.complete())
}

// tally counts what was answered.
type tally struct {
	mu        sync.Mutex // protects the fields below
	requests  int
	codes     map[string]int
	stale     int
	undecided int // during faults and soon after
	again     int // in calm, and decided when asked once more
	wrong     int
}

// told is how many wrong answers are told one by one.
const told = 20

func (t *tally) count(do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do()
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(t.codes)) {
		codes = append(codes, fmt.Sprintf("%s %d", code, t.codes[code]))
	}
	return fmt.Sprintf("%d requests; %s; stale %d; undecided %d in faults, %d once in calm; wrong %d",
		t.requests, strings.Join(codes, ", "), t.stale, t.undecided, t.again, t.wrong)
}

// verdict is an error if anything was wrong.
func (t *tally) verdict() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wrong > 0 {
		return fmt.Errorf("%d answers were wrong; the first of them are above", t.wrong)
	}
	return nil
}

// complete is an error if there was no answer of some kind: then nothing was
// shown of it.
func (t *tally) complete() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, code := range []string{"VERIFIED", "NOT_SIGNED", "WRONG_SIGNER", "REVOKED"} {
		if t.codes[code] == 0 {
			return fmt.Errorf("no answer was %s: run it for longer", code)
		}
	}
	return nil
}
