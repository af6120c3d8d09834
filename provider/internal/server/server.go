// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package server runs the provider's two listeners: one for Gatekeeper, with
// TLS, and one for operators, plain, with probes and metrics.
//
// It ends without losing a request. When told to stop it first turns unready
// and asks clients to leave, by answering with "Connection: close", so that
// they move to another replica before this one stops listening. Gatekeeper
// keeps connections open and does not repeat a POST on one that was closed
// under it, so connections are never simply cut, but for those of strangers that
// have sent no request while too many others come.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// DefaultDrainDelay is the default of [Config.DrainDelay].
const DefaultDrainDelay = 5 * time.Second

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second

	// idleTimeout is longer than Gatekeeper's own 90 seconds, so that it is
	// the client who closes an idle connection.
	idleTimeout = 2 * time.Minute

	maxHeaderBytes  = 16 << 10
	shutdownTimeout = 20 * time.Second

	// maxScrapes bounds the requests for metrics at the same time. Each holds all
	// of them in memory, for as long as its client takes to read.
	maxScrapes = 100
)

// Config configures [Run]. All fields are required, except as noted.
type Config struct {
	// Listener accepts Gatekeeper's connections, with TLS.
	Listener net.Listener

	// Handler answers POST /validate.
	Handler http.Handler

	// OpsListener accepts plain HTTP for /healthz, /readyz and /metrics.
	OpsListener net.Listener

	Readiness *Readiness
	Gatherer  prometheus.Gatherer

	// DrainDelay is how long requests are still answered, with the advice to
	// leave, before the listener closes; zero means not at all.
	DrainDelay time.Duration

	Log *slog.Logger

	// Registerer takes the server's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer
}

// Run serves until ctx ends, then drains, and returns nil. It closes both
// listeners. If one of them fails it ends the other and returns the error.
func Run(ctx context.Context, cfg Config) error {
	var draining atomic.Bool
	crowdedOut := newCrowdedOut(cfg.Registerer)
	main := newServer(recycle{next: validateOnly(cfg.Handler), leave: draining.Load}, crowdedOut.WithLabelValues(listenerHTTPS))
	main.ConnContext = withAge
	// Counted before some are left out.
	main.ErrorLog = slog.NewLogLogger(newHandshakes(newSparing(cfg.Log.Handler()), cfg.Registerer), slog.LevelWarn)
	cfg.Readiness.register(cfg.Registerer)
	ops := newServer(opsHandler(cfg.Readiness, cfg.Gatherer), crowdedOut.WithLabelValues(listenerOps))
	ops.ErrorLog = slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn)
	// Nobody is known there, so nobody may stay.
	ops.SetKeepAlivesEnabled(false)

	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	g.Go(func() error { return serve(main, cfg.Listener) })
	g.Go(func() error { return serve(ops, cfg.OpsListener) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			// First, whatever becomes of the log.
			cfg.Readiness.Block(Draining)
			draining.Store(true)
			cfg.Log.LogAttrs(failed, slog.LevelInfo, "draining", slog.Float64("delay_seconds", cfg.DrainDelay.Seconds()))
			wait(failed, cfg.DrainDelay)
		case <-failed.Done():
		}
		// The probes go last: until then they say why the pod is not ready.
		return shutdown(main, ops)
	})
	return g.Wait()
}

func validateOnly(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/validate", h)
	return mux
}

func opsHandler(ready *Readiness, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.Handle("GET /readyz", ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	return mux
}

func newServer(h http.Handler, crowdedOut prometheus.Counter) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         newNewcomers(crowdedOut).connState,
	}
}

func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shutdown waits for requests in flight, of one server after the other and for
// [shutdownTimeout] in all. Its context is its own: that of the program has ended.
func shutdown(servers ...*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
