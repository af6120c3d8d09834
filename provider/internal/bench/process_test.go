// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// What a process of its own costs: these benchmarks run the real program.

var given = flag.String("program", "", "the built endor-gatekeeper-provider to run; by default it is built")

// build gives the path of the program, which it builds once.
func build(tb testing.TB) string {
	tb.Helper()
	path, err := built()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

var (
	buildDir string // what TestMain removes

	built = sync.OnceValues(func() (path string, err error) {
		if *given != "" {
			return filepath.Abs(*given)
		}
		if buildDir, err = os.MkdirTemp("", "endor-bench-"); err != nil {
			return "", err
		}
		paths, err := testbed.Build(buildDir, "endor-gatekeeper-provider")
		if err != nil {
			return "", err
		}
		return paths[0], nil
	})
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		// In the form of what the testing package says of the machine.
		fmt.Printf("go: %s\ncores: %d\n", runtime.Version(), runtime.GOMAXPROCS(0))
	}
	code := m.Run()
	if buildDir != "" {
		if err := os.RemoveAll(buildDir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// begin runs the program and waits until it is ready.
func begin(tb testing.TB, api *endortest.Server, url string, args ...string) (*testbed.Provider, *testbed.Certificates) {
	tb.Helper()
	c, err := testbed.NewCertificates(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	p, err := testbed.Start(tb.Context(), testbed.Config{
		Program: build(tb), Certificates: c, API: url, Key: api.APIKey, Secret: api.APISecret, Namespace: api.Namespace, Args: args,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p, c
}

// BenchmarkStart measures how long the program takes from its start until
// /readyz says so, with certificate files and an API that answers at once. It is
// asked every 10 ms. The aim is 0.3 s.
func BenchmarkStart(b *testing.B) {
	api := endortest.Start(b, endortest.Config{})
	c, err := testbed.NewCertificates(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	cfg := testbed.Config{
		Program: build(b), Certificates: c, API: api.URL, Key: api.APIKey, Secret: api.APISecret, Namespace: api.Namespace,
	}
	var starts round
	for b.Loop() {
		start := time.Now()
		p, err := testbed.Start(b.Context(), cfg)
		took := time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		starts.add(round{took: took, times: []time.Duration{took}})
		b.StopTimer()
		if err := p.Stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	starts.report(b, "ready")
}

// BenchmarkMemory measures the resident memory of a process of its own that was
// asked about so many distinct images, all of them verified, over mutual TLS,
// with the cache of 100,000 verdicts that is the default. It reads /proc, so it
// runs on Linux alone. The aim is 100 MiB with 100,000 verdicts.
func BenchmarkMemory(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("resident memory is read from /proc, which only Linux has")
	}
	api := endortest.Start(b, endortest.Config{})
	vouch := vouch(b, api)
	for _, images := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("images=%d", images), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				p, c := begin(b, api, vouch, "--upstream-qps=1000000", "--response-budget=20s", "--cache-ttl=24h")
				b.StartTimer()
				fill(b, connect(b, p.URL, c, 4), images)
				b.ReportMetric(mebibytes(b, p, "VmRSS"), "rss-MiB")
				b.ReportMetric(mebibytes(b, p, "VmHWM"), "peak-MiB")
				b.StopTimer()
				b.ReportMetric(entries(b, p), "verdicts-kept")
				if err := p.Stop(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N*images)/b.Elapsed().Seconds(), "images/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// fill asks about images, a few in each request, as Pods have them.
func fill(tb testing.TB, l *load, images int) {
	tb.Helper()
	const batch = 10
	per := batch * len(l.clients)
	l.run(tb, (images+per-1)/per, func(client, i int) []byte {
		first := i*per + client*batch
		return body(tb, first, min(max(images-first, 0), batch))
	}, func(answer []byte) error {
		if bytes.Contains(answer, []byte(`"error":`)) || bytes.Contains(answer, []byte(`"systemError":"`)) && !bytes.Contains(answer, []byte(`"systemError":""`)) {
			return fmt.Errorf("not every image is verified: %.300s", answer)
		}
		return nil
	})
}

func mebibytes(tb testing.TB, p *testbed.Provider, field string) float64 {
	tb.Helper()
	mebibytes, err := testbed.Mebibytes(p.PID(), field)
	if err != nil {
		tb.Fatal(err)
	}
	return mebibytes
}

// entries is the gauge of verdicts in the cache.
func entries(tb testing.TB, p *testbed.Provider) float64 {
	tb.Helper()
	const name = "\nendor_gatekeeper_provider_cache_entries "
	resp, err := http.Get(p.OpsURL + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), name)
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(line, 64)
	if err != nil {
		tb.Fatalf("%s in /metrics: %v", strings.TrimSpace(name), err)
	}
	return n
}

// vouch serves [endortest.Vouch] and gives its URL. Tokens are the emulator's.
func vouch(tb testing.TB, api *endortest.Server) string {
	tb.Helper()
	server := &http.Server{Handler: endortest.Vouch(api.HTTP.Config.Handler, claims, 0)}
	l := listen(tb)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	tb.Cleanup(func() {
		if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			tb.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}
