// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a server on loopback, without TLS: that is package certs' matter.
type running struct {
	url, ops  string
	readiness *server.Readiness
	client    *http.Client
	stop      context.CancelFunc
	done      chan struct{} // closed once Run returned err
	err       error
}

func start(t *testing.T, drain time.Duration, h http.HandlerFunc) *running {
	t.Helper()
	main, ops := listen(t), listen(t)
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "present", Help: "Is there."}))
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{
		url: "http://" + main.Addr().String(), ops: "http://" + ops.Addr().String(),
		readiness: &server.Readiness{}, client: &http.Client{Transport: &http.Transport{}}, stop: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(r.done)
		r.err = server.Run(ctx, server.Config{
			Listener: main, Handler: h, OpsListener: ops, Readiness: r.readiness, Gatherer: reg,
			DrainDelay: drain, Log: slog.New(slog.DiscardHandler),
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
		r.client.CloseIdleConnections()
	})
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (r *running) get(t *testing.T, url string) (status int, body string, closing bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Close
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }

func TestWhatIsServedWhere(t *testing.T) {
	t.Parallel()
	r := start(t, 0, ok)
	for url, want := range map[string]int{
		r.url + "/validate": 200, r.url + "/": 404, r.url + "/metrics": 404, r.url + "/healthz": 404, r.url + "/validate/x": 404,
		r.ops + "/healthz": 200, r.ops + "/readyz": 200, r.ops + "/metrics": 200, r.ops + "/validate": 404, r.ops + "/debug/pprof/": 404,
	} {
		if got, _, _ := r.get(t, url); got != want {
			t.Errorf("GET %s: HTTP %d, want %d", url, got, want)
		}
	}
	if _, body, _ := r.get(t, r.ops+"/metrics"); !strings.Contains(body, "present 0") {
		t.Errorf("metrics = %q", body)
	}
}

func TestReadinessPrintsCodesOnly(t *testing.T) {
	t.Parallel()
	r := start(t, 0, ok)
	r.readiness.Block(server.Starting)
	r.readiness.Block(server.TokenRefused)
	r.readiness.Block(server.TokenRefused)
	if status, body, _ := r.get(t, r.ops+"/readyz"); status != 503 || body != "STARTING\nTOKEN_REFUSED\n" {
		t.Errorf("HTTP %d, %q", status, body)
	}
	if status, _, _ := r.get(t, r.ops+"/healthz"); status != 200 {
		t.Errorf("healthz depends on readiness: HTTP %d", status)
	}
	r.readiness.Clear(server.Starting, server.TokenRefused)
	if status, body, _ := r.get(t, r.ops+"/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("HTTP %d, %q", status, body)
	}
}

func TestWhenToldToStopItAsksClientsToLeaveAndAnswersWhatIsInFlight(t *testing.T) {
	t.Parallel()
	inFlight, finish := make(chan struct{}), make(chan struct{})
	r := start(t, 5*time.Second, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Has("slow") {
			close(inFlight)
			<-finish
		}
		ok(w, req)
	})
	if _, _, closing := r.get(t, r.url+"/validate"); closing {
		t.Fatal("a young connection was closed in normal life")
	}
	slow := make(chan string, 1)
	go func() {
		_, body, _ := r.get(t, r.url+"/validate?slow")
		slow <- body
	}()
	<-inFlight
	r.stop()
	for len(r.readiness.Reasons()) == 0 {
		time.Sleep(time.Millisecond)
	}
	// Unready first: from now on, at the latest, new requests are told to leave.
	if status, body, _ := r.get(t, r.ops+"/readyz"); status != 503 || body != "DRAINING\n" {
		t.Errorf("readyz while draining: HTTP %d, %q", status, body)
	}
	for {
		status, body, closing := r.get(t, r.url+"/validate")
		if status != 200 || body != "answer" {
			t.Fatalf("while draining: HTTP %d, %q; want an answer", status, body)
		}
		if closing {
			break
		}
	}
	close(finish)
	if body := <-slow; body != "answer" {
		t.Errorf("the request in flight got %q", body)
	}
}

// unread is a log that nobody reads until it is closed.
type unread struct {
	slog.Handler
	read chan struct{}
}

func (unread) Enabled(context.Context, slog.Level) bool { return true }

func (u unread) Handle(context.Context, slog.Record) error {
	<-u.read
	return nil
}

func TestItTurnsUnreadyWhateverBecomesOfItsLog(t *testing.T) {
	t.Parallel()
	log := unread{Handler: slog.DiscardHandler, read: make(chan struct{})}
	var readiness server.Readiness
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, server.Config{
			Listener: listen(t), Handler: http.HandlerFunc(ok), OpsListener: listen(t), Readiness: &readiness,
			Gatherer: prometheus.NewRegistry(), Log: slog.New(log),
		})
	}()
	stop()
	for deadline := time.Now().Add(30 * time.Second); len(readiness.Reasons()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("it was told to stop and says that it is ready")
			break
		}
	}
	close(log.read)
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// busy is a server with a request in flight. finish lets its answer go, which has
// to arrive.
func busy(t *testing.T) (r *running, finish func()) {
	t.Helper()
	inFlight, answer, slow := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	r = start(t, 0, func(w http.ResponseWriter, req *http.Request) {
		close(inFlight)
		<-answer
		ok(w, req)
	})
	go func() {
		_, body, _ := r.get(t, r.url+"/validate")
		slow <- body
	}()
	<-inFlight
	return r, func() {
		t.Helper()
		close(answer)
		if body := <-slow; body != "answer" {
			t.Errorf("the request in flight got %q", body)
		}
	}
}

func TestItEndsOnceWhatIsInFlightIsAnswered(t *testing.T) {
	t.Parallel()
	r, finish := busy(t)
	r.stop()
	select {
	case <-r.done:
		t.Fatalf("ended with a request in flight: %v", r.err)
	case <-time.After(50 * time.Millisecond):
	}
	finish()
	if <-r.done; r.err != nil {
		t.Errorf("Run = %v", r.err)
	}
}

// failing is a listener that breaks.
type failing struct{ net.Listener }

func (failing) Accept() (net.Conn, error) { return nil, errors.New("out of files") }

func TestAListenerThatFailsEndsTheProgram(t *testing.T) {
	t.Parallel()
	err := server.Run(t.Context(), server.Config{
		Listener: failing{listen(t)}, Handler: http.HandlerFunc(ok), OpsListener: listen(t), Readiness: &server.Readiness{},
		Gatherer: prometheus.NewRegistry(), DrainDelay: time.Hour, Log: slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), "out of files") {
		t.Errorf("Run = %v, want the listener's error", err)
	}
}
