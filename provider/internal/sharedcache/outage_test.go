// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// listen accepts connections and gives each to serve.
func listen(t testing.TB, serve func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return "redis://user:hunter2@" + l.Addr().String()
}

// silent reads what is sent and never answers.
func silent(conn net.Conn) {
	buf := make([]byte, 1024)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// refusing gives an address at which nobody listens.
func refusing(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "redis://user:hunter2@" + l.Addr().String()
}

func TestARedisThatFailsIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		url     func(testing.TB) string
		timeout time.Duration
		trouble string
	}{
		{"gone", refusing, 30 * time.Second, "connection refused"},
		{"silent", func(t testing.TB) string { return listen(t, silent) }, time.Millisecond, "does not answer in time"},
		{"hanging up", func(t testing.TB) string { return listen(t, func(net.Conn) {}) }, 30 * time.Second, "connection"},
		{"not a Redis", func(t testing.TB) string {
			return listen(t, func(conn net.Conn) {
				if _, err := conn.Write([]byte("$536870912\r\n")); err == nil {
					silent(conn)
				}
			})
		}, 30 * time.Second, "too long or not one of a Redis"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCache(t, tc.url(t), func(cfg *sharedcache.Config) {
				cfg.Timeout, cfg.Pause = tc.timeout, time.Hour
			})
			for range 20 {
				if got := c.Get(t.Context(), []verify.ID{api, web}); len(got) != 0 {
					t.Fatalf("Get = %v", got)
				}
			}
			if failed, skipped := c.requests(t, "error"), c.requests(t, "skipped"); failed != 10 || skipped != 30 {
				t.Errorf("%d questions failed and %d were skipped, want 10 and 30", failed, skipped)
			}
			wantText(t, c.log.String(), tc.trouble)
			for _, secret := range []string{"hunter2", "127.0.0.1"} {
				if strings.Contains(c.log.String(), secret) {
					t.Errorf("the log repeats the URL: %s", c.log)
				}
			}
			c.Put(api, verdict(verify.Verified, 0), noon.Add(time.Minute))
			run(t, c)
			eventually(t, "the write is skipped", func() bool { return c.writes(t, "skipped") == 1 })
		})
	}
}

// Trying again would take time that the request does not have.
func TestAReadIsTriedOnce(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"redis://", "rediss://"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			url := listen(t, func(net.Conn) { connections.Add(1) })
			c := newCache(t, strings.Replace(url, "redis://", scheme, 1))
			c.Get(t.Context(), []verify.ID{api})
			if failed, n := c.requests(t, "error"), connections.Load(); failed != 1 || n != 1 {
				t.Errorf("%d questions failed with %d connections, want 1 and 1", failed, n)
			}
		})
	}
}

// Whoever hangs up says nothing about the Redis.
func TestACallerThatLeavesIsNotTheRedissFault(t *testing.T) {
	t.Parallel()
	c := newCache(t, listen(t, silent), func(cfg *sharedcache.Config) { cfg.Pause = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		c.Get(ctx, []verify.ID{api})
	}
	if failed, skipped := c.requests(t, "error"), c.requests(t, "skipped"); failed != 20 || skipped != 0 {
		t.Errorf("%d questions failed and %d were skipped, want 20 and 0", failed, skipped)
	}
	run(t, c)
}

func TestNoQuestionsAreNoRead(t *testing.T) {
	t.Parallel()
	c := newCache(t, refusing(t))
	if got := c.Get(t.Context(), nil); len(got) != 0 || c.requests(t, "error") != 0 {
		t.Errorf("Get = %v", got)
	}
}

// Nobody writes here: what does not fit in the queue is dropped, and nobody waits.
func TestPutNeverWaits(t *testing.T) {
	t.Parallel()
	c := newCache(t, refusing(t))
	for range 5000 {
		c.Put(api, verdict(verify.Verified, 0), noon.Add(time.Minute))
	}
	if got, want := c.writes(t, "dropped"), 5000-4096; got != want {
		t.Errorf("%d writes were dropped, want %d", got, want)
	}
}

// Connecting happens beside the requests, and ends with Run.
func TestRunEndsWhileTheRedisIsSilent(t *testing.T) {
	t.Parallel()
	connected := make(chan struct{}, 100)
	c := newCache(t, listen(t, func(conn net.Conn) {
		connected <- struct{}{}
		silent(conn)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	<-connected
	cancel()
	running.Wait()
}
