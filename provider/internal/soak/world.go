// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// kind is what is true of an image in the end.
type kind string

const (
	signed   kind = "signed"
	unsigned kind = "unsigned"
	stranger kind = "wrong signer"
	revoked  kind = "revoked"     // signed at first
	late     kind = "signed late" // unsigned at first
)

// picture is an image and its history. Histories begin before anybody asks.
type picture struct {
	image string
	kind  kind

	mu sync.Mutex // protects the fields below

	// A change happens between the two: it is begun, and then it is done. Zero
	// until then.
	begun, done time.Time
}

func (p *picture) key() string {
	return "image=" + url.QueryEscape(p.image) + "&namespace=" + endortest.DefaultNamespace + "&source_repository=acme%2Fapi"
}

// change has do happen to the image.
func (p *picture) change(do func() error) error {
	p.mu.Lock()
	p.begun = time.Now()
	p.mu.Unlock()
	err := do()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = time.Now()
	return err
}

func (p *picture) history() (begun, done time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun, p.done
}

// says is one key's answer: a code, and whether it was stale.
type says struct {
	code  string
	stale bool
}

// judge says what is wrong with an answer to a request that began and ended at
// those times; empty if nothing is. A verdict is as old as its question, so one
// from before a change is right for as long as its lifetime says.
func (p *picture) judge(got says, began, ended time.Time) string {
	begun, done := p.history()
	maybe := !begun.IsZero() && !ended.Before(begun) // the change may be known
	old := func(life time.Duration) bool { return done.IsZero() || !began.After(done.Add(life)) }
	verifiedLife := cacheTTL
	if got.stale {
		verifiedLife += staleIfError
	}
	right := false
	switch got.code {
	case "VERIFIED":
		right = p.kind == signed || p.kind == revoked && old(verifiedLife) || p.kind == late && maybe
	case "NOT_SIGNED":
		right = p.kind == unsigned || p.kind == late && old(negativeTTL)
	case "REVOKED":
		right = p.kind == revoked && maybe
	case "WRONG_SIGNER":
		right = p.kind == stranger
	}
	if right {
		return ""
	}
	wrong := fmt.Sprintf("%s (stale: %t) for an image that is %s", got.code, got.stale, p.kind)
	if !done.IsZero() {
		wrong += fmt.Sprintf(" since %v before the question", began.Sub(done).Round(time.Millisecond))
	}
	return wrong
}

// world is the images that there are.
type world struct {
	emulator *endortest.Emulator

	mu       sync.Mutex // protects the fields below
	next     int
	known    []*picture // asked about again and again
	changing []*picture // that change meanwhile, oldest first
}

const (
	knownImages    = 60
	changingImages = 80
)

func newWorld(emulator *endortest.Emulator) *world { return &world{emulator: emulator} }

// populate makes the images that are asked about again and again.
func (w *world) populate() error {
	kinds := []kind{signed, signed, signed, unsigned, stranger}
	for i := range knownImages {
		p, err := w.make(kinds[i%len(kinds)])
		if err != nil {
			return err
		}
		w.known = append(w.known, p)
	}
	return nil
}

// make makes an image that nobody asked about before.
func (w *world) make(k kind) (*picture, error) {
	w.mu.Lock()
	w.next++
	p := &picture{image: fmt.Sprintf("ghcr.io/acme/api@sha256:%064x", w.next), kind: k}
	w.mu.Unlock()
	switch k {
	case signed, revoked:
		return p, w.sign(p, "acme")
	case stranger:
		return p, w.sign(p, "contoso")
	case unsigned, late:
	}
	return p, nil
}

func (w *world) sign(p *picture, owner string) error {
	return w.emulator.Sign(endortest.Signing{Image: p.image, Claims: endortest.GitHubClaims(owner, "api", "refs/heads/main")})
}

// evolve makes one more image that changes, and changes one that was there for
// some time.
func (w *world) evolve(random *rand.Rand) error {
	p, err := w.make([]kind{revoked, late}[random.IntN(2)])
	w.mu.Lock()
	w.changing = append(w.changing, p)
	if len(w.changing) > changingImages {
		w.changing = slices.Delete(w.changing, 0, 1)
	}
	// Behind it are those that have not changed yet, before it those whose old
	// verdicts have to go.
	ripe := w.changing[len(w.changing)/2]
	w.mu.Unlock()
	if begun, _ := ripe.history(); !begun.IsZero() {
		return err
	}
	return errors.Join(err, ripe.change(func() error {
		if ripe.kind == revoked {
			return w.emulator.Revoke("", ripe.image, "")
		}
		return w.sign(ripe, "acme")
	}))
}

// pick chooses an image to ask about: mostly one that is known.
func (w *world) pick(random *rand.Rand) (*picture, error) {
	switch n := random.IntN(100); {
	case n < 4:
		return w.make(signed)
	case n < 6:
		return w.make(unsigned)
	case n < 7:
		return w.make(stranger)
	case n < 40:
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.changing) > 0 {
			return w.changing[random.IntN(len(w.changing))], nil
		}
	}
	return w.known[random.IntN(len(w.known))], nil
}
