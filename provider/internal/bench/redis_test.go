// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build redis

package bench

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// BenchmarkRedisWarm compares requests of 4 keys that nobody asked this replica
// about, and that another one left in a redis-server, with the same requests to
// a handler that does no work.
func BenchmarkRedisWarm(b *testing.B) {
	const connections, requests = 10, 50
	const images = connections * requests * warmKeys
	redis := startRedis(b)
	emulator := signed(b, images)

	replica := func() http.Handler {
		return newProvider(b, emulator, func(_ *endor.Config, in *verify.Config) { in.Shared = share(b, redis, emulator.URL) })
	}
	first := newLoad(b, replica(), 1)
	first.run(b, images/200, func(_, i int) []byte { return body(b, i*200, 200) }, all(200))
	time.Sleep(time.Second) // writes are not waited for

	bodies := make([][]byte, connections*requests)
	for i := range bodies {
		bodies[i] = body(b, i*warmKeys, warmKeys)
	}
	fresh := func(client, i int) []byte { return bodies[client*requests+i] }
	idle := newLoad(b, noWork(), connections)
	idle.run(b, 1, fresh, all(warmKeys))

	var p pair
	before, later := asked(emulator), 0
	for b.Loop() {
		b.StopTimer()
		second := newLoad(b, replica(), connections)
		second.run(b, 1, always(body(b, 0, 0)), all(0)) // for the connections
		b.StartTimer()
		p.add(second.run(b, requests, fresh, all(warmKeys)), idle.run(b, requests, fresh, all(warmKeys)))
		later++
	}
	b.ReportMetric(0, "ns/op")
	p.report(b)
	b.ReportMetric(float64(asked(emulator)-before)/float64(later*connections*requests), "calls/request")
}

func share(tb testing.TB, url, origin string) verify.Shared {
	tb.Helper()
	cache, err := sharedcache.New(sharedcache.Config{
		URL: url, Keys: [][]byte{bytes.Repeat([]byte{'k'}, 32)}, Origin: origin, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cache.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return cache
}

// startRedis starts a server that keeps nothing on disk and gives its URL.
func startRedis(tb testing.TB) string {
	tb.Helper()
	socket := filepath.Join(tb.TempDir(), "redis")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--loglevel", "warning")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		tb.Fatalf("%v; apt-get install redis-server", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // or it ended by itself
		_ = cmd.Wait()         // it was killed
	})
	for range 500 {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return "unix://" + socket
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatalf("redis-server does not listen: %s", &output)
	return ""
}
