// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command endor-emulator is a stand-in for the Endor Labs API, for demos and tests.
//
// It exchanges an API key for tokens and signs, verifies and revokes the signatures
// of container images with a certificate authority that it makes when it starts.
// Nothing is kept when it ends. Package endortest says what it does as the API does,
// where it is stricter, and what it leaves out.
//
//	endor-emulator --listen-address 127.0.0.1:8088 --sign signatures.yaml
//
// The first and only line on standard output is the address it serves, such as
// http://127.0.0.1:8088; it is printed when requests are accepted. --address-file has
// the same line, appears with all its content at once, and is removed at the end.
// Logs go to standard error. SIGINT and SIGTERM end it. The exit code is 2 for a
// problem with flags or files, all of which are reported at once, and 1 for any other.
//
// Whoever can reach it can sign, with a key that the documentation prints. So it
// refuses to listen outside loopback unless --allow-non-loopback says otherwise.
//
// # Signatures at start
//
// --sign names a YAML list. Each entry is signed when the program starts:
//
//	# A sound signature. Only image is required; without claims the certificate
//	# says nothing about the build.
//	- image: ghcr.io/acme/api@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809
//	  namespace: acme            # default: the first of --namespace
//	  age: 240h                  # how long ago it was signed; default: now
//	  claims:
//	    certificateOidcIssuer: https://token.actions.githubusercontent.com
//	    certificateIdentity: repo:acme/api:ref:refs/heads/main
//	    sourceRepository: acme/api
//	    sourceRepositoryOwner: acme
//	    sourceRepositoryRef: refs/heads/main
//	    sourceRepositoryDigest: 6f1ed002ab5595859014ebf0951522d9a2a4c1f3
//	    buildConfigName: Release
//	    buildConfigDigest: 6f1ed002ab5595859014ebf0951522d9a2a4c1f3
//	    runnerEnvironment: github-hosted
//
//	# Signed, then revoked.
//	- image: ghcr.io/acme/old@sha256:2a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809
//	  revoked: true
//
//	# Signed, then damaged where it is stored, so that a check fails.
//	- image: ghcr.io/acme/forged@sha256:3a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809
//	  damage: other-ca           # see the constants of package endortest
//
// An image may be signed more than once, with another sourceRepositoryRef each time;
// revoked and damage are then for all of its signatures so far.
//
// # Signatures at run time
//
// Whoever has the API key signs and revokes through the API. Two commands do it from
// a terminal, with the variables of endorctl, and for an emulator only:
//
//	endor-emulator artifact sign --name IMAGE --source-repository acme/api --source-repository-ref refs/heads/main
//	endor-emulator artifact revoke-signature --name IMAGE
//
// # Switches at run time
//
// With --admin whoever reaches the program also decides what goes wrong:
//
//	GET, PUT /emulator/switches     latency, statuses, hangs, … (endortest.Switches)
//	GET, DELETE /emulator/counters  what was asked (endortest.Counters)
//	DELETE /emulator/tokens         ends all tokens
//	PUT /emulator/credentials       {"key": "…", "secret": "…"} from now on
//	POST /emulator/damage           {"image": "…", "damage": "other-ca", "namespace": "acme"}
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "endor-emulator:", err)
		os.Exit(exitCode(err))
	}
}

// run is the program. It returns when ctx ends, which is not an error.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd.ExecuteContext(ctx)
}

// usageError is a problem that the person who started the program can solve by starting
// it otherwise.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func exitCode(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}
