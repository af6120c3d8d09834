// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

const gatekeeper = "gatekeeper-webhook-service.gatekeeper-system.svc"

// handshake gives what each side says of a handshake over a pipe.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.HandshakeContext(t.Context())
		done <- err
		a.Close()
	}()
	conn := tls.Client(b, client)
	clientErr = conn.HandshakeContext(t.Context())
	if clientErr == nil {
		// With TLS 1.3 the server's refusal of a client comes after the handshake.
		_, clientErr = conn.Read(make([]byte, 1))
	}
	return <-done, clientErr
}

func keyPair(t *testing.T, p certs.Pair) tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func pool(cas ...*certs.Authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, ca := range cas {
		p.AddCert(ca.Certificate())
	}
	return p
}

func TestOnlyGatekeeperGetsIn(t *testing.T) {
	t.Parallel()
	serverCA, clientCA, strangerCA := authority(t, "server"), authority(t, "client"), authority(t, "stranger")
	pair := keyPair(t, issue(t, serverCA, "localhost"))
	show := func(p certs.Pair) []tls.Certificate { return []tls.Certificate{keyPair(t, p)} }
	for _, tc := range []struct {
		name      string
		clientCAs *x509.CertPool
		client    *tls.Config
		ok        bool
	}{
		{name: "Gatekeeper", clientCAs: pool(clientCA), client: &tls.Config{Certificates: show(issue(t, clientCA, gatekeeper))}, ok: true},
		{name: "Gatekeeper with several names", clientCAs: pool(clientCA), client: &tls.Config{Certificates: show(issue(t, clientCA, "other", gatekeeper))}, ok: true},
		{name: "Gatekeeper of the old CA while a rotation spreads", clientCAs: pool(strangerCA, clientCA), client: &tls.Config{Certificates: show(issue(t, clientCA, gatekeeper))}, ok: true},
		{name: "no certificate", clientCAs: pool(clientCA), client: &tls.Config{}},
		{name: "a certificate of another CA", clientCAs: pool(clientCA), client: &tls.Config{Certificates: show(issue(t, strangerCA, gatekeeper))}},
		{name: "the right CA with another name", clientCAs: pool(clientCA), client: &tls.Config{Certificates: show(issue(t, clientCA, "other.gatekeeper-system.svc"))}},
		{name: "the right CA with a wildcard", clientCAs: pool(clientCA), client: &tls.Config{Certificates: show(issue(t, clientCA, "*.gatekeeper-system.svc"))}},
		{name: "TLS 1.2", clientCAs: pool(clientCA), client: &tls.Config{Certificates: show(issue(t, clientCA, gatekeeper)), MaxVersion: tls.VersionTLS12}},
		{name: "nobody, as long as no client CA is known", client: &tls.Config{Certificates: show(issue(t, clientCA, gatekeeper))}},
		{name: "nobody, with an empty pool", clientCAs: pool(), client: &tls.Config{Certificates: show(issue(t, clientCA, gatekeeper))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := certs.ServerTLS(func() tls.Certificate { return pair }, func() *x509.CertPool { return tc.clientCAs }, []string{gatekeeper})
			tc.client.RootCAs, tc.client.ServerName = pool(serverCA), "localhost"
			serverErr, clientErr := handshake(t, server, tc.client)
			if (serverErr == nil) != tc.ok {
				t.Errorf("the server says %v, the client %v; want success %v", serverErr, clientErr, tc.ok)
			}
			if !tc.ok {
				t.Logf("Got expected error: %v", serverErr)
			}
		})
	}
}

func TestAnExpiredClientCertificateIsRefused(t *testing.T) {
	t.Parallel()
	serverCA, clientCA := authority(t, "server"), authority(t, "client")
	pair := keyPair(t, issue(t, serverCA, "localhost"))
	expired, err := clientCA.Issue(-1, gatekeeper)
	if err != nil {
		t.Fatal(err)
	}
	server := certs.ServerTLS(func() tls.Certificate { return pair }, func() *x509.CertPool { return pool(clientCA) }, []string{gatekeeper})
	serverErr, _ := handshake(t, server, &tls.Config{RootCAs: pool(serverCA), ServerName: "localhost", Certificates: []tls.Certificate{keyPair(t, expired)}})
	if e, ok := errors.AsType[x509.CertificateInvalidError](serverErr); !ok || e.Reason != x509.Expired {
		t.Errorf("the server says %v, want that the certificate expired", serverErr)
	}
}

func TestWithoutACertificateOfItsOwnTheServerAnswersNobody(t *testing.T) {
	t.Parallel()
	clientCA := authority(t, "client")
	none := func() tls.Certificate { return tls.Certificate{} }
	client := &tls.Config{RootCAs: pool(authority(t, "server")), ServerName: "localhost", Certificates: []tls.Certificate{keyPair(t, issue(t, clientCA, gatekeeper))}}
	for name, server := range map[string]*tls.Config{
		"with client certificates": certs.ServerTLS(none, func() *x509.CertPool { return pool(clientCA) }, []string{gatekeeper}),
		"without":                  certs.InsecureServerTLS(none),
	} {
		if serverErr, _ := handshake(t, server, client); serverErr == nil {
			t.Errorf("%s: a handshake succeeded", name)
		}
	}
}

func TestOnlyTheInsecureServerTakesClientsWithoutACertificate(t *testing.T) {
	t.Parallel()
	serverCA := authority(t, "server")
	pair := keyPair(t, issue(t, serverCA, "localhost"))
	server := certs.InsecureServerTLS(func() tls.Certificate { return pair })
	if serverErr, _ := handshake(t, server, &tls.Config{RootCAs: pool(serverCA), ServerName: "localhost"}); serverErr != nil {
		t.Errorf("without a certificate: %v", serverErr)
	}
	if serverErr, _ := handshake(t, server, &tls.Config{RootCAs: pool(serverCA), ServerName: "localhost", MaxVersion: tls.VersionTLS12}); serverErr == nil {
		t.Error("TLS 1.2 succeeded")
	}
}

func TestAnAuthorityIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	ca, other := authority(t, "one"), authority(t, "other")
	key, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := certs.ParseAuthority(ca.CertPEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	pair := keyPair(t, issue(t, again, gatekeeper))
	if err := pair.Leaf.CheckSignatureFrom(ca.Certificate()); err != nil {
		t.Errorf("it issues for another authority: %v", err)
	}
	if _, err := certs.ParseAuthority(other.CertPEM(), key); err == nil {
		t.Error("a key of another certificate was taken")
	}
	leaf := issue(t, ca, gatekeeper)
	if _, err := certs.ParseAuthority(leaf.Cert, leaf.Key); err == nil {
		t.Error("a certificate that may issue none was taken for an authority")
	}
}
