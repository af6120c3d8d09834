// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Counters are what was asked of an Emulator since it was made or they were last reset.
type Counters struct {
	// Requests counts all requests by endpoint: "auth", "operations", "user-info",
	// "version", "redirect-target", "other". Those that met a fault count too.
	Requests map[string]int `json:"requests"`

	// Commands counts operations that were carried out, by command: "SIGN", "VERIFY", "REVOKE_SIGNATURE".
	Commands map[string]int `json:"commands"`

	// Verifies counts VERIFY by artifact_name as it was sent, answered with a fault or not.
	Verifies map[string]int `json:"verifies"`

	TokensGranted int `json:"tokensGranted"` // exchanges that gave a token
	TokensRefused int `json:"tokensRefused"` // exchanges with a wrong key or secret

	// InFlight and MaxInFlight are requests to the operations endpoint at once, now and at
	// most; Held those of either endpoint that a latency or a hang holds now. Resetting
	// keeps InFlight and Held.
	InFlight    int `json:"inFlight"`
	MaxInFlight int `json:"maxInFlight"`
	Held        int `json:"held"`
}

// Operation is a request to the operations endpoint whose body could be read.
type Operation struct {
	Namespace    string
	Command      string // as sent, such as ARTIFACT_OPERATION_COMMAND_VERIFY
	ArtifactName string
	ArtifactType string
	Digest       string
	Extensions   Claims
}

// operationsKept bounds what a long demo remembers.
const operationsKept = 1000

type counters struct {
	mu         sync.Mutex
	now        Counters
	operations []Operation
	changed    chan struct{} // closed and replaced at each change
}

func newCounters() *counters {
	c := &counters{changed: make(chan struct{})}
	c.now = emptyCounters()
	return c
}

func emptyCounters() Counters {
	return Counters{Requests: map[string]int{}, Commands: map[string]int{}, Verifies: map[string]int{}}
}

// Counters returns a copy of the counters.
func (e *Emulator) Counters() Counters {
	c, _ := e.counters.snapshot()
	return c
}

// ResetCounters sets the counters to zero and forgets the operations.
func (e *Emulator) ResetCounters() {
	e.counters.change(func(c *Counters) {
		inFlight, held := c.InFlight, c.Held
		*c = emptyCounters()
		c.InFlight, c.MaxInFlight, c.Held = inFlight, inFlight, held
		e.counters.operations = nil
	})
}

// Operations lists the latest operations that were asked for, oldest first, at most 1000.
func (e *Emulator) Operations() []Operation {
	e.counters.mu.Lock()
	defer e.counters.mu.Unlock()
	return slices.Clone(e.counters.operations)
}

// Await returns when the counters are as wanted, or with the cause when ctx ends before.
func (e *Emulator) Await(ctx context.Context, wanted func(Counters) bool) error {
	for {
		c, changed := e.counters.snapshot()
		if wanted(c) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *counters) snapshot() (Counters, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.now
	s.Requests, s.Commands, s.Verifies = maps.Clone(s.Requests), maps.Clone(s.Commands), maps.Clone(s.Verifies)
	return s, c.changed
}

func (c *counters) change(change func(*Counters)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.now)
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *counters) request(endpoint string) {
	c.change(func(n *Counters) { n.Requests[endpoint]++ })
}

func (c *counters) exchange(granted bool) {
	c.change(func(n *Counters) {
		if granted {
			n.TokensGranted++
		} else {
			n.TokensRefused++
		}
	})
}

func (c *counters) held(by int) {
	c.change(func(n *Counters) { n.Held += by })
}

func (c *counters) inFlight(by int) {
	c.change(func(n *Counters) {
		n.InFlight += by
		n.MaxInFlight = max(n.MaxInFlight, n.InFlight)
	})
}

func (c *counters) asked(op Operation) {
	c.change(func(n *Counters) {
		if op.Command == commandVerify {
			n.Verifies[op.ArtifactName]++
		}
		if len(c.operations) == operationsKept {
			c.operations = slices.Delete(c.operations, 0, 1)
		}
		c.operations = append(c.operations, op)
	})
}

func (c *counters) carriedOut(command string) {
	c.change(func(n *Counters) { n.Commands[command]++ })
}
