// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/externaldata"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// setting is what is special about a stage. The zero value has the defaults of
// the program.
type setting struct {
	// emulator configures Endor Labs; its clock is right.
	emulator endortest.Config

	// protocols are those of the API that the scenario is played in; default
	// all. Where they make no difference one is enough.
	protocols []string

	// front wraps the listener for Gatekeeper, in TLS for example; nil means
	// plain HTTP.
	front func(net.Listener) net.Listener
}

// stage is a provider in a bubble, between Gatekeeper and an Endor Labs.
type stage struct {
	*world
	line  *line  // between provider and Endor Labs
	clock *clock // of the provider
	calls *calls // of operations that reached Endor Labs

	// keyFile and secretFile hold the provider's credentials.
	keyFile, secretFile string

	front  *listener    // for Gatekeeper
	client *http.Client // Gatekeeper's
	url    string       // that it asks
}

// The protocols of the API. In the second, which is over TLS, all calls share
// one connection and its fate.
const (
	http1 = "HTTP 1.1"
	http2 = "HTTP 2"
)

// play plays a scenario once for each protocol. After it, and after what it
// began has ended, there are no more goroutines than before.
func play(t *testing.T, with setting, scenario func(t *testing.T, s *stage)) {
	t.Helper()
	t.Parallel()
	if with.protocols == nil {
		with.protocols = []string{http1, http2}
	}
	for _, protocol := range with.protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, with, protocol)
				s.right(t, 1, s.fresh(t, verify.Verified))
				before, _ := s.settle()
				scenario(t, s)
				if after, stacks := s.settle(); after > before {
					t.Errorf("%d goroutines, and before the fault there were %d:\n%.20000s", after, before, stacks)
				}
			})
		})
	}
}

// settle waits until no call and no idle connection is left, and counts the
// goroutines of the bubble.
func (s *stage) settle() (int, string) {
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 2) // a buffer takes everything
	stacks := strings.Split(all.String(), "\n\n")
	bubble := bubbled.FindString(stacks[0]) // the caller's own comes first
	var ours []string
	for _, stack := range stacks {
		if strings.Contains(stack, bubble) {
			ours = append(ours, stack)
		}
	}
	return len(ours), strings.Join(ours, "\n\n")
}

var bubbled = regexp.MustCompile(`synctest bubble \d+\]`)

