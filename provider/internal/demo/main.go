// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the whole path on loopback: the emulator of Endor Labs
// signs images, the provider asks it over HTTP, and Gatekeeper's engine asks
// the provider over mutual TLS and judges the manifests in examples/.
//
// Run it with "make demo", from the root of the repository. Its status is 0 if
// every example ends as its annotation says.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// Credentials of the emulator, which knows no others.
const (
	apiKey    = "endr+demo-key"
	apiSecret = "endr+demo-secret"
	namespace = "acme"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "endor-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	certificates, err := testbed.NewCertificates(dir)
	if err != nil {
		return err
	}

	emulator, err := startEmulator(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, emulator.stop()) }()

	provider, err := testbed.Start(ctx, testbed.Config{
		Program: "bin/endor-gatekeeper-provider", Certificates: certificates,
		API: emulator.url, Key: apiKey, Secret: apiSecret, Namespace: namespace,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.Stop()) }()

	fmt.Fprintf(stdout, `
  kubectl-endor (Gatekeeper's engine and the shipped template)
     |  keys, over mutual TLS
  endor-gatekeeper-provider   %s
     |  VERIFY, over HTTP
  endor-emulator              %s

What is admitted to namespace production, and why not:

`, provider.URL, emulator.url)
	judge := judge{certificates: certificates, provider: provider.URL, stdout: stdout, stderr: stderr}
	examples := judge.run(ctx, "examples/[0-9]*.yaml")

	fmt.Fprint(stdout, "\nAnd while Endor Labs cannot be reached (the emulator was stopped):\n\n")
	if err := emulator.stop(); err != nil {
		return err
	}
	if err := errors.Join(examples, judge.run(ctx, "examples/outage/*.yaml")); err != nil {
		return err
	}
	fmt.Fprint(stdout, `
Everything ended as expected. Try next:
  edit an image in examples/02-unsigned.yaml, or sign it in examples/signatures.yaml, and run make demo again
  bin/kubectl-endor test --help      judge manifests of your own
  policies/README.md                 every parameter of the policy, by example
`)
	return nil
}

// emulator is a running endor-emulator.
type emulator struct {
	url  string
	stop func() error // may be called again
}

func startEmulator(ctx context.Context, stderr io.Writer) (*emulator, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "bin/endor-emulator",
		"--api-key="+apiKey, "--api-secret="+apiSecret, "--namespace="+namespace, "--sign=examples/signatures.yaml", "--log-level=error")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start the emulator: %w", err)
	}
	stopped := false
	e := &emulator{stop: func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		// It was told to end, so that it did is no error.
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("the emulator: %w", err)
		}
		return nil
	}}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the emulator does not say where it listens: %w", err), e.stop())
	}
	e.url = strings.TrimSpace(line)
	return e, nil
}

// judge runs kubectl-endor test as a person would.
type judge struct {
	certificates   *testbed.Certificates
	provider       string
	stdout, stderr io.Writer
}

func (j judge) run(ctx context.Context, examples string) error {
	cert, key := j.certificates.ClientFiles()
	args := []string{
		"test",
		"-f", "policies/library/k8sendorsignedimages/template.yaml",
		"-f", "policies/library/k8sendorsignedimages/samples/production/constraint.yaml",
		"--provider-url", j.provider, "--provider-ca-file", j.certificates.ServerCAFile(),
		"--client-cert-file", cert, "--client-key-file", key,
	}
	files, err := filepath.Glob(examples)
	if err != nil {
		return err
	}
	for _, file := range files {
		args = append(args, "-f", file)
	}
	cmd := exec.CommandContext(ctx, "bin/kubectl-endor", args...)
	cmd.Stdout, cmd.Stderr = j.stdout, j.stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("not every example of %s ended as expected: %w", examples, err)
	}
	return nil
}
