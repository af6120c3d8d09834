// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// cold is a provider before an emulator that takes its time and has signed
// images that nobody asked about before.
type cold struct {
	*load
	emulator *endortest.Server
	images   int
	next     int // the first image that nobody asked about
}

func newCold(tb testing.TB, images, clients int) *cold {
	tb.Helper()
	emulator := signed(tb, images+1)
	c := &cold{load: newLoad(tb, newProvider(tb, emulator, nil), clients), emulator: emulator, images: images}
	c.warmUp(tb, body(tb, images, 1), 1)
	slow(tb, emulator)
	return c
}

// ask has every client send the same request about images that are new.
func (c *cold) ask(tb testing.TB, images int) round {
	tb.Helper()
	if c.next+images > c.images {
		tb.Fatalf("all %d images were asked about: use a smaller -benchtime", c.images)
	}
	r := c.run(tb, 1, always(body(tb, c.next, images)), all(images))
	c.next += images
	return r
}

// BenchmarkColdBatch measures a request of 16 images that nobody asked about
// before, in round trips to Endor Labs. The aim is 1.2.
func BenchmarkColdBatch(b *testing.B) {
	const keys = 16
	c := newCold(b, 300*keys, 1)
	before := asked(c.emulator)
	var r round
	for b.Loop() {
		r.add(c.ask(b, keys))
	}
	b.ReportMetric(0, "ns/op")
	r.report(b, "batch")
	b.ReportMetric(float64(r.at(.5))/float64(upstreamLatency), "round-trips")
	b.ReportMetric(float64(asked(c.emulator)-before)/float64(b.N), "calls/batch")
}

// BenchmarkCrowd counts the calls of Endor Labs that 50 requests at once for
// one image cost that nobody asked about before. The aim is 1.
func BenchmarkCrowd(b *testing.B) {
	c := newCold(b, 300, 50)
	before := asked(c.emulator)
	var r round
	for b.Loop() {
		r.add(c.ask(b, 1))
	}
	b.ReportMetric(0, "ns/op")
	r.report(b, "request")
	b.ReportMetric(float64(asked(c.emulator)-before)/float64(b.N), "calls/crowd")
}

// retry is how long a Pod that was refused waits until it is tried again.
const retry = time.Second

// BenchmarkBurst admits 100 Pods of 10 images each that come at the same
// moment, with 100 calls of Endor Labs a second and each of them 50 ms long: of
// one Deployment, and of 100 with no image in common. A Pod with an image that
// is undecided comes again a second later.
func BenchmarkBurst(b *testing.B) {
	const pods, images, qps, burst = 100, 10, 100, 32
	for _, tc := range []struct {
		name string
		step int // from the first image of one Pod to that of the next
	}{
		{"alike", 0},
		{"distinct", images},
	} {
		distinct := images + (pods-1)*tc.step
		b.Run(tc.name, func(b *testing.B) {
			var first round
			var admitted time.Duration
			calls, atOnce := 0, 0
			for b.Loop() {
				b.StopTimer()
				emulator := signed(b, distinct+1)
				l := newLoad(b, newProvider(b, emulator, func(up *endor.Config, _ *verify.Config) {
					up.Rate = rate.NewLimiter(qps, burst)
				}), pods)
				l.warmUp(b, body(b, distinct, 1), 1)
				slow(b, emulator)
				before := asked(emulator)
				bodies := make([][]byte, pods)
				for pod := range bodies {
					bodies[pod] = body(b, pod*tc.step, images)
				}
				tries := make([][]time.Duration, pods)
				b.StartTimer()

				var wg sync.WaitGroup
				start := time.Now()
				for pod := range pods {
					wg.Go(func() { tries[pod] = l.admit(b, pod, bodies[pod], images) })
				}
				wg.Wait()
				admitted += time.Since(start)
				for _, t := range tries {
					first.add(round{took: t[0] / pods, times: t[:1]})
					if len(t) == 1 {
						atOnce++
					}
				}
				calls += asked(emulator) - before
			}
			each := float64(b.N)
			b.ReportMetric(0, "ns/op")
			first.report(b, "first-try")
			b.ReportMetric(float64(atOnce)/each, "pods-at-first-try")
			b.ReportMetric(admitted.Seconds()/each, "s-until-all-admitted")
			b.ReportMetric(max(float64(distinct-burst)/qps, 0)+upstreamLatency.Seconds(), "s-at-best")
			b.ReportMetric(float64(calls)/each, "calls")
			b.ReportMetric(float64(distinct), "images")
		})
	}
}

// admit has one client ask until every image is verified, and gives how long
// each try took.
func (l *load) admit(tb testing.TB, client int, body []byte, images int) []time.Duration {
	var tries []time.Duration
	for range 60 {
		start := time.Now()
		answer, err := l.post(l.clients[client], body)
		tries = append(tries, time.Since(start))
		if err != nil {
			tb.Error(err)
			return tries
		}
		if all(images)(answer) == nil {
			return tries
		}
		time.Sleep(retry)
	}
	tb.Errorf("a Pod is not admitted after %d tries", len(tries))
	return tries
}
