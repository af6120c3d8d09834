// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package testbed runs the real provider program on loopback, with certificates
// made for the purpose, for tests, benchmarks and the demo. No program that is
// shipped imports it.
package testbed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

// GatekeeperName is the name in Gatekeeper's certificate, which the provider
// asks of its clients by default.
const GatekeeperName = "gatekeeper-webhook-service.gatekeeper-system.svc"

const lifetime = 24 * time.Hour

// Certificates are two authorities, one of the provider and one of Gatekeeper,
// and a pair of each, as files in one folder.
type Certificates struct {
	Dir string

	ServerCA, ClientCA *certs.Authority
}

// NewCertificates makes the files in dir.
func NewCertificates(dir string) (*Certificates, error) {
	serverCA, serverErr := certs.NewAuthority("provider-ca", lifetime)
	clientCA, clientErr := certs.NewAuthority("gatekeeper-ca", lifetime)
	if err := errors.Join(serverErr, clientErr); err != nil {
		return nil, err
	}
	c := &Certificates{Dir: dir, ServerCA: serverCA, ClientCA: clientCA}
	return c, errors.Join(c.WriteServer(), c.WriteClient())
}

// ServerFiles are the provider's chain and key.
func (c *Certificates) ServerFiles() (cert, key string) {
	return filepath.Join(c.Dir, "server.crt"), filepath.Join(c.Dir, "server.key")
}

// ServerCAFile is what Gatekeeper verifies the provider with.
func (c *Certificates) ServerCAFile() string { return filepath.Join(c.Dir, "server-ca.crt") }

// ClientFiles are Gatekeeper's chain and key.
func (c *Certificates) ClientFiles() (cert, key string) {
	return filepath.Join(c.Dir, "client.crt"), filepath.Join(c.Dir, "client.key")
}

// ClientCAFile is what the provider verifies Gatekeeper with.
func (c *Certificates) ClientCAFile() string { return filepath.Join(c.Dir, "client-ca.crt") }

// WriteServer issues the provider's pair anew.
func (c *Certificates) WriteServer() error {
	cert, key := c.ServerFiles()
	return write(c.ServerCA, c.ServerCAFile(), cert, key, "localhost", "127.0.0.1", "::1")
}

// WriteClient issues Gatekeeper's pair anew.
func (c *Certificates) WriteClient() error {
	cert, key := c.ClientFiles()
	return write(c.ClientCA, c.ClientCAFile(), cert, key, GatekeeperName)
}

func write(ca *certs.Authority, caFile, certFile, keyFile string, names ...string) error {
	pair, err := ca.Issue(lifetime, names...)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(caFile, ca.CertPEM(), 0o600),
		os.WriteFile(certFile, pair.Cert, 0o600),
		os.WriteFile(keyFile, pair.Key, 0o600),
	)
}

// ClientTLS is how a client trusts the provider and shows pair; a zero pair is
// not shown.
func (c *Certificates) ClientTLS(pair certs.Pair) (*tls.Config, error) {
	roots := x509.NewCertPool()
	roots.AddCert(c.ServerCA.Certificate())
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}
	if pair.Cert == nil {
		return cfg, nil
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	// Gatekeeper shows its certificate whatever authorities the server names.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return cfg, err
}

// Client is Gatekeeper's: HTTP/1.1 with its own certificate, connections kept.
func (c *Certificates) Client() (*http.Client, error) {
	pair, err := c.ClientCA.Issue(lifetime, GatekeeperName)
	if err != nil {
		return nil, err
	}
	cfg, err := c.ClientTLS(pair)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 10}}, err
}

// waitFor asks url until it answers 200.
func waitFor(ctx context.Context, url string) error {
	var last error
	for {
		if last = ask(ctx, url); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", url, context.Cause(ctx), last)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
