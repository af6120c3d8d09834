// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// state is what a process uses.
type state struct {
	// heap is the size at which the next garbage collection begins, which is a
	// fixed multiple of what was alive after the last one.
	heap float64

	resident   float64 // bytes; 0 where the system does not tell
	goroutines float64
}

func (s state) String() string {
	return fmt.Sprintf("heap goal %.1f MiB, resident %.1f MiB, %.0f goroutines", s.heap/(1<<20), s.resident/(1<<20), s.goroutines)
}

// A leak grows with time; these leave room for what only differs from one moment
// to the next.
const (
	growth          = 1.5
	heapSlack       = 8 << 20
	residentSlack   = 32 << 20
	goroutinesSlack = 20
)

// compare gives an error if more is used than when the program had warmed up.
func (s state) compare(warmed state) error {
	var errs []error
	for _, measure := range []struct {
		name              string
		before, now, room float64
	}{
		{"heap goal, bytes", warmed.heap, s.heap, heapSlack},
		{"resident memory, bytes", warmed.resident, s.resident, residentSlack},
		{"goroutines", warmed.goroutines, s.goroutines, goroutinesSlack},
	} {
		if most := measure.before*growth + measure.room; measure.now > most {
			errs = append(errs, fmt.Errorf("%s: %.0f when warmed up and %.0f at the end, at most %.0f: look for what is not freed",
				measure.name, measure.before, measure.now, most))
		}
	}
	return errors.Join(errs...)
}

// readState reads the program's own metrics.
func readState(ctx context.Context, p *testbed.Provider) (state, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.OpsURL+"/metrics", nil)
	if err != nil {
		return state{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return state{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return state{}, err
	}
	var s state
	for name, field := range map[string]*float64{
		"go_memstats_next_gc_bytes": &s.heap, "go_goroutines": &s.goroutines, "process_resident_memory_bytes": &s.resident,
	} {
		_, rest, found := strings.Cut(string(text), "\n"+name+" ")
		value, _, _ := strings.Cut(rest, "\n")
		if *field, err = strconv.ParseFloat(value, 64); found && err != nil {
			return state{}, fmt.Errorf("metric %s: %w", name, err)
		}
	}
	if s.heap == 0 || s.goroutines == 0 {
		return state{}, errors.New("the provider's metrics lack go_memstats_next_gc_bytes or go_goroutines")
	}
	return s, nil
}
