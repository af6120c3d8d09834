// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build ratios

package bench

import (
	"fmt"
	"testing"
)

// TestRatios fails where the provider became much slower or asks more often than
// it should. It looks at ratios and counts alone, no times, since it runs on any
// machine, and takes the best of three rounds, since that may be busy. Its bounds
// are far from the aims: they are to catch a mistake, not a bad day. It has a build
// tag, since what measures should have the machine to itself.
func TestRatios(t *testing.T) {
	const rounds = 3
	for _, tc := range []struct {
		what    string
		bound   float64
		atLeast bool // the bound is the least, not the most
		measure func(testing.TB) float64
	}{
		{what: "throughput of warm requests, of that of a handler that does no work", bound: 0.7, atLeast: true, measure: warmThroughput},
		{what: "calls of Endor Labs for 200 warm requests", bound: 0, measure: warmCalls},
		{what: "calls of Endor Labs for 50 requests at once about one image", bound: 1, measure: crowdCalls},
		{what: "time for 16 images that are new, of that for one", bound: 2, measure: batchTime},
	} {
		t.Run(tc.what, func(t *testing.T) {
			var got []string
			for range rounds {
				ratio := tc.measure(t)
				got = append(got, fmt.Sprintf("%.2f", ratio))
				if ratio == tc.bound || (ratio > tc.bound) == tc.atLeast {
					t.Logf("%v, bound %v", got, tc.bound)
					return
				}
			}
			t.Errorf("%s is %v in %d rounds, bound %v: run make bench, and profile what is slower than it was", tc.what, got, rounds, tc.bound)
		})
	}
}

// warmThroughput compares the best turns: what else the machine does only ever
// takes time.
func warmThroughput(tb testing.TB) float64 {
	w := newWarm(tb, 10)
	var provider, idle float64
	for range 60 {
		p, i := w.turn(tb, 10)
		provider, idle = max(provider, p.rate()), max(idle, i.rate())
	}
	return provider / idle
}

func warmCalls(tb testing.TB) float64 {
	w := newWarm(tb, 10)
	before := asked(w.emulator)
	w.turn(tb, 20)
	return float64(asked(w.emulator) - before)
}

func crowdCalls(tb testing.TB) float64 {
	const times = 5
	c := newCold(tb, times, 50)
	before := asked(c.emulator)
	for range times {
		c.ask(tb, 1)
	}
	return float64(asked(c.emulator)-before) / times
}

// batchTime is 16 where the images of a request are asked about one after the
// other, and near 1 where all are at once.
func batchTime(tb testing.TB) float64 {
	const times, keys = 5, 16
	c := newCold(tb, times*(keys+1), 1)
	var one, batch round
	for range times {
		one.add(c.ask(tb, 1))
		batch.add(c.ask(tb, keys))
	}
	return float64(batch.at(0)) / float64(one.at(0))
}
