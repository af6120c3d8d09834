// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestSoManyReadTheMetricsAtOnceAndNoMore(t *testing.T) {
	t.Parallel()
	reading, finish := make(chan struct{}), make(chan struct{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "slow", Help: "Takes its time."}, func() float64 {
		reading <- struct{}{}
		<-finish
		return 0
	}))
	ops := opsHandler(&Readiness{}, registry)
	scrape := func() int {
		w := httptest.NewRecorder()
		ops.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		return w.Code
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(finish)
	for range maxScrapes {
		wg.Go(func() {
			if code := scrape(); code != http.StatusOK {
				t.Errorf("HTTP %d, want the metrics", code)
			}
		})
		<-reading
	}
	refused := make(chan int, 1)
	wg.Go(func() { refused <- scrape() })
	select {
	case <-reading:
		t.Error("one more reads them")
	case code := <-refused:
		if code != http.StatusServiceUnavailable {
			t.Errorf("HTTP %d, want 503", code)
		}
	}
}
