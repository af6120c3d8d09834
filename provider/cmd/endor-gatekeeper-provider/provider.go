// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/decisionlog"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/externaldata"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/linequeue"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/tracing"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/upstream"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// provider is the whole program, put together but not yet listening.
type provider struct {
	cfg       *config.Serve
	log       *slog.Logger
	lines     *linequeue.Queue // of log
	registry  *prometheus.Registry
	metrics   prometheus.Registerer // registry, with the program's prefix
	readiness server.Readiness

	identity identity
	client   *endor.Client
	shared   *sharedcache.Cache // nil without --redis-url-file
	tracing  *tracing.Tracing   // nil unless variables ask for it
	decided  *decisionlog.Log   // nil with --decision-log=off
	desk     *verify.Desk
	handler  http.Handler
}

// newProvider begins with what everything else needs: metrics and the log.
// closeLog must be called.
func newProvider(cfg *config.Serve, stderr io.Writer) *provider {
	p := &provider{cfg: cfg}
	p.newMetrics()
	p.newLog(stderr)
	return p
}

// build puts the rest together. Its error lists everything that is wrong with what
// the settings name: files, addresses, credentials.
func (p *provider) build(getenv func(string) string, stdout, stderr io.Writer) error {
	cfg := p.cfg
	resolver, resolverErr := upstream.NewResolver(cfg.Endor, cfg.AllowedEndorNamespaces...)
	err := errors.Join(p.newTracing(getenv), p.newIdentity(), p.newClient(), resolverErr, p.newSharedCache(), p.newDecisionLog(stdout, stderr))
	if err != nil {
		return err
	}

	p.desk, err = verify.New(verify.NewEndor(p.client, nil), verify.Config{
		Resolver: resolver, Budget: cfg.ResponseBudget, DegradedWait: cfg.DegradedWait,
		UpstreamTimeout: cfg.UpstreamTimeout, Concurrency: cfg.UpstreamConcurrency,
		Cache: verify.CacheConfig{
			Size: cfg.CacheSize, TTL: cfg.CacheTTL, NegativeTTL: cfg.CacheNegativeTTL, StaleIfError: cfg.StaleIfError,
		},
		Shared: p.sharedVerdicts(), Observe: p.observe(), Tracer: p.tracing.Tracer(), Log: p.log, Registerer: p.metrics,
	})
	if err != nil {
		return err
	}
	p.handler = p.tracing.Handler("/validate", externaldata.NewHandler(externaldata.Config{
		Answerer: p.desk,
		MaxKeys:  cfg.MaxKeys, MaxBodyBytes: int64(cfg.MaxBodyBytes), Log: p.log, Registerer: p.metrics,
	}))
	return nil
}

func (p *provider) newClient() error {
	var err error
	p.client, err = upstream.NewClient(p.cfg.Endor, endor.Config{
		Timeout:    p.cfg.UpstreamTimeout,
		Rate:       rate.NewLimiter(rate.Limit(p.cfg.UpstreamQPS), max(p.cfg.UpstreamConcurrency, 1)),
		UserAgent:  program + "/" + buildinfo.Read().Version,
		Tracer:     p.tracing.Tracer(),
		Registerer: p.metrics,
	})
	return err
}

// newSharedCache needs the client, whose API the verdicts are of.
func (p *provider) newSharedCache() error {
	if p.cfg.RedisURLFile == "" || p.cfg.RedisHMACKeyFile == "" || p.client == nil {
		return nil // said by the settings or by the client
	}
	url, urlErr := os.ReadFile(p.cfg.RedisURLFile)
	content, readErr := os.ReadFile(p.cfg.RedisHMACKeyFile)
	roots, rootsErr := upstream.CAs("redis-ca-file", p.cfg.RedisCAFile)
	if err := errors.Join(urlErr, readErr, rootsErr); err != nil {
		return fmt.Errorf("shared cache: %w", err)
	}
	keys, err := sharedcache.ParseKeys(content)
	if err != nil {
		return fmt.Errorf("--redis-hmac-key-file: %s: %w", p.cfg.RedisHMACKeyFile, err)
	}
	p.shared, err = sharedcache.New(sharedcache.Config{
		URL: strings.TrimSpace(string(url)), Keys: keys, Origin: p.client.BaseURL(), RootCAs: roots, Tracer: p.tracing.Tracer(), Registerer: p.metrics, Log: p.log,
	})
	if err != nil {
		return fmt.Errorf("--redis-url-file: %s: %w", p.cfg.RedisURLFile, err)
	}
	return nil
}

// sharedVerdicts is a nil interface where there is no shared cache, which a nil
// pointer in it would not be.
func (p *provider) sharedVerdicts() verify.Shared {
	if p.shared == nil {
		return nil
	}
	return p.shared
}

// run listens until ctx ends.
func (p *provider) run(ctx context.Context) error {
	var listen net.ListenConfig
	main, err := listen.Listen(ctx, "tcp", p.cfg.ListenAddress)
	if err != nil {
		return fmt.Errorf("--listen-address: %w", err)
	}
	ops, err := listen.Listen(ctx, "tcp", p.cfg.OpsAddress)
	if err != nil {
		return errors.Join(fmt.Errorf("--ops-address: %w", err), main.Close())
	}
	build := buildinfo.Read()
	p.log.LogAttrs(ctx, slog.LevelInfo, "listening",
		slog.String("listen_address", main.Addr().String()), slog.String("ops_address", ops.Addr().String()),
		slog.String("version", build.Version), slog.String("endor_api", p.client.BaseURL()), slog.String("endor_namespace", p.cfg.EndorNamespace))

	p.readiness.Block(server.Starting)

	// The server drains after ctx ended; what it needs goes on until it is done.
	g, background := errgroup.WithContext(context.WithoutCancel(ctx))
	background, stop := context.WithCancel(background)
	g.Go(func() error {
		defer stop()
		return server.Run(ctx, server.Config{
			Listener: tls.NewListener(main, p.identity.tls), Handler: p.handler,
			OpsListener: ops, Readiness: &p.readiness, Gatherer: p.registry,
			DrainDelay: p.cfg.DrainDelay, Log: p.log, Registerer: p.metrics,
		})
	})
	for _, run := range p.identity.run {
		g.Go(func() error { return run(background) })
	}
	if p.shared != nil {
		g.Go(func() error { return p.shared.Run(background) })
	}
	g.Go(func() error { return p.client.Run(background, p.tokenAttempted(background)) })
	return g.Wait()
}

// tokenAttempted decides readiness: once a token was had, or Endor Labs could
// not be reached, the pod is ready for good, because an outage of Endor must
// not become one of the provider. Until then credentials that are refused keep
// it unready, so that a bad rollout stops.
func (p *provider) tokenAttempted(ctx context.Context) func(error) {
	settled := false
	return func(err error) {
		e, ok := errors.AsType[*endor.Error](err)
		refused := ok && e.Reason == endor.ReasonCredentials
		if err != nil {
			p.log.LogAttrs(ctx, slog.LevelError, "no token", slog.String("error", err.Error()))
		}
		switch {
		case settled:
		case refused:
			p.readiness.Block(server.TokenRefused)
			p.readiness.Clear(server.Starting)
		default:
			settled = true
			p.readiness.Clear(server.Starting, server.TokenRefused)
		}
	}
}

// close ends what is left in the background.
func (p *provider) close() {
	p.desk.Close()
	p.client.Close()
	p.closeObservers()
}
