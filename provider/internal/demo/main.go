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
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// signatures is what the emulator signs.
const signatures = "provider/internal/demo/signatures.yaml"

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
	if _, err := os.Stat("bin/kubectl-endor"); err != nil {
		return errors.New("the programs are not built; run: make demo")
	}
	dir, err := os.MkdirTemp("", "endor-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	certificates, err := testbed.NewCertificates(dir)
	if err != nil {
		return err
	}

	emulator, err := testbed.StartEmulator("bin/endor-emulator", signatures, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, emulator.Stop()) }()

	provider, err := testbed.Start(ctx, testbed.Config{
		Program: "bin/endor-gatekeeper-provider", Certificates: certificates,
		API: emulator.URL, Key: testbed.APIKey, Secret: testbed.APISecret, Namespace: testbed.Namespace,
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

`, provider.URL, emulator.URL)
	judge := judge{certificates: certificates, provider: provider.URL, stdout: stdout, stderr: stderr}
	examples := judge.run(ctx, "examples/[0-9]*.yaml")

	fmt.Fprint(stdout, "\nAnd while Endor Labs cannot be reached (the emulator was stopped):\n\n")
	if err := emulator.Stop(); err != nil {
		return err
	}
	if err := errors.Join(examples, judge.run(ctx, "examples/outage/*.yaml")); err != nil {
		return err
	}
	fmt.Fprint(stdout, `
Everything ended as expected. Try next:
  edit an image in examples/02-unsigned.yaml, or sign it in provider/internal/demo/signatures.yaml, and run make demo again
  bin/kubectl-endor test --help      judge manifests of your own
  policies/README.md                 every parameter of the policy, by example
`)
	return nil
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
		"--client-cert-file", cert, "--client-key-file", key, "--expect-annotations",
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
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return fmt.Errorf("not every example of %s ended as expected: %w", examples, err)
	}
	return nil
}
