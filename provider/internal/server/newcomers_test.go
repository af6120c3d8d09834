// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/logtest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
)

// Whoever reaches the ports may open connections without end and say nothing.
func TestOfThoseWhoSayNothingTheOldestAreSentAway(t *testing.T) {
	t.Parallel()
	borrowed := httptest.NewTLSServer(nil)
	defer borrowed.Close()
	var log logtest.Log
	main, ops := listen(t), listen(t)
	reg := prometheus.NewRegistry()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- server.Run(ctx, server.Config{
			Listener: tls.NewListener(main, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: borrowed.TLS.Certificates}),
			Handler:  http.HandlerFunc(ok), OpsListener: ops, Readiness: &server.Readiness{},
			Gatherer: reg, Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: reg,
		})
	}()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: borrowed.Client().Transport}
	defer client.CloseIdleConnections()

	// Shorter than the server lets anybody say nothing, however few they are.
	const surplus, patience = 100, 4 * time.Second
	for what, address := range map[string]string{"https": main.Addr().String(), "http": ops.Addr().String()} {
		silent := make([]net.Conn, server.MaxNewcomers+surplus)
		for i := range silent {
			silent[i] = dial(t, address)
			defer silent[i].Close()
		}
		for i, c := range silent[:surplus] {
			if err := quiet(c, patience); !errors.Is(err, io.EOF) {
				t.Fatalf("%s: connection %d of %d is still open: %v", what, i, len(silent), err)
			}
		}
		if err := quiet(silent[len(silent)-1], time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the youngest connection was closed: %v", what, err)
		}
	}
	if got, want := counters(t, reg, "connections_crowded_out_total"), map[string]float64{"https": surplus, "ops": surplus}; !maps.Equal(got, want) {
		t.Errorf("counted as closed: %v, want %v", got, want)
	}
	for _, url := range []string{"https://" + main.Addr().String() + "/validate", "http://" + ops.Addr().String() + "/healthz"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("a client that comes last: %v", err)
			continue
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s (%v)", url, resp.Status, err)
		}
	}
	// The log leaves most of them out; what is counted does not.
	for counters(t, reg, "tls_handshake_failures_total")["disconnected"] < surplus {
		time.Sleep(time.Millisecond)
	}
	if got := log.Count("TLS handshake error"); got > surplus/2 {
		t.Errorf("%d lines of the log tell of %d handshakes that failed, want ten and one a second", got, surplus)
	}
}

// counters are the values of a metric by its one label.
func counters(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				values[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return values
}

// A request is what a connection has to show, however long it takes.
func TestWhoIsBeingAnsweredIsNotSentAway(t *testing.T) {
	t.Parallel()
	r, finish := busy(t)
	defer finish()
	first := dial(t, strings.TrimPrefix(r.url, "http://"))
	defer first.Close()
	for range server.MaxNewcomers {
		defer dial(t, strings.TrimPrefix(r.url, "http://")).Close()
	}
	if err := quiet(first, 4*time.Second); !errors.Is(err, io.EOF) {
		t.Fatalf("the oldest that says nothing is still there: %v", err)
	}
}

// The ops listener knows nobody, so nobody may stay there.
func TestProbesAndMetricsComeWithAConnectionEach(t *testing.T) {
	t.Parallel()
	r := start(t, 0, ok)
	for _, url := range []string{r.ops + "/healthz", r.ops + "/metrics"} {
		if _, _, closing := r.get(t, url); !closing {
			t.Errorf("%s leaves the connection open", url)
		}
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// quiet waits for a byte of the server, or for the end, which is the error.
func quiet(c net.Conn, patience time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}
