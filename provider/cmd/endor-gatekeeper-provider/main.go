// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command endor-gatekeeper-provider answers Gatekeeper's questions about
// container images with what Endor Labs knows of their signatures.
//
//	endor-gatekeeper-provider serve [flags]
//	endor-gatekeeper-provider preflight uninstall [flags]
//	endor-gatekeeper-provider version
//
// serve listens on two addresses. On --listen-address Gatekeeper posts keys to
// /validate, over TLS 1.3 and with a client certificate. On --ops-address
// operators find, over plain HTTP, /healthz (the process lives), /readyz (200,
// or 503 with the reasons as codes) and /metrics.
//
// preflight uninstall ends with status 1 while constraints would refuse
// everything that they match once the provider is gone.
//
// Every flag is also a variable: --cache-ttl is ENDOR_PROVIDER_CACHE_TTL.
// Credentials are read from files, or from ENDOR_API_CREDENTIALS_KEY and
// ENDOR_API_CREDENTIALS_SECRET, or from ENDOR_TOKEN, one kind of them;
// ENDOR_API and ENDOR_NAMESPACE mean what they mean to endorctl.
//
// It logs to stderr, one line per request, and waits for nobody who reads it:
// lines that nobody takes are dropped and counted. It ends with status 0 after
// SIGTERM or SIGINT, 2 if the configuration is wrong (it then never listened),
// and 1 if it failed later.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/linequeue"
)

const program = "endor-gatekeeper-provider"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run gives the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           program,
		Short:         "Gatekeeper external data provider for image signatures at Endor Labs",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(serveCommand(getenv), preflightCommand(getenv), buildinfo.Command(program))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	// The program has to end even if nobody reads why.
	last := linequeue.New(linequeue.Config{Out: neverClosed{stderr}})
	defer last.Close()
	fmt.Fprintf(last, "%s: %v\n", program, err)
	if _, ok := errors.AsType[runError](err); ok {
		return 1
	}
	fmt.Fprintf(last, "Run '%s --help' for the flags.\n", cmd.CommandPath())
	return 2
}

// runError is what goes wrong after the configuration was found right.
type runError struct{ error }

func (e runError) Unwrap() error { return e.error }
