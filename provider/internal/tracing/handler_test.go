// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// Not parallel, since it looks at the memory of all goroutines.
//
//nolint:paralleltest // see above
func TestNoHeaderIsKeptForACollectorThatHangs(t *testing.T) {
	const (
		requests = 2000 // fewer than the queue takes
		most     = 8 << 20
	)
	for _, tc := range []struct{ name, parent, state string }{
		{"a state of one member and empty ones", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b"},
		{"a parent of a version to come", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, hanging := &collector{}, make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-hanging
				c.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			tr, err := newTracing(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL}, asItIs)
			if err != nil {
				close(hanging)
				t.Fatal(err)
			}
			h := tr.Handler("/validate", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			before := heap()
			for range requests {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/validate", nil)
				// Each request has a header of its own, as of the network.
				r.Header.Set("traceparent", tc.parent)
				if long := strings.Repeat(",", 15000); tc.state != "" {
					r.Header.Set("tracestate", tc.state+long)
				} else {
					r.Header.Set("traceparent", tc.parent+long)
				}
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
			grown := heap() - before
			close(hanging)
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			if grown > most {
				t.Errorf("%d spans hold %d KiB, want %d at most", requests, grown>>10, most>>10)
			}
			got := c.spans()
			if len(got) != requests {
				t.Fatalf("%d spans had been kept, want %d", len(got), requests)
			}
			if len(got[0].GetParentSpanId()) == 0 || got[0].GetTraceState() != "" {
				t.Errorf("parent %x, state %q; want a parent alone", got[0].GetParentSpanId(), got[0].GetTraceState())
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
