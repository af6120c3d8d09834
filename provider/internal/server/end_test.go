// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
)

// pipes is a listener in memory, for a clock that is not the world's.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close()
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// asks sends a request and reads nothing.
func (p *pipes) asks(t *testing.T, request string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	p.conns <- theirs
	if _, err := io.WriteString(ours, request+" HTTP/1.1\r\nHost: provider\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return ours
}

// Kubernetes gives a Pod some time to end and then kills it, with what was not yet
// written.
func TestTheEndWaitsForAllOfItsClientsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		main, ops, finish := newPipes(), newPipes(), make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		const drain = 5 * time.Second
		start := time.Now()
		ended := make(chan error, 1)
		go func() {
			ended <- server.Run(ctx, server.Config{
				Listener: main, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					<-finish
					ok(w, r)
				}),
				OpsListener: ops, Readiness: &server.Readiness{}, Gatherer: prometheus.NewRegistry(), DrainDelay: drain, Log: slog.New(slog.DiscardHandler),
			})
		}()
		asks := main.asks(t, "GET /validate")
		stop()
		time.Sleep(drain + 15*time.Second)
		// As late as that somebody still sees that the Pod is not ready.
		probes := ops.asks(t, "GET /readyz")
		answer, err := http.ReadResponse(bufio.NewReader(probes), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("readyz says %s at the end", answer.Status)
		}
		scrapes := ops.asks(t, "GET /metrics") // and reads none of them
		err = <-ended
		t.Logf("Got expected error: %v", err)
		if took := time.Since(start); err == nil || took != drain+20*time.Second {
			t.Errorf("Run = %v after %v, want an error 20 seconds after %v", err, took, drain)
		}
		for _, conn := range []net.Conn{probes, scrapes} {
			conn.Close()
		}
		close(finish)
		if answer, err := http.ReadResponse(bufio.NewReader(asks), nil); err != nil {
			t.Error(err)
		} else {
			answer.Body.Close()
		}
		asks.Close()
	})
}
