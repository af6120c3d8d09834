// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/wholefile"
)

// shutdownGrace is how long requests in flight may take to end before they are
// cut.
const shutdownGrace = 5 * time.Second

// program is an emulator with a place to listen.
type program struct {
	emulator      *endortest.Emulator
	log           *slog.Logger
	listenAddress string
	addressFile   string // empty: none
}

// serve tells where it listens, and serves until ctx ends.
func (p *program) serve(ctx context.Context, stdout io.Writer) (err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.listenAddress)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", p.listenAddress, err)
	}
	defer func() { _ = listener.Close() }() // the server closed it, when it got that far
	url := "http://" + listener.Addr().String()

	if p.addressFile != "" {
		if err := wholefile.Write(p.addressFile, []byte(url+"\n"), 0o600); err != nil {
			return fmt.Errorf("write --address-file: %w", err)
		}
		defer func() { err = errors.Join(err, os.Remove(p.addressFile)) }()
	}
	if _, err := fmt.Fprintln(stdout, url); err != nil {
		return fmt.Errorf("print the address: %w", err)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		p.log.Warn("others can reach this emulator: whoever does can sign", slog.String("address", url))
	}
	p.log.Info("serving", slog.String("address", url))

	server := &http.Server{
		Handler:           p.emulator.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		p.log.Info("shutting down")
		p.emulator.Close() // what hangs would outlast any grace
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			// A client that only connected counts as a request in flight.
			p.log.Info("cut what was left", slog.String("cause", err.Error()))
			return server.Close()
		}
		return nil
	})
	return g.Wait()
}
