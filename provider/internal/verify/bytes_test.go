// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// The metric is an estimate, and an operator who sizes a container by it must not
// be far off. It runs while no other test does, since it looks at the whole heap.
//
//nolint:paralleltest // see above
func TestTheBytesOfTheCacheAreAboutRight(t *testing.T) {
	const verdicts = 50_000
	reg := prometheus.NewRegistry()
	calls := 0
	cache := newCache(t, counting(verify.Verified, &calls), verify.CacheConfig{StaleIfError: 30 * time.Minute, Registerer: reg})
	before := heap()
	var q question.Question
	for n := range verdicts {
		q = ask(t, fmt.Sprintf("ghcr.io/acme/api@sha256:%064x", n))
		if _, err := cache.Verify(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	cache.CleanUp()
	took := float64(heap() - before)
	if said := bytesOf(t, reg, "verdicts"); took < said/2 || took > said*2 {
		t.Errorf("%d verdicts take %.0f bytes, and the metric says %.0f", verdicts, took, said)
	}
	runtime.KeepAlive(cache)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one only let go
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func bytesOf(t *testing.T, reg *prometheus.Registry, content string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "cache_bytes" && m.GetLabel()[0].GetValue() == content {
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("nobody says how many bytes %s take", content)
	return 0
}
