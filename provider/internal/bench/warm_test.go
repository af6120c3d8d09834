// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// warmKeys is how many images a warm request is about.
const warmKeys = 4

// warm is a provider that knows its answers beside a handler that does no work.
type warm struct {
	emulator       *endortest.Server
	provider, idle *load
	post           []byte
}

func newWarm(tb testing.TB, clients int) *warm {
	tb.Helper()
	emulator := signed(tb, warmKeys)
	w := &warm{
		emulator: emulator,
		provider: newLoad(tb, newProvider(tb, emulator, nil), clients),
		idle:     newLoad(tb, noWork(), clients),
		post:     body(tb, 0, warmKeys),
	}
	w.provider.warmUp(tb, w.post, warmKeys)
	w.turn(tb, 5)
	return w
}

// turn has every client send n requests to the one and then to the other.
func (w *warm) turn(tb testing.TB, n int) (provider, idle round) {
	tb.Helper()
	provider = w.provider.run(tb, n, always(w.post), all(warmKeys))
	idle = w.idle.run(tb, n, always(w.post), all(warmKeys))
	return provider, idle
}

// BenchmarkWarm compares requests of 4 keys that are all cached with the same
// requests to a handler that does no work: mutual TLS, 10 connections that are
// kept. The aims are 0.9 of its throughput and 1.2 of its p99.
func BenchmarkWarm(b *testing.B) {
	w := newWarm(b, 10)
	before := asked(w.emulator)
	var p pair
	for b.Loop() {
		p.add(w.turn(b, 50))
	}
	b.ReportMetric(0, "ns/op")
	p.report(b)
	b.ReportMetric(float64(asked(w.emulator)-before)/float64(len(p.provider.times)), "calls/request")
}

// BenchmarkWarmKey measures what one more cached key costs within a request,
// without a network: time, allocations and bytes.
func BenchmarkWarmKey(b *testing.B) {
	const few, many, requests = 4, 132, 50
	for _, side := range []struct {
		name    string
		handler http.Handler
	}{
		{"provider", newProvider(b, signed(b, many), nil)},
		{"nowork", noWork()},
	} {
		small, large := body(b, 0, few), body(b, 0, many)
		measure(side.handler, large, 1)
		b.Run(side.name, func(b *testing.B) {
			var little, much cost
			for b.Loop() {
				little.add(measure(side.handler, small, requests))
				much.add(measure(side.handler, large, requests))
			}
			each := float64(b.N * requests)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(microseconds(little.took)/each, "us/request-of-4")
			b.ReportMetric(float64(little.allocs)/each, "allocs/request-of-4")
			each *= many - few
			b.ReportMetric(microseconds(much.took-little.took)/each, "us/key")
			b.ReportMetric(float64(much.allocs-little.allocs)/each, "allocs/key")
			b.ReportMetric(float64(much.bytes-little.bytes)/each, "B/key")
		})
	}
}

// cost is what requests cost the process.
type cost struct {
	took          time.Duration
	allocs, bytes uint64
}

func (c *cost) add(other cost) {
	c.took += other.took
	c.allocs += other.allocs
	c.bytes += other.bytes
}

// measure has h answer n requests, one after the other.
func measure(h http.Handler, body []byte, n int) cost {
	w := nobody{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range n {
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/validate", bytes.NewReader(body)))
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return cost{took: took, allocs: after.Mallocs - before.Mallocs, bytes: after.TotalAlloc - before.TotalAlloc}
}

// nobody takes an answer and keeps nothing of it.
type nobody http.Header

func (n nobody) Header() http.Header          { return http.Header(n) }
func (nobody) Write(body []byte) (int, error) { return len(body), nil }
func (nobody) WriteHeader(int)                {}
