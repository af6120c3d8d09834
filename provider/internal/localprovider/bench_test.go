// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localprovider_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// BenchmarkVerify asks about 320 images that nobody asked about before, with an
// Endor Labs that takes 50 ms for an answer. It reports the time in round trips,
// the token's included, and that divided by the aim, one for each 32 images and
// one: 1 is the aim, more is slower.
func BenchmarkVerify(b *testing.B) {
	const images, latency = 320, 50 * time.Millisecond
	const aim = images/localprovider.DefaultConcurrency + 1
	// Who verifies for real takes the time of the processor, which is the
	// provider's here.
	emulator := endortest.Start(b, endortest.Config{})
	vouch := endortest.Vouch(emulator.Handler(), endortest.GitHubClaims("acme", "api", "refs/heads/main"), latency)
	var calls atomic.Int64
	emulator.HTTP.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		vouch.ServeHTTP(w, r)
	})
	var took time.Duration
	for b.Loop() {
		p := start(b.Context(), b, emulator, 0, 0)
		begun := time.Now()
		answers := p.Ask(b.Context(), keys(images), nil)
		took += time.Since(begun)
		for _, a := range answers {
			if a.Code() != verify.Verified {
				b.Fatalf("%s: %s", a.Key, a.Code())
			}
		}
	}
	trips := float64(took) / float64(b.N) / float64(latency)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(trips, "round-trips")
	b.ReportMetric(trips/aim, "of-aim")
	b.ReportMetric(float64(calls.Load())/float64(b.N), "calls/run")
}
