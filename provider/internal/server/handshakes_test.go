// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
)

// The reasons are told by words of other people's errors, so each is brought
// about for real.
func TestWhyAHandshakeFailed(t *testing.T) {
	t.Parallel()
	serverCA, clientCA, strangerCA := authority(t, "server"), authority(t, "client"), authority(t, "stranger")
	const name = "gatekeeper.example"
	served := issue(t, serverCA, time.Hour, "localhost")
	trusting := func(change func(*tls.Config)) func(net.Conn) {
		cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: certs.Pool([]*x509.Certificate{serverCA.Certificate()})}
		change(cfg)
		return func(c net.Conn) {
			conn := tls.Client(c, cfg)
			// With TLS 1.3 the server's refusal comes after the client's handshake.
			if conn.HandshakeContext(t.Context()) == nil {
				_, _ = conn.Read(make([]byte, 1))
			}
		}
	}
	showing := func(pair tls.Certificate) func(net.Conn) {
		return trusting(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		})
	}
	for _, tc := range []struct {
		name, want string
		client     func(net.Conn)
		pair       tls.Certificate // of the server
		clientCAs  *x509.CertPool
	}{
		{name: "a client without a certificate", want: "no_client_certificate", client: trusting(func(*tls.Config) {})},
		{name: "a client of another authority", want: "unknown_ca", client: showing(issue(t, strangerCA, time.Hour, name))},
		{name: "a client with another name", want: "wrong_name", client: showing(issue(t, clientCA, time.Hour, "other.example"))},
		{name: "a client whose certificate is over", want: "expired", client: showing(issue(t, clientCA, -time.Second, name))},
		{name: "a client whose certificate cannot be read", want: "bad_client_certificate", client: showing(tls.Certificate{Certificate: [][]byte{{1}}, PrivateKey: served.PrivateKey})},
		{name: "a client that does not trust the server", want: "server_certificate_refused", client: trusting(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() })},
		{name: "a client of yesterday", want: "version", client: trusting(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })},
		{name: "a client without TLS", want: "not_tls", client: func(c net.Conn) {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			_, _ = io.ReadAll(c)
		}},
		{name: "somebody who knocks and leaves", want: "disconnected", client: func(net.Conn) {}},
		{name: "a server without a certificate", want: "no_server_certificate", client: trusting(func(*tls.Config) {}), pair: tls.Certificate{}, clientCAs: x509.NewCertPool()},
		{name: "a server that knows no client CA", want: "no_client_ca", client: trusting(func(*tls.Config) {}), pair: served, clientCAs: nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			pair, cas := tc.pair, tc.clientCAs
			if !strings.HasPrefix(tc.name, "a server") {
				pair, cas = served, certs.Pool([]*x509.Certificate{clientCA.Certificate()})
			}
			reg := prometheus.NewRegistry()
			l := listen(t)
			cfg := certs.ServerTLS(func() tls.Certificate { return pair }, func() *x509.CertPool { return cas }, []string{name})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				done <- server.Run(ctx, server.Config{
					Listener: tls.NewListener(l, cfg), Handler: http.HandlerFunc(ok), OpsListener: listen(t), Readiness: &server.Readiness{},
					Gatherer: reg, Log: slog.New(slog.DiscardHandler), Registerer: reg,
				})
			}()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			tc.client(conn)
			conn.Close()
			got := ""
			for deadline := time.Now().Add(10 * time.Second); got == "" && time.Now().Before(deadline); {
				got = failures(t, reg)
				time.Sleep(time.Millisecond)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got != tc.want {
				t.Errorf("counted %q, want %q", got, tc.want)
			}
		})
	}
}

// failures are the reasons that were counted.
func failures(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	var reasons []string
	for reason, n := range counters(t, reg, "tls_handshake_failures_total") {
		if n > 0 {
			reasons = append(reasons, reason)
		}
	}
	slices.Sort(reasons)
	return strings.Join(reasons, " ")
}

func authority(t *testing.T, name string) *certs.Authority {
	t.Helper()
	ca, err := certs.NewAuthority(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *certs.Authority, lifetime time.Duration, names ...string) tls.Certificate {
	t.Helper()
	p, err := ca.Issue(lifetime, names...)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
