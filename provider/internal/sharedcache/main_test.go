// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/logtest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const origin = "https://api.example.com"

var (
	keyA = bytes.Repeat([]byte{'a'}, 32)

	noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	api  = verify.ID{1}
	web  = verify.ID{2}
)

// clock is a wall clock that stands still, or moves when told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// cache is one provider's, with its surroundings.
type cache struct {
	*sharedcache.Cache
	registry *prometheus.Registry
	clock    *clock
	log      *logtest.Log
}

// newCache makes a cache that nobody runs. Its clock stands at noon, and it has
// the patience of a test: where time matters, a test says so.
func newCache(t testing.TB, url string, change ...func(*sharedcache.Config)) *cache {
	t.Helper()
	c := &cache{registry: prometheus.NewRegistry(), clock: &clock{now: noon}, log: &logtest.Log{}}
	cfg := sharedcache.Config{
		URL: url, Keys: [][]byte{keyA}, Origin: origin,
		Timeout: 30 * time.Second, Pause: time.Millisecond,
		Registerer: c.registry, Now: c.clock.Now, Log: slog.New(slog.NewTextHandler(c.log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if c.Cache, err = sharedcache.New(cfg); err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs c until the test ends.
func run(t testing.TB, c *cache) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// verdict was asked for at noon plus age.
func verdict(code verify.Code, age time.Duration) verify.Verdict {
	return verify.Verdict{Code: code, Result: "RESULT_" + string(code), AskedAt: noon.Add(age)}
}

// count gives a metric; labels are "name=value".
func (c *cache) count(t testing.TB, name, label string) int {
	t.Helper()
	families, err := c.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName()+"="+l.GetValue() == label {
					return int(m.GetCounter().GetValue())
				}
			}
		}
	}
	t.Fatalf("no metric %s{%s}", name, label)
	return 0
}

func (c *cache) requests(t testing.TB, result string) int {
	t.Helper()
	return c.count(t, "shared_cache_requests_total", "result="+result)
}

func (c *cache) writes(t testing.TB, result string) int {
	t.Helper()
	return c.count(t, "shared_cache_writes_total", "result="+result)
}

// eventually waits for something that is under way.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			t.Fatalf("not within 30 s: %s", what)
		case <-tick.C:
		}
	}
}

func wantText(t testing.TB, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%q does not contain %q", got, want)
	}
}
