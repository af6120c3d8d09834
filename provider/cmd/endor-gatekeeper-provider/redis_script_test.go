// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build redis

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// TestRedisScripts drives several processes of the program that share one
// redis-server. The scripts are in testdata/script-redis; they have the commands
// of [TestScripts], which are about the replica that was named last, and those of
// fleet.
func TestRedisScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script-redis",
		RequireExplicitExec: true,
		Setup:               setupFleet,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sign":  withWorld((*world).sign),
			"endor": withWorld((*world).endorDoes),
			"ask":   withWorld((*world).ask),
			"get":   withWorld((*world).get),
			"await": withWorld((*world).await),
			"log":   withWorld((*world).log),

			"replica":    withFleet((*fleet).replica),
			"redis":      withFleet((*fleet).redisDoes),
			"revoke":     withFleet((*fleet).revoke),
			"await-log":  withFleet((*fleet).awaitLog),
			"knows":      withFleet((*fleet).knows),
			"knows-none": withFleet((*fleet).knowsNone),
		},
	})
}

// fleet is several providers with one Redis, which keeps nothing on disk.
type fleet struct {
	*world
	replicas map[string]*testbed.Provider

	socket string
	redis  *exec.Cmd // nil while it does not run
	output bytes.Buffer
}

type fleetKey struct{}

func setupFleet(env *testscript.Env) error {
	if err := setup(env); err != nil {
		return err
	}
	// The name of a socket has to be short, which those of a script's files are not.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		return err
	}
	f := &fleet{
		world: env.Values[worldKey{}].(*world), replicas: map[string]*testbed.Provider{},
		socket: filepath.Join(dir, "socket"),
	}
	env.Values[fleetKey{}] = f
	env.Defer(func() {
		for _, p := range f.replicas {
			_ = p.Kill() // or it ended by itself
		}
		f.killRedis()
		_ = os.RemoveAll(dir)
	})
	return os.WriteFile(filepath.Join(env.WorkDir, "redis-url"), []byte("unix://"+f.socket+"\n"), 0o600)
}

func withFleet(f func(*fleet, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command cannot be negated")
		}
		f(ts.Value(fleetKey{}).(*fleet), ts, args)
	}
}

// replica NAME [KEYS [FLAG...]] is the one that the commands are about from then
// on. It is started, with a file of HMAC keys and flags, when it is named first.
func (f *fleet) replica(ts *testscript.TestScript, args []string) {
	name := args[0]
	if _, found := f.replicas[name]; !found {
		f.serve(ts, append([]string{
			"--redis-url-file=" + ts.MkAbs("redis-url"), "--redis-hmac-key-file=" + ts.MkAbs(args[1]),
		}, args[2:]...))
		f.replicas[name] = f.running
	}
	f.running = f.replicas[name]
}

// redis ACTION: start, kill, or swap, by which each entry gets the value of
// another.
func (f *fleet) redisDoes(ts *testscript.TestScript, args []string) {
	switch args[0] {
	case "start":
		ts.Check(f.startRedis())
	case "kill":
		f.killRedis()
	case "swap":
		ts.Check(f.swap(context.Background()))
	default:
		ts.Fatalf("Redis cannot %s", args[0])
	}
}

func (f *fleet) startRedis() error {
	f.redis = exec.Command("redis-server", "--port", "0", "--unixsocket", f.socket, "--save", "", "--appendonly", "no", "--loglevel", "warning")
	f.output.Reset()
	f.redis.Stdout, f.redis.Stderr = &f.output, &f.output
	if err := f.redis.Start(); err != nil {
		f.redis = nil
		return fmt.Errorf("%w; apt-get install redis-server", err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("unix", f.socket); err == nil {
			return conn.Close()
		}
	}
	f.killRedis()
	return fmt.Errorf("redis-server does not listen: %s", &f.output)
}

func (f *fleet) killRedis() {
	if f.redis == nil {
		return
	}
	_ = f.redis.Process.Kill() // or it ended by itself
	_ = f.redis.Wait()         // it was killed
	f.redis = nil
}

func (f *fleet) swap(ctx context.Context) (err error) {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: f.socket})
	defer func() { err = errors.Join(err, client.Close()) }()
	names, err := client.Keys(ctx, "*").Result()
	if err != nil {
		return err
	}
	if len(names) < 2 {
		return fmt.Errorf("%d entries, which cannot be swapped", len(names))
	}
	values, err := client.MGet(ctx, names...).Result()
	if err != nil {
		return err
	}
	for i, name := range names {
		err = errors.Join(err, client.Set(ctx, name, values[(i+1)%len(values)], time.Hour).Err())
	}
	return err
}

// revoke IMAGE revokes its signature.
func (f *fleet) revoke(ts *testscript.TestScript, args []string) {
	ts.Check(f.emulator.Revoke("", args[0], ""))
}

// awaitLog TEXT waits until the log of the replica holds a text.
func (f *fleet) awaitLog(ts *testscript.TestScript, args []string) {
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(f.running.Log(), args[0]); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("the log does not say %q:\n%s", args[0], f.running.Log())
		}
	}
}

// knows KEY... asks a replica about keys that it was never asked, prints the
// answers, and holds that Endor Labs was asked about none that the Redis gave. On
// a busy machine a read can outlast its 20 ms. What was to be read then is asked
// of Endor Labs, so the Redis has to give one at least.
func (f *fleet) knows(ts *testscript.TestScript, keys []string) {
	did := f.askEach(ts, keys)
	if did.hits == 0 || did.hits+did.calls != len(keys) || did.calls != did.givenUp {
		ts.Fatalf("of %d keys the Redis gave %d and Endor Labs was asked about %d; %d were not read", len(keys), did.hits, did.calls, did.givenUp)
	}
}

// knowsNone KEY... is the opposite: Endor Labs is asked about each.
func (f *fleet) knowsNone(ts *testscript.TestScript, keys []string) {
	if did := f.askEach(ts, keys); did.hits != 0 || did.calls != len(keys) {
		ts.Fatalf("of %d keys the Redis gave %d and Endor Labs was asked about %d", len(keys), did.hits, did.calls)
	}
}

// askEach asks about each key in a request of its own.
func (f *fleet) askEach(ts *testscript.TestScript, keys []string) counts {
	before := f.counts(ts)
	for _, key := range keys {
		f.ask(ts, []string{key})
	}
	now := f.counts(ts)
	return counts{hits: now.hits - before.hits, givenUp: now.givenUp - before.givenUp, calls: now.calls - before.calls}
}

// counts are what a replica did so far.
type counts struct {
	hits    int // questions that the Redis answered
	givenUp int // not read: the Redis failed, or is left alone because it did
	calls   int // of Endor Labs
}

func (f *fleet) counts(ts *testscript.TestScript) counts {
	_, body, err := get(f.running.OpsURL + "/metrics")
	ts.Check(err)
	sum := func(series string) (n int) {
		pattern := regexp.MustCompile(`(?m)^endor_gatekeeper_provider_` + series + ` (\d+)$`)
		for _, found := range pattern.FindAllStringSubmatch(body, -1) {
			value, err := strconv.Atoi(found[1])
			ts.Check(err)
			n += value
		}
		return n
	}
	return counts{
		hits:    sum(`shared_cache_requests_total\{result="hit"\}`),
		givenUp: sum(`shared_cache_requests_total\{result="(?:error|skipped)"\}`),
		calls:   sum(`upstream_requests_total\{operation="verify",outcome="[^"]*"\}`),
	}
}
