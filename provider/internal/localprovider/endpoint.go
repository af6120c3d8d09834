// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localprovider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/externaldata"
)

const (
	// Name is how constraints name the provider, unless they are told otherwise.
	Name = "endor-gatekeeper-provider"

	address    = "127.0.0.1"
	clientName = "kubectl-endor.local"

	// timeout is what the engine gives the provider, in seconds: a little more
	// than the provider takes.
	timeout = int(Patience/time.Second) + 10
)

// endpoint is where an engine reaches the provider. There is no package server
// in it: nobody probes it, nobody scrapes it, answers may take minutes, and
// when it ends it has nobody to drain.
type endpoint struct {
	log *slog.Logger

	mu     sync.Mutex // protects the fields below
	server *http.Server
	done   chan struct{} // closed when server ended
	err    error         // why; set before done is closed
}

// Engine makes an engine with this provider, under name, and others that run
// elsewhere. One process has one engine; see package engine.
func (p *Provider) Engine(ctx context.Context, name string, others ...engine.Provider) (*engine.Engine, error) {
	authority, err := certs.NewAuthority("kubectl-endor", lifetime)
	if err != nil {
		return nil, err
	}
	served, servedErr := authority.Issue(lifetime, address)
	client, clientErr := authority.Issue(lifetime, clientName)
	if err := errors.Join(servedErr, clientErr); err != nil {
		return nil, err
	}
	handler := externaldata.NewHandler(externaldata.Config{Answerer: p, Log: p.endpoint.log})
	url, err := p.endpoint.open(p.ctx, authority, served, handler) //nolint:contextcheck // it lives as long as the provider, not as this call
	if err != nil {
		return nil, err
	}
	return p.newEngine(ctx, client, append([]engine.Provider{{
		Name: name, URL: url, CABundle: authority.CertPEM(), Timeout: timeout,
	}}, others...))
}

// newEngine hands the client certificate over. The engine reads it from files,
// and only while it is made: they are gone when this returns.
func (p *Provider) newEngine(ctx context.Context, client certs.Pair, providers []engine.Provider) (_ *engine.Engine, err error) {
	dir, err := os.MkdirTemp("", "kubectl-endor-") // 0700
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cert, key := filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	if err := errors.Join(os.WriteFile(cert, client.Cert, 0o600), os.WriteFile(key, client.Key, 0o600)); err != nil {
		return nil, err
	}
	return engine.New(ctx, engine.Config{Providers: providers, ClientCertFile: cert, ClientKeyFile: key})
}

// open listens on a free port of loopback and gives the URL.
func (e *endpoint) open(ctx context.Context, authority *certs.Authority, served certs.Pair, handler http.Handler) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return "", errors.New("local provider: there is an engine already")
	}
	pair, err := tls.X509KeyPair(served.Cert, served.Key)
	if err != nil {
		return "", err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return "", fmt.Errorf("local provider: %w", err)
	}
	clients := certs.Pool([]*x509.Certificate{authority.Certificate()})
	config := certs.ServerTLS(func() tls.Certificate { return pair }, func() *x509.CertPool { return clients }, []string{clientName})
	mux := http.NewServeMux()
	mux.Handle("/validate", handler)
	e.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn),
		// Whoever waits for an answer when the program is told to stop gets one.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	e.done = make(chan struct{})
	go func(server *http.Server, done chan<- struct{}) {
		defer close(done)
		if err := server.Serve(tls.NewListener(listener, config)); !errors.Is(err, http.ErrServerClosed) {
			e.err = fmt.Errorf("local provider: %w", err)
		}
	}(e.server, e.done)
	return "https://" + listener.Addr().String() + "/validate", nil
}

func (e *endpoint) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil
	}
	err := e.server.Close()
	<-e.done
	return errors.Join(err, e.err)
}
