// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"errors"
	"fmt"
	"sync"
)

// faults is the list of what goes wrong, in order.
type faults struct {
	mu       sync.Mutex
	active   []Fault
	released chan struct{} // closed when the list is replaced: nothing waits any longer
}

func newFaults() *faults { return &faults{released: make(chan struct{})} }

// faultTarget is what is known of a request when faults are chosen.
type faultTarget struct {
	endpoint            Endpoint
	namespace, artifact string
}

func (f Fault) appliesTo(t faultTarget) bool {
	return (f.Endpoint == EndpointBoth || f.Endpoint == t.endpoint) &&
		(f.Namespace == "" || f.Namespace == t.namespace) &&
		(f.Artifact == "" || f.Artifact == t.artifact)
}

// Inject adds faults behind those that are there. For each request the first fault in
// the list that applies to it is used, after every latency that applies; so
// Inject(503 twice, 429 once) is two 503, one 429 and then the real answer. If one is
// not valid none is added, and the error names all problems.
func (e *Emulator) Inject(list ...Fault) error {
	checked, err := checkFaults(list)
	if err != nil {
		return err
	}
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.active = append(e.faults.active, checked...)
	return nil
}

// ClearFaults removes all faults; requests that wait or hang go on to their real answer.
func (e *Emulator) ClearFaults() { e.faults.replace(nil) }

// Faults lists what is left to go wrong, Times counted down.
func (e *Emulator) Faults() []Fault {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	return append([]Fault{}, e.faults.active...)
}

// checkFaults returns the faults with their defaults, or all that is wrong with them.
func checkFaults(list []Fault) ([]Fault, error) {
	checked := make([]Fault, len(list))
	var errs []error
	for i, f := range list {
		checked[i] = f.withDefaults()
		if err := checked[i].validate(); err != nil {
			errs = append(errs, fmt.Errorf("fault %d: %w", i+1, err))
		}
	}
	return checked, errors.Join(errs...)
}

// replace sets the list and releases whatever waits on the old one.
func (s *faults) replace(list []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.released)
	s.released = make(chan struct{})
	s.active = list
}

// plan is what goes wrong with one request.
type plan struct {
	latencies []Fault
	fault     *Fault // nil: nothing else
	released  <-chan struct{}
}

// take makes the plan of one request, for its answer or for what comes before, and
// counts down what it uses.
func (s *faults) take(t faultTarget, ofAnswer bool) plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := plan{released: s.released}
	var left []Fault
	for _, f := range s.active {
		used := f.ofAnswer() == ofAnswer && f.appliesTo(t)
		switch {
		case !used:
		case f.Kind == FaultLatency:
			p.latencies = append(p.latencies, f)
		case p.fault == nil:
			p.fault = new(f)
		default:
			used = false
		}
		if used && f.Times == 1 {
			continue // its last time
		}
		if used && f.Times > 0 {
			f.Times--
		}
		left = append(left, f)
	}
	s.active = left
	return p
}
