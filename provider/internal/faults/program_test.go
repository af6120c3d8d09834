// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// patience ends a test that hangs. Nothing here is expected to take a part of it.
const patience = 2 * time.Minute

// The program itself, as a process, with real sockets and real certificates.
// Its budget is far longer than any fault here lasts, so that what becomes of a
// question does not depend on how fast the machine is.
func TestTheProgramOutlivesRotationsAndBrokenConnections(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	api := endortest.Start(t, endortest.Config{})
	w, l := newWorld(api.Emulator), &line{}
	p := newProgram(ctx, t, "http://"+l.proxy(t, strings.TrimPrefix(api.URL, "http://")))

	y, stop := p.load(ctx, t, w)
	for _, rotate := range []func(){
		func() { p.rotateServer(ctx, t) },
		func() { p.rotateClients(ctx, t) },
		func() { p.rotateCredentials(ctx, t, w) },
	} {
		rotate()
		before := y.count()
		until(ctx, t, "the load goes on", func() bool { return y.count() >= before+8 })
	}
	for _, bad := range []weather{
		{arrive: 100, ending: truncated}, {arrive: 1500, ending: truncated}, {arrive: 1500, ending: reset}, {refuses: true},
		{chunk: 64, pause: time.Millisecond},
	} {
		harm := l.harm.Load()
		l.turns(bad)
		keys := w.several(t, everyKind...)
		answered := make(chan error, 1)
		go func() {
			a, err := w.ask(ctx, p.kept, p.running.URL, keys)
			if err == nil && len(a.open) > 0 {
				err = errors.New(a.why)
			}
			answered <- err
		}()
		until(ctx, t, "the weather does harm", func() bool { return l.harm.Load() >= harm+3 })
		l.turns(weather{})
		if err := <-answered; err != nil {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	stop()
	y.sound(t, "load", patience)
	y.allDecided(t, "load")
	if err := p.running.Stop(); err != nil {
		t.Errorf("the program ended: %v\n%s", err, p.running.Log())
	}
}

// until asks again and again whether it is so.
func until(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	for !so() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, context.Cause(ctx))
		}
	}
}

// program is a running provider and its client, Gatekeeper.
type program struct {
	certs   *testbed.Certificates
	running *testbed.Provider
	roots   []*certs.Authority
	shown   atomic.Pointer[tls.Certificate]

	kept, opened *http.Client // one keeps its connections
}

func newProgram(ctx context.Context, t *testing.T, api string) *program {
	t.Helper()
	built, err := testbed.Build(t.TempDir(), "endor-gatekeeper-provider")
	if err != nil {
		t.Fatal(err)
	}
	c, err := testbed.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &program{certs: c, roots: []*certs.Authority{c.ServerCA, authority(t, "next provider")}}
	p.shows(keyPair(t, c.ClientCA, testbed.GatekeeperName))
	p.running, err = testbed.Start(ctx, testbed.Config{
		Program: built[0], Certificates: c, API: api,
		Key: endortest.DefaultAPIKey, Secret: endortest.DefaultAPISecret, Namespace: endortest.DefaultNamespace,
		Args: []string{"--reload-interval=10ms", "--response-budget=25s", "--upstream-timeout=1m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.kept, p.opened = p.client(), p.client()
	p.opened.Transport.(*http.Transport).DisableKeepAlives = true
	t.Cleanup(func() {
		p.kept.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections() // testbed's
		_ = p.running.Kill()
	})
	return p
}

func (p *program) shows(pair tls.Certificate) { p.shown.Store(&pair) }

func (p *program) client() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10, TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool(p.roots...),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.shown.Load(), nil },
	}}}
}

// load asks about a fresh key of each kind again and again until stop is called.
func (p *program) load(ctx context.Context, t *testing.T, w *world) (y *tally, stop func()) {
	t.Helper()
	y = &tally{}
	var asking sync.WaitGroup
	loading, cancel := context.WithCancel(ctx)
	for _, client := range []*http.Client{p.kept, p.opened} {
		asking.Go(func() {
			for turn := 0; loading.Err() == nil; turn++ {
				y.add(w.ask(ctx, client, p.running.URL, []string{w.fresh(t, everyKind[turn%len(everyKind)])}))
			}
		})
	}
	return y, func() {
		cancel()
		asking.Wait()
	}
}

// rotateServer replaces the server's certificate, and then its authority.
func (p *program) rotateServer(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, ca := range p.roots {
		before := p.serial(ctx, t)
		p.certs.ServerCA = ca
		if err := p.certs.WriteServer(); err != nil {
			t.Fatal(err)
		}
		until(ctx, t, "the new certificate is shown", func() bool { return p.serial(ctx, t) != before })
	}
}

// serial names the certificate that a new connection is shown.
func (p *program) serial(ctx context.Context, t *testing.T) string {
	t.Helper()
	resp, err := get(ctx, p.opened, p.running.URL)
	if err != nil {
		t.Fatal(err)
	}
	return resp.TLS.PeerCertificates[0].SerialNumber.String()
}

// get asks for what is refused, by a server that talks to this client.
func get(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// rotateClients replaces the authority of Gatekeeper's certificate: both are
// accepted, the new one is shown, only the new one is accepted.
func (p *program) rotateClients(ctx context.Context, t *testing.T) {
	t.Helper()
	next := authority(t, "next gatekeeper")
	old, fresh := p.shown.Load(), keyPair(t, next, testbed.GatekeeperName)
	with := func(pair tls.Certificate) bool {
		client := p.client()
		defer client.CloseIdleConnections()
		client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		_, err := get(ctx, client, p.running.URL)
		return err == nil
	}
	write(t, p.certs.ClientCAFile(), slices.Concat(p.certs.ClientCA.CertPEM(), next.CertPEM()))
	until(ctx, t, "the new authority is accepted", func() bool { return with(fresh) })
	p.shows(fresh)
	// A handshake that shows the old one has begun before, when both were
	// accepted.
	write(t, p.certs.ClientCAFile(), next.CertPEM())
	until(ctx, t, "the old authority is refused", func() bool { return !with(*old) })
	if with(keyPair(t, next, "other.gatekeeper-system.svc")) {
		t.Error("a certificate for another name is accepted")
	}
}

// rotateCredentials replaces the API key, first on disk and then at Endor Labs.
func (p *program) rotateCredentials(ctx context.Context, t *testing.T, w *world) {
	t.Helper()
	write(t, filepath.Join(p.certs.Dir, "api-key"), []byte(newKey))
	write(t, filepath.Join(p.certs.Dir, "api-secret"), []byte(newSecret))
	w.endor.SetCredentials(newKey, newSecret)
	granted := w.endor.Counters().TokensGranted
	w.endor.RevokeTokens()
	if err := w.endor.Await(ctx, func(c endortest.Counters) bool { return c.TokensGranted > granted }); err != nil {
		t.Fatal(err)
	}
	if code := w.exchange(endortest.DefaultAPIKey, endortest.DefaultAPISecret); code != http.StatusUnauthorized {
		t.Errorf("the old key is answered with HTTP %d, want 401", code)
	}
}
