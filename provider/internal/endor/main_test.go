// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	apiDigest = "sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
	apiImage  = "ghcr.io/acme/api@" + apiDigest
)

var (
	apiRef    = mustParse(apiImage)
	apiBuild  = endortest.GitHubClaims("acme", "api", "refs/heads/main")
	apiClaims = question.Claims(apiBuild)
)

func mustParse(s string) imageref.Ref {
	ref, err := imageref.Parse(s)
	if err != nil {
		panic(err)
	}
	return ref
}

// signed serves an emulator that signed apiImage.
func signed(t testing.TB, cfg endortest.Config) *endortest.Server {
	t.Helper()
	s := endortest.Start(t, cfg)
	sign(t, s.Emulator)
	return s
}

// signedTLS is signed over HTTPS, and silent about clients that do not trust it.
func signedTLS(t testing.TB) *endortest.Server {
	t.Helper()
	emulator, err := endortest.New(endortest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sign(t, emulator)
	s := httptest.NewUnstartedServer(emulator.Handler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	t.Cleanup(emulator.Close)
	return &endortest.Server{Emulator: emulator, HTTP: s, URL: s.URL, APIKey: endortest.DefaultAPIKey, APISecret: endortest.DefaultAPISecret, Namespace: endortest.DefaultNamespace}
}

func sign(t testing.TB, e *endortest.Emulator) {
	t.Helper()
	if err := e.Sign(endortest.Signing{Image: apiImage, Claims: apiBuild}); err != nil {
		t.Fatal(err)
	}
}

func inject(t testing.TB, s *endortest.Server, faults ...endortest.Fault) {
	t.Helper()
	if err := s.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

// newClient makes a client of an emulator with its credentials. Nobody waits for
// the timeout: tests that are about time have a clock of their own.
func newClient(t testing.TB, s *endortest.Server, change ...func(*endor.Config)) *endor.Client {
	t.Helper()
	cfg := endor.Config{
		BaseURL:     s.URL,
		Credentials: endor.Credentials{Key: s.APIKey, Secret: s.APISecret},
		Timeout:     time.Minute,
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := endor.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// newClientAt makes a client of a small server that is not the emulator.
func newClientAt(t testing.TB, h http.Handler, change ...func(*endor.Config)) *endor.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return newClient(t, &endortest.Server{URL: s.URL, APIKey: "endr+key", APISecret: "endr+secret"}, change...)
}

// ask may be called by any goroutine.
func ask(t testing.TB, c *endor.Client) (endor.Answer, error) {
	return c.Verify(t.Context(), endortest.DefaultNamespace, apiRef, apiClaims)
}

func mustSucceed(t testing.TB, c *endor.Client) {
	t.Helper()
	got, err := ask(t, c)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if got.Result != endor.ResultSuccess {
		t.Fatalf("Verify = %s, want SUCCESS", got.Result)
	}
}

// mustFail returns the [endor.Error] that Verify's error has to be, beside no answer.
func mustFail(t testing.TB, c *endor.Client) *endor.Error {
	t.Helper()
	got, err := ask(t, c)
	if got != (endor.Answer{}) {
		t.Errorf("Verify = %+v, want no answer beside an error", got)
	}
	return expected(t, err)
}

func expected(t testing.TB, err error) *endor.Error {
	t.Helper()
	e, ok := errors.AsType[*endor.Error](err)
	if !ok {
		t.Fatalf("error = %v, want an *endor.Error", err)
	}
	t.Logf("Got expected error: %v", err)
	if e.Temporary() != (e.Kind == endor.KindUnavailable) {
		t.Errorf("Temporary() = %t of kind %s", e.Temporary(), e.Kind)
	}
	return e
}

func wantError(t testing.TB, got *endor.Error, kind endor.Kind, reason endor.Reason, status int) {
	t.Helper()
	if got.Kind != kind || got.Reason != reason || got.Status != status {
		t.Errorf("error is %s, %s, HTTP %d; want %s, %s, HTTP %d", got.Kind, got.Reason, got.Status, kind, reason, status)
	}
}

// wantRequests checks how often the endpoints were asked.
func wantRequests(t testing.TB, s *endortest.Server, auth, operations int) {
	t.Helper()
	got := s.Counters().Requests
	if got["auth"] != auth || got["operations"] != operations {
		t.Errorf("%d exchanges and %d operations were asked for, want %d and %d", got["auth"], got["operations"], auth, operations)
	}
}

func await(t testing.TB, s *endortest.Server, wanted func(endortest.Counters) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Await(ctx, wanted); err != nil {
		t.Fatalf("the emulator was not asked as expected: %v; counters: %+v", err, s.Counters())
	}
}

func held(n int) func(endortest.Counters) bool {
	return func(c endortest.Counters) bool { return c.Held == n }
}

// clock is a wall clock that moves when told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// keyFiles are credentials on disk.
type keyFiles struct{ key, secret string }

func newKeyFiles(t testing.TB, key, secret string) keyFiles {
	t.Helper()
	dir := t.TempDir()
	f := keyFiles{key: filepath.Join(dir, "key"), secret: filepath.Join(dir, "secret")}
	f.write(t, key, secret)
	return f
}

func (f keyFiles) write(t testing.TB, key, secret string) {
	t.Helper()
	for name, content := range map[string]string{f.key: key, f.secret: secret} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (f keyFiles) credentials() endor.Credentials {
	return endor.Credentials{KeyFile: f.key, SecretFile: f.secret}
}

// wantText checks that a message says something.
func wantText(t testing.TB, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%q does not contain %q", got, want)
	}
}
