// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans by OTLP over HTTP.
type collector struct {
	url string

	mu       sync.Mutex
	statuses []int // of the next answers; 200 after them
	requests []*http.Request
	received []*tracepb.ResourceSpans
}

func newCollector(t *testing.T, statuses ...int) *collector {
	t.Helper()
	c := &collector{statuses: statuses}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if len(c.statuses) > 0 {
		status := c.statuses[0]
		c.statuses = c.statuses[1:]
		w.WriteHeader(status)
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	raw, err := io.ReadAll(body)
	var data tracepb.TracesData
	if err != nil || proto.Unmarshal(raw, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.received = append(c.received, data.GetResourceSpans()...)
}

// spans are those that were received.
func (c *collector) spans() (list []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.received {
		for _, s := range r.GetScopeSpans() {
			list = append(list, s.GetSpans()...)
		}
	}
	return list
}
