// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// serve runs h as the program does and gives its URL and certificates.
func serve(tb testing.TB, h http.Handler) (string, *testbed.Certificates) {
	tb.Helper()
	c, err := testbed.NewCertificates(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	pair, err := certs.ServerPair(c.ServerFiles())
	if err != nil {
		tb.Fatal(err)
	}
	cas, err := certs.ClientCAs(c.ClientCAFile())
	if err != nil {
		tb.Fatal(err)
	}
	main, ops := listen(tb), listen(tb)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.Run(ctx, server.Config{
			Listener: tls.NewListener(main, certs.ServerTLS(pair.Current, cas.Current, []string{testbed.GatekeeperName})),
			Handler:  h, OpsListener: ops, Readiness: &server.Readiness{}, Gatherer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
	}()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return "https://" + main.Addr().String() + "/validate", c
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// load is clients that keep one connection each.
type load struct {
	url     string
	clients []*http.Client
}

// newLoad serves h to so many clients.
func newLoad(tb testing.TB, h http.Handler, clients int) *load {
	tb.Helper()
	address, c := serve(tb, h)
	return connect(tb, address, c, clients)
}

func connect(tb testing.TB, address string, c *testbed.Certificates, clients int) *load {
	tb.Helper()
	l := &load{url: address}
	tb.Cleanup(l.close)
	for range clients {
		client, err := c.Client()
		if err != nil {
			tb.Fatal(err)
		}
		l.clients = append(l.clients, client)
	}
	return l
}

// close ends the connections, of which a process may have only so many.
func (l *load) close() {
	for _, client := range l.clients {
		client.CloseIdleConnections()
	}
}

// always is for [load.run], to send the same body each time.
func always(body []byte) func(client, i int) []byte {
	return func(int, int) []byte { return body }
}

// all is what an answer must hold where every key is verified.
func all(keys int) func(answer []byte) error {
	return func(answer []byte) error {
		if got := bytes.Count(answer, []byte(`"verified":true`)); got != keys {
			return fmt.Errorf("%d verified items, want %d: %.300s", got, keys, answer)
		}
		return nil
	}
}

// run has every client post n bodies, one after the other, and check each answer.
func (l *load) run(tb testing.TB, n int, body func(client, i int) []byte, check func(answer []byte) error) round {
	tb.Helper()
	times := make([][]time.Duration, len(l.clients))
	errs := make([]error, len(l.clients))
	start := time.Now()
	var wg sync.WaitGroup
	for c, client := range l.clients {
		wg.Go(func() {
			for i := range n {
				began := time.Now()
				answer, err := l.post(client, body(c, i))
				times[c] = append(times[c], time.Since(began))
				if err == nil {
					err = check(answer)
				}
				if err != nil {
					errs[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > 0 {
		tb.Fatalf("%d of %d clients failed, the first: %v", len(errs), len(l.clients), errs[0])
	}
	return round{took: took, times: slices.Concat(times...)}
}

// warmUp has the answer be known, and then every client connect.
func (l *load) warmUp(tb testing.TB, body []byte, keys int) {
	tb.Helper()
	l.admit(tb, 0, body, keys)
	l.run(tb, 1, always(body), all(keys))
}

func (l *load) post(client *http.Client, body []byte) ([]byte, error) {
	resp, err := client.Post(l.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// round is how long requests took, together and each.
type round struct {
	took  time.Duration
	times []time.Duration
}

func (r *round) add(other round) {
	r.took += other.took
	r.times = append(r.times, other.times...)
}

func (r *round) rate() float64 { return float64(len(r.times)) / r.took.Seconds() }

// at is the time that the part p of all requests did not exceed.
func (r *round) at(p float64) time.Duration {
	slices.Sort(r.times)
	return r.times[max(int(math.Ceil(p*float64(len(r.times))))-1, 0)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// report reports the times of the requests that who answered.
func (r *round) report(b *testing.B, who string) {
	b.Helper()
	b.ReportMetric(milliseconds(r.at(.5)), who+"-p50-ms")
	b.ReportMetric(milliseconds(r.at(.9)), who+"-p90-ms")
	b.ReportMetric(milliseconds(r.at(.99)), who+"-p99-ms")
	b.ReportMetric(milliseconds(r.at(1)), who+"-max-ms")
	b.ReportMetric(r.rate(), who+"-req/s")
}

// pair is the same requests to the provider and to a handler that does no work,
// in turns.
type pair struct {
	provider, idle round
	ratios         []float64 // of their throughput, of each turn
}

func (p *pair) add(provider, idle round) {
	p.provider.add(provider)
	p.idle.add(idle)
	p.ratios = append(p.ratios, provider.rate()/idle.rate())
}

// report reports both sides and how they compare. That of the throughput is the
// median of all turns, in few of which something else disturbs one side alone.
func (p *pair) report(b *testing.B) {
	b.Helper()
	p.provider.report(b, "provider")
	p.idle.report(b, "nowork")
	slices.Sort(p.ratios)
	b.ReportMetric(p.ratios[len(p.ratios)/2], "throughput-of-nowork")
	b.ReportMetric(float64(p.provider.at(.99))/float64(p.idle.at(.99)), "p99-of-nowork")
}
