// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build redis

package sharedcache_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

var keyB = bytes.Repeat([]byte{'b'}, 32)

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *cache) rejected(t testing.TB, reason string) int {
	t.Helper()
	return c.count(t, "shared_cache_rejected_total", "reason="+reason)
}

// server is a redis-server of a test. It keeps nothing on disk.
type server struct {
	addr   string // host:port
	config string // file

	process *exec.Cmd
	output  bytes.Buffer
	ended   chan struct{}
}

// startRedis starts a server with more lines of configuration, in which %d is
// its port. By default it listens on loopback without TLS.
func startRedis(t testing.TB, lines ...string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{config: filepath.Join(dir, "redis.conf")}
	t.Cleanup(s.kill)
	if len(lines) == 0 || !strings.Contains(lines[0], "%d") {
		lines = append([]string{"port %d"}, lines...)
	}
	// Between finding a free port and using it, somebody else may take it.
	for range 10 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addr = l.Addr().String()
		l.Close()
		config := fmt.Sprintf("bind 127.0.0.1\nsave \"\"\nappendonly no\ndir %s\nloglevel warning\n", dir) +
			strings.ReplaceAll(strings.Join(lines, "\n"), "%d", s.addr[strings.LastIndexByte(s.addr, ':')+1:]) + "\n"
		if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.start(t) {
			return s
		}
	}
	t.Fatalf("redis-server does not start:\n%s", &s.output)
	return nil
}

// start says whether the server listens; if not, it ended.
func (s *server) start(t testing.TB) bool {
	t.Helper()
	s.process = exec.Command("redis-server", s.config)
	s.output.Reset()
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		t.Fatalf("%v; apt-get install redis-server", err)
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = s.process.Wait() // it is killed, or says why in output
	}()
	listens := false
	eventually(t, "redis-server listens", func() bool {
		listens = answers(s.addr)
		select {
		case <-s.ended:
			listens = false
			return true
		default:
			return listens
		}
	})
	return listens
}

// answers says whether a server at addr does anything with what it is sent. The
// port takes connections before that, and before there is a socket.
func answers(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	// With TLS or a password the answer is another, or the end of the connection.
	_, err = conn.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// restart starts a server that was killed, at its address.
func (s *server) restart(t testing.TB) {
	t.Helper()
	eventually(t, "redis-server has its port again", func() bool { return s.start(t) })
}

// kill ends the server, also one that is stopped. It may be called twice.
func (s *server) kill() {
	if s.process == nil || s.process.Process == nil {
		return
	}
	_ = s.process.Process.Kill() // or it ended by itself
	<-s.ended
}

// pause stops the server with its connections open.
func (s *server) pause(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	// The signal may come a moment after it was sent.
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("redis-server does not stop: %v", err)
	}
}

func (s *server) resume(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGCONT)
}

func (s *server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *server) url() string { return "redis://" + s.addr }

// intruder is somebody who may do everything in the Redis.
type intruder struct {
	*redis.Client
}

func (s *server) intruder(t testing.TB) intruder {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.addr, Protocol: 2})
	t.Cleanup(func() { client.Close() })
	return intruder{client}
}

func (i intruder) names(t testing.TB) []string {
	t.Helper()
	names, err := i.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// only gives the name and value of the only entry.
func (i intruder) only(t testing.TB) (name, value string) {
	t.Helper()
	names := i.names(t)
	if len(names) != 1 {
		t.Fatalf("the Redis has %q, want one entry", names)
	}
	return names[0], i.value(t, names[0])
}

func (i intruder) value(t testing.TB, name string) string {
	t.Helper()
	value, err := i.Get(t.Context(), name).Result()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (i intruder) set(t testing.TB, name, value string) {
	t.Helper()
	if err := i.Set(t.Context(), name, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

// other gives the name that is not among names.
func (i intruder) other(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range i.names(t) {
		if !slices.Contains(names, name) {
			return name
		}
	}
	t.Fatalf("the Redis has nothing but %q", names)
	return ""
}

// put puts v for five minutes after it was asked and waits until it is decided
// what becomes of it.
func put(t testing.TB, c *cache, id verify.ID, v verify.Verdict) {
	t.Helper()
	before := done(t, c)
	c.Put(id, v, v.AskedAt.Add(5*time.Minute))
	eventually(t, "the verdict is written", func() bool { return done(t, c) > before })
}

func done(t testing.TB, c *cache) int {
	t.Helper()
	n := 0
	for _, result := range []string{"stored", "older", "refused", "dropped", "skipped", "error"} {
		n += c.writes(t, result)
	}
	return n
}

func want(t testing.TB, c *cache, id verify.ID, v verify.Verdict) {
	t.Helper()
	if got, ok := c.Get(t.Context(), []verify.ID{id})[id]; !ok || got != v {
		t.Errorf("Get = %+v, %t\nwant %+v", got, ok, v)
	}
}

func wantNone(t testing.TB, c *cache, id verify.ID) {
	t.Helper()
	if got := c.Get(t.Context(), []verify.ID{id}); len(got) != 0 {
		t.Errorf("Get = %+v, want nothing", got)
	}
}

// running is c, which runs until the test ends.
func running(t testing.TB, c *cache) *cache {
	t.Helper()
	run(t, c)
	return c
}
