// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// undecided is what an answer must say while Endor Labs hangs.
func undecided(answer []byte) error {
	if !bytes.Contains(answer, []byte(`"systemError":"UNAVAILABLE: `)) || bytes.Contains(answer, []byte(`"verified"`)) {
		return fmt.Errorf("the answer is not UNAVAILABLE alone: %.300s", answer)
	}
	return nil
}

// BenchmarkHang sends 1,000 requests at once, each about an image that nobody
// asked about before, while Endor Labs takes calls and never answers: first when
// nobody knows that yet, which may take the response budget and 50 ms; then once
// the provider is degraded, where the aim is a p99 of 150 ms. The same requests
// to a handler that does no work tell what 1,000 at once take by themselves, and
// 64 at a time what Gatekeeper sends with --max-serving-threads=64.
func BenchmarkHang(b *testing.B) {
	const crowd, threads, rounds = 1000, 64, 10
	idle := newLoad(b, noWork(), crowd)
	idle.warmUp(b, body(b, 0, 1), 1)
	var first, later, few, nowork, noworkFew round
	calls := 0
	for b.Loop() {
		b.StopTimer()
		emulator := signed(b, 1)
		l := newLoad(b, newProvider(b, emulator, nil), crowd)
		l.warmUp(b, body(b, 0, 1), 1)
		inject(b, emulator, endortest.Fault{Kind: endortest.FaultHang})
		before, next := asked(emulator), 1
		fresh := func(requests int) func(client, i int) []byte {
			base := next
			next += crowd * requests
			return func(client, i int) []byte { return body(b, base+client*requests+i, 1) }
		}
		b.StartTimer()

		first.add(l.run(b, 1, fresh(1), undecided))
		later.add(l.run(b, 1, fresh(1), undecided))
		few.add((&load{url: l.url, clients: l.clients[:threads]}).run(b, rounds, fresh(rounds), undecided))
		calls += asked(emulator) - before

		b.StopTimer()
		nowork.add(idle.run(b, 1, fresh(1), all(1)))
		noworkFew.add((&load{url: idle.url, clients: idle.clients[:threads]}).run(b, rounds, fresh(rounds), all(1)))
		emulator.ClearFaults() // so that nothing is left to wait for
		l.close()
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	first.report(b, "hung")
	later.report(b, "degraded")
	few.report(b, "degraded-64")
	nowork.report(b, "nowork")
	noworkFew.report(b, "nowork-64")
	b.ReportMetric(milliseconds(first.at(1)-verify.DefaultBudget), "over-budget-ms")
	b.ReportMetric(float64(calls)/float64(b.N), "calls")
}
