// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const gatekeeperName = "gatekeeper-webhook-service.gatekeeper-system.svc"

// identity is what Gatekeeper shows, which may change while it asks.
type identity struct {
	shown atomic.Pointer[tls.Certificate]
}

func (i *identity) shows(pair tls.Certificate) { i.shown.Store(&pair) }

func TestCertificatesRotateUnderLoadAndNoRequestFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		serverCA, nextServerCA := authority(t, "provider"), authority(t, "next provider")
		clientCA, nextClientCA := authority(t, "gatekeeper"), authority(t, "next gatekeeper")
		files := newCertificateFiles(t)
		files.server(t, serverCA)
		files.clients(t, clientCA)
		s := newStage(t, setting{front: files.watched(t)}, http2)
		s.url = "https://localhost/validate"

		// Gatekeeper trusts both authorities while the provider's changes.
		var who identity
		first := keyPair(t, clientCA, gatekeeperName)
		who.shows(first)
		client := func() *http.Client {
			return s.gatekeeper(&tls.Config{
				MinVersion: tls.VersionTLS13, RootCAs: pool(serverCA, nextServerCA),
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return who.shown.Load(), nil },
			})
		}
		s.client = client()
		hurried := client() // a handshake for each request
		hurried.Transport.(*http.Transport).DisableKeepAlives = true
		seen := func() string {
			t.Helper()
			resp, err := hurried.Get(s.url)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			return resp.TLS.PeerCertificates[0].SerialNumber.String()
		}

		kept := s.traffic(t, 2, time.Second, s.anything(t))
		s2 := *s
		s2.client = hurried
		opened := s2.traffic(t, 2, time.Second, s.anything(t))

		serial := seen()
		changed := func(what string) {
			t.Helper()
			time.Sleep(11 * time.Second) // longer than two looks at the files
			now := seen()
			if now == serial {
				t.Errorf("%s: the old certificate is still shown", what)
			}
			serial = now
		}
		time.Sleep(10 * time.Second)
		files.server(t, serverCA)
		changed("a new pair of the same authority")
		files.torn(t)
		time.Sleep(11 * time.Second)
		if seen() != serial {
			t.Error("half a file took effect")
		}
		files.server(t, nextServerCA)
		changed("a pair of another authority")

		files.clients(t, clientCA, nextClientCA)
		time.Sleep(11 * time.Second)
		who.shows(keyPair(t, nextClientCA, gatekeeperName))
		time.Sleep(11 * time.Second)
		files.clients(t, nextClientCA)
		time.Sleep(11 * time.Second)

		for what, pair := range map[string]tls.Certificate{
			"the certificate of before the rotation": first,
			"a certificate for another name":         keyPair(t, nextClientCA, "other.gatekeeper-system.svc"),
			"a certificate of a stranger's":          keyPair(t, authority(t, "stranger"), gatekeeperName),
			"no certificate":                         {},
		} {
			other := s.gatekeeper(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool(nextServerCA), Certificates: []tls.Certificate{pair}})
			if a, err := s.ask(t.Context(), other, s.url, s.several(t, verify.Verified)); err == nil {
				t.Errorf("%s is answered: %v", what, a.codes)
			}
			other.CloseIdleConnections()
		}
		for what, stop := range map[string]func() *tally{"connections that are kept": kept, "connections that are new": opened} {
			y := stop()
			y.sound(t, what, 0)
			y.allDecided(t, what)
		}
		hurried.CloseIdleConnections()
	})
}

func authority(t testing.TB, name string) *certs.Authority {
	t.Helper()
	ca, err := certs.NewAuthority(name, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// certificateFiles are what the provider reads.
type certificateFiles struct{ cert, key, clientCA string }

func newCertificateFiles(t testing.TB) certificateFiles {
	t.Helper()
	dir := t.TempDir()
	return certificateFiles{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"), clientCA: filepath.Join(dir, "ca.crt")}
}

// server issues a new pair.
func (f certificateFiles) server(t testing.TB, ca *certs.Authority) {
	t.Helper()
	pair, err := ca.Issue(24*time.Hour, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.cert, pair.Cert)
	write(t, f.key, pair.Key)
}

// torn leaves half a certificate beside no key.
func (f certificateFiles) torn(t testing.TB) {
	t.Helper()
	whole, err := os.ReadFile(f.cert)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.cert, whole[:len(whole)/2])
	write(t, f.key, nil)
}

// clients sets who may issue Gatekeeper's certificate.
func (f certificateFiles) clients(t testing.TB, cas ...*certs.Authority) {
	t.Helper()
	var all bytes.Buffer
	for _, ca := range cas {
		all.Write(ca.CertPEM())
	}
	write(t, f.clientCA, all.Bytes())
}

func write(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// watched is a front with TLS that reads the files again and again.
func (f certificateFiles) watched(t *testing.T) func(net.Listener) net.Listener {
	t.Helper()
	pair, err := certs.ServerPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	clientCAs, err := certs.ClientCAs(f.clientCA)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- certs.Watch{
			Sources: []certs.Reloader{pair, clientCAs}, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		}.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(l net.Listener) net.Listener {
		return tls.NewListener(l, certs.ServerTLS(pair.Current, clientCAs.Current, []string{gatekeeperName}))
	}
}