// newStage puts the provider together as the program does.
func newStage(t *testing.T, with setting, protocol string) *stage {
	t.Helper()
	emulator, err := endortest.New(with.emulator)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{world: newWorld(emulator), line: &line{}, clock: &clock{}, calls: &calls{next: emulator.Handler()}, front: listen(), url: "http://provider/validate"}
	dir := t.TempDir()
	s.keyFile, s.secretFile = filepath.Join(dir, "key"), filepath.Join(dir, "secret")
	s.writeCredentials(t, endortest.DefaultAPIKey, endortest.DefaultAPISecret)

	api, roots, connect := serveAPI(t, s.calls, protocol)
	client, err := endor.New(endor.Config{
		BaseURL: api, RootCAs: roots, DialContext: s.line.over(connect),
		Credentials: endor.Credentials{KeyFile: s.keyFile, SecretFile: s.secretFile},
		Rate:        rate.NewLimiter(100, 32), Now: s.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	desk, err := verify.New(verify.NewEndor(client, s.clock.Now), verify.Config{
		Resolver: verify.Resolver{Namespace: endortest.DefaultNamespace},
		Cache:    verify.CacheConfig{StaleIfError: 30 * time.Minute}, Now: s.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}

	var front net.Listener = s.front
	if with.front != nil {
		front = with.front(front)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := server.Run(ctx, server.Config{
			Listener: front, Handler: externaldata.NewHandler(externaldata.Config{Answerer: desk}),
			OpsListener: listen(), Readiness: &server.Readiness{}, Gatherer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Error(err)
		}
	})
	running.Go(func() {
		if err := client.Run(ctx, nil); err != nil {
			t.Error(err)
		}
	})
	s.client = s.gatekeeper(nil)
	t.Cleanup(func() {
		s.line.turns(weather{})
		emulator.Close()
		s.client.CloseIdleConnections()
		stop()
		running.Wait()
		desk.Close()
		client.Close()
	})
	return s
}

// serveAPI serves h as Endor Labs would and gives its URL, what to trust it by,
// and how to connect to it.
func serveAPI(t *testing.T, h http.Handler, protocol string) (string, *x509.CertPool, dial) {
	t.Helper()
	l := listen()
	api := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: time.Minute}
	url, roots, serve := "http://127.0.0.1", (*x509.CertPool)(nil), api.Serve
	if protocol == http2 {
		ca, err := certs.NewAuthority("endor", 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		pair := keyPair(t, ca, "127.0.0.1")
		url, roots = "https://127.0.0.1", pool(ca)
		api.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
		serve = func(l net.Listener) error { return api.ServeTLS(l, "", "") }
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = serve(l) }) // until it is closed
	t.Cleanup(func() {
		_ = api.Close()
		serving.Wait()
	})
	return url, roots, l.dial
}

func keyPair(t testing.TB, ca *certs.Authority, names ...string) tls.Certificate {
	t.Helper()
	issued, err := ca.Issue(24*time.Hour, names...)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func pool(cas ...*certs.Authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, ca := range cas {
		p.AddCert(ca.Certificate())
	}
	return p
}

// gatekeeper is a client of the provider that keeps its connections, as
// Gatekeeper does.
func (s *stage) gatekeeper(cfg *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: s.front.dial, TLSClientConfig: cfg, MaxIdleConnsPerHost: 100, IdleConnTimeout: 90 * time.Second,
	}}
}

func (s *stage) writeCredentials(t testing.TB, key, secret string) {
	t.Helper()
	for file, content := range map[string]string{s.keyFile: key, s.secretFile: secret} {
		if err := os.WriteFile(file, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// inject adds faults to Endor Labs.
func (w *world) inject(t testing.TB, faults ...endortest.Fault) {
	t.Helper()
	if err := w.endor.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

// asks asks as Gatekeeper and fails the test if the answer is wrong or late.
func (s *stage) asks(t testing.TB, keys ...string) answer {
	t.Helper()
	a, err := s.ask(t.Context(), s.client, s.url, keys)
	if err != nil {
		t.Error(err)
	}
	if a.took > verify.DefaultBudget {
		t.Errorf("the answer took %v, want the budget of %v at most", a.took, verify.DefaultBudget)
	}
	return a
}

// right asks about keys, once a second, until all are decided, and fails the
// test if they are not within so many asks.
func (s *stage) right(t testing.TB, asks int, keys ...string) {
	t.Helper()
	var a answer
	for i := range asks {
		if i > 0 {
			time.Sleep(time.Second)
		}
		if a = s.asks(t, keys...); len(a.open) == 0 {
			return
		}
	}
	t.Errorf("after %d asks %d of %d keys are undecided: %s", asks, len(a.open), len(keys), a.why)
}

// traffic asks until stop is called, which gives what became of it: so many
// callers, each about the keys of its turn and then after a pause again.
func (s *stage) traffic(t testing.TB, callers int, pause time.Duration, keys func(caller, turn int) []string) (stop func() *tally) {
	t.Helper()
	var y tally
	var calling sync.WaitGroup
	done := make(chan struct{})
	for caller := range callers {
		calling.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-time.After(pause + time.Duration(caller)*time.Millisecond):
				case <-done:
					return
				}
				y.add(s.ask(t.Context(), s.client, s.url, keys(caller, turn)))
			}
		})
	}
	return func() *tally {
		close(done)
		calling.Wait()
		return &y
	}
}

// same is traffic about the same keys.
func same(keys ...string) func(caller, turn int) []string {
	return func(int, int) []string { return keys }
}

// anything is traffic about a fresh key of each kind in turn, beside keys.
func (s *stage) anything(t testing.TB, keys ...string) func(caller, turn int) []string {
	return func(caller, turn int) []string {
		return append([]string{s.fresh(t, everyKind[(caller+turn)%len(everyKind)])}, keys...)
	}
}

// clock is a wall clock that jumps when told to. It says nothing of the
// monotonic clock, so that nothing but the wall clock can be looked at.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Round(0).Add(time.Duration(c.ahead.Load())) }

// jumps sets how far the clock is ahead of the truth.
func (c *clock) jumps(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// calls remembers when which artifact was asked about.
type calls struct {
	next http.Handler

	mu   sync.Mutex // protects made
	made []call
}

type call struct {
	at   time.Time
	what string // the body, which is the same for the same question
}

func (c *calls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/artifact-operations") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client left
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.mu.Lock()
		c.made = append(c.made, call{at: time.Now(), what: string(body)})
		c.mu.Unlock()
	}
	c.next.ServeHTTP(w, r)
}

// since gives the calls from then on.
func (c *calls) since(then time.Time) []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var since []call
	for _, call := range c.made {
		if !call.at.Before(then) {
			since = append(since, call)
		}
	}
	return since
}
