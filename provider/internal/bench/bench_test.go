// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package bench measures the provider against a handler that does nothing.
//
// Both sides of a comparison are measured in turns within one run, and what
// counts is their ratio: machines differ, and are not quiet. Run it with
// "make bench".
package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/externaldata"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// upstreamLatency is how long the emulator takes for an answer.
const upstreamLatency = 50 * time.Millisecond

func image(n int) string { return fmt.Sprintf("ghcr.io/acme/api@sha256:%064x", n) }

// key is what the shipped policy sends for one signer.
func key(n int) string {
	return "image=" + url.QueryEscape(image(n)) + "&namespace=acme&source_repository=acme%2Fapi"
}

func body(b *testing.B, first, keys int) []byte {
	b.Helper()
	var list []string
	for i := range keys {
		list = append(list, key(first+i))
	}
	raw, err := json.Marshal(wire.NewProviderRequest(list))
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// sink takes the log, so that making its lines is measured too.
type sink struct{}

func (sink) Write(b []byte) (int, error) { return len(b), nil }

// newProvider puts the handler together as the program does, before an
// emulator that has signed n images.
func newProvider(b *testing.B, n int) (http.Handler, *endortest.Server) {
	b.Helper()
	emulator := endortest.Start(b, endortest.Config{})
	for i := range n {
		if err := emulator.Sign(endortest.Signing{Image: image(i), Claims: endortest.GitHubClaims("acme", "api", "refs/heads/main")}); err != nil {
			b.Fatal(err)
		}
	}
	reg := prometheus.NewRegistry()
	client, err := endor.New(endor.Config{
		BaseURL: emulator.URL, Credentials: endor.Credentials{Key: emulator.APIKey, Secret: emulator.APISecret}, Registerer: reg,
	})
	if err != nil {
		b.Fatal(err)
	}
	desk, err := verify.New(verify.NewEndor(client, nil), verify.Config{
		Resolver: verify.Resolver{Namespace: "acme"}, Cache: verify.CacheConfig{TTL: time.Hour}, Registerer: reg,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		desk.Close()
		client.Close()
	})
	return externaldata.NewHandler(externaldata.Config{
		Answerer:   desk,
		Log:        slog.New(slog.NewJSONHandler(sink{}, nil)),
		Registerer: reg,
	}), emulator
}

// serve runs h as the program does and gives its URL and certificates.
func serve(b *testing.B, h http.Handler) (string, *testbed.Certificates) {
	b.Helper()
	c, err := testbed.NewCertificates(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	pair, err := certs.ServerPair(c.ServerFiles())
	if err != nil {
		b.Fatal(err)
	}
	cas, err := certs.ClientCAs(c.ClientCAFile())
	if err != nil {
		b.Fatal(err)
	}
	main, ops := listen(b), listen(b)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.Run(ctx, server.Config{
			Listener: tls.NewListener(main, certs.ServerTLS(pair.Current, cas.Current, []string{testbed.GatekeeperName})),
			Handler:  h, OpsListener: ops, Readiness: &server.Readiness{}, Gatherer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return "https://" + main.Addr().String() + "/validate", c
}

func listen(b *testing.B) net.Listener {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// load is clients that keep their connections.
type load struct {
	url     string
	clients []*http.Client
}

func newLoad(b *testing.B, h http.Handler, connections int) *load {
	b.Helper()
	address, c := serve(b, h)
	l := &load{url: address}
	for range connections {
		client, err := c.Client()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(client.CloseIdleConnections)
		l.clients = append(l.clients, client)
	}
	return l
}

// run has every client post body n times and gives the time that it took all
// of them. Every answer has to hold items values.
func (l *load) run(b *testing.B, n, items int, body []byte) time.Duration {
	b.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for _, client := range l.clients {
		wg.Go(func() {
			for range n {
				if err := l.post(client, items, body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func (l *load) post(client *http.Client, items int, body []byte) error {
	resp, err := client.Post(l.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if got := bytes.Count(raw, []byte(`"verified":true`)); got != items {
		return fmt.Errorf("%d verified items, want %d: %s", got, items, raw)
	}
	return nil
}

// noWork speaks the same JSON and decides nothing.
func noWork(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var req wire.ProviderRequest
		if err := json.Unmarshal(raw, &req); err != nil {
			return
		}
		resp := wire.ProviderResponse{APIVersion: "externaldata.gatekeeper.sh/v1beta1", Kind: wire.ProviderResponseKind}
		for _, k := range req.Request.Keys {
			resp.Response.Items = append(resp.Response.Items, wire.Item{Key: k, Value: value})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(resp)
	}
}

// value is of the size of a real one.
type value struct {
	Verified  bool             `json:"verified"`
	Code      string           `json:"code"`
	Image     string           `json:"image"`
	Digest    string           `json:"digest"`
	Namespace string           `json:"namespace"`
	Signer    endortest.Claims `json:"signer"`
	SignedAt  time.Time        `json:"signed_at"`
	Stale     bool             `json:"stale"`
}

// BenchmarkWarm compares requests of 4 keys that are all cached with the same
// requests to a handler that does no work: mutual TLS, 10 connections that are
// kept. The aim is 0.9 of its throughput.
func BenchmarkWarm(b *testing.B) {
	const keys, connections, requests = 4, 10, 200
	h, _ := newProvider(b, keys)
	provider := newLoad(b, h, connections)
	idle := newLoad(b, noWork(value{
		Verified: true, Code: "VERIFIED", Image: "ghcr.io/acme/api", Digest: image(0)[17:], Namespace: "acme",
		Signer: endortest.GitHubClaims("acme", "api", "refs/heads/main"), SignedAt: time.Now(),
	}), connections)
	post := body(b, 0, keys)
	provider.run(b, 1, keys, post)
	idle.run(b, 1, keys, post)

	var provided, idled time.Duration
	for b.Loop() {
		provided += provider.run(b, requests, keys, post)
		idled += idle.run(b, requests, keys, post)
	}
	all := float64(b.N * requests * connections)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(all/provided.Seconds(), "provider_req/s")
	b.ReportMetric(all/idled.Seconds(), "nowork_req/s")
	b.ReportMetric(idled.Seconds()/provided.Seconds(), "of_nowork")
}

// BenchmarkColdBatch measures a request of 16 images that nobody asked about
// before, in round trips to Endor Labs. The aim is 1.2.
func BenchmarkColdBatch(b *testing.B) {
	const keys, batches = 16, 64
	h, emulator := newProvider(b, keys*batches)
	provider := newLoad(b, h, 1)
	provider.run(b, 1, 1, body(b, keys*batches-1, 1)) // token and connections
	if err := emulator.Inject(endortest.Fault{Kind: endortest.FaultLatency, Delay: upstreamLatency}); err != nil {
		b.Fatal(err)
	}
	var took time.Duration
	n := 0
	for b.Loop() {
		if n == batches-1 {
			b.StopTimer()
			b.Fatalf("more than %d batches: run it with -benchtime=20x", n)
		}
		took += provider.run(b, 1, keys, body(b, n*keys, keys))
		n++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds()*1000/float64(n), "ms/batch")
	b.ReportMetric(float64(upstreamLatency.Milliseconds()), "ms/round_trip")
	b.ReportMetric(took.Seconds()/float64(n)/upstreamLatency.Seconds(), "round_trips")
}

// BenchmarkCrowd counts the calls of Endor Labs that 50 requests at once for
// one image cost that nobody asked about before. The aim is 1.
func BenchmarkCrowd(b *testing.B) {
	const crowd, images = 50, 200
	h, emulator := newProvider(b, images)
	provider := newLoad(b, h, crowd)
	provider.run(b, 1, 1, body(b, images-1, 1))
	if err := emulator.Inject(endortest.Fault{Kind: endortest.FaultLatency, Delay: upstreamLatency}); err != nil {
		b.Fatal(err)
	}
	before := emulator.Counters().Commands["VERIFY"]
	n := 0
	for b.Loop() {
		if n == images-1 {
			b.StopTimer()
			b.Fatalf("more than %d images: run it with -benchtime=20x", n)
		}
		provider.run(b, 1, 1, body(b, n, 1))
		n++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(crowd, "requests")
	b.ReportMetric(float64(emulator.Counters().Commands["VERIFY"]-before)/float64(n), "calls")
}
