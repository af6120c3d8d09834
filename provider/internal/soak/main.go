// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command soak runs the provider for a long time while Endor Labs fails now and
// then, and holds every answer against what is true.
//
// The real program is asked over mutual TLS about images of which this command
// knows what they are: signed, signed a moment ago, not signed, signed by
// somebody else, revoked meanwhile. The emulator's faults come and go by a
// schedule that the seed decides. An answer is wrong if it says what is not so;
// a key may be undecided, and a verdict stale, only during a fault and for a
// while after it. At the end memory and goroutines must be what they were when
// the program had warmed up.
//
// Run it with "make soak", from the root of the repository. Its status is 0 if
// nothing was wrong. Interrupted, it tells what it has seen so far.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// The provider's lifetimes are short, so that what takes half an hour in a
// cluster happens many times.
const (
	cacheTTL        = 6 * time.Second
	negativeTTL     = 2 * time.Second
	staleIfError    = 6 * time.Second
	upstreamTimeout = 5 * time.Second
)

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	length := flags.Duration("for", 30*time.Minute, "how `long`; at least 30s")
	seed := flags.Uint64("seed", rand.Uint64(), "`number` that decides the faults and the questions")
	program := flags.String("program", "bin/endor-gatekeeper-provider", "the provider's built program")
	redis := flags.String("redis", "", "`address` of a Redis in which it shares verdicts; default: none")
	targets := flags.String("targets", "", "`file` to write for a Prometheus that is to read its metrics")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *length < 30*time.Second {
		return fmt.Errorf("-for %v is too short to see anything: give it 30s", *length)
	}
	fmt.Fprintf(stdout, "soak for %v; to repeat it: -seed %d\n", *length, *seed)

	emulator, err := endortest.New(endortest.Config{})
	if err != nil {
		return err
	}
	api, err := listen(ctx, emulator.Handler())
	if err != nil {
		return err
	}
	defer func() {
		emulator.Close() // what hangs would hang on
		err = errors.Join(err, api.close())
	}()
	cluster, err := listen(ctx, http.HandlerFunc(constraints))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.close()) }()

	dir, err := os.MkdirTemp("", "endor-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	certificates, err := testbed.NewCertificates(dir)
	if err != nil {
		return err
	}
	around, err := surroundings{dir: dir, redis: *redis, api: cluster.url}.flags()
	if err != nil {
		return err
	}
	provider, err := testbed.Start(ctx, testbed.Config{
		Program: *program, Certificates: certificates,
		API: api.url, Key: endortest.DefaultAPIKey, Secret: endortest.DefaultAPISecret, Namespace: endortest.DefaultNamespace,
		Args: append(around,
			"--cache-ttl="+cacheTTL.String(), "--cache-negative-ttl="+negativeTTL.String(), "--stale-if-error="+staleIfError.String(),
			"--upstream-timeout="+upstreamTimeout.String(), "--upstream-qps=10000",
		),
	})
	if err != nil {
		return err
	}
	defer func() {
		stopErr := provider.Stop()
		// An interrupt from a terminal reaches the provider too.
		if stopErr != nil && ctx.Err() == nil {
			err = errors.Join(err, fmt.Errorf("the provider did not end well: %w", stopErr))
		}
	}()

	if *targets != "" {
		if err := tell(*targets, provider); err != nil {
			return err
		}
	}

	s := &soak{
		emulator: emulator, provider: provider, certificates: certificates, stdout: stdout,
		seed: *seed, tally: tally{codes: map[string]int{}}, world: newWorld(emulator), weather: &weather{emulator: emulator},
	}
	return s.run(ctx, *length)
}

// listener is a server that listens on loopback.
type listener struct {
	url   string
	close func() error
}

func listen(ctx context.Context, handler http.Handler) (*listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return &listener{url: "http://" + l.Addr().String(), close: func() error {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}}, nil
}
