// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-endor answers questions about image signatures at a desk or
// in CI, with the same templates and the same engine that Gatekeeper runs in a
// cluster. On the PATH it is also a kubectl plugin: kubectl endor.
//
//	kubectl endor verify IMAGE… [flags]
//	kubectl endor test -f FILE… [flags]
//	kubectl endor report [flags]
//	kubectl endor doctor [flags]
//	kubectl endor version
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

const program = "kubectl-endor"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errRefused ends the program with status 1: everything worked, and the answer
// is no.
var errRefused = errors.New("refused")

// resultError ends the program with status 2 once a result was written: its help
// is no help.
type resultError struct{ error }

func (e resultError) Unwrap() error { return e.error }

// run gives the exit status: 0, 1 if something is refused or not as expected,
// 2 if it could not be found out.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           program,
		Short:         "Ask what Endor Labs and Gatekeeper say of container images",
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl endor"},
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(testCommand(), verifyCommand(), reportCommand(), doctorCommand(), buildinfo.Command(program))
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errRefused):
		return 1
	}
	// It may repeat what somebody wrote into a manifest.
	for i, line := range strings.Split(err.Error(), "\n") {
		if i == 0 {
			line = program + ": " + line
		}
		fmt.Fprintln(stderr, printable.Visible(line))
	}
	if _, ok := errors.AsType[resultError](err); !ok {
		fmt.Fprintf(stderr, "Run '%s --help' for help.\n", cmd.CommandPath())
	}
	return 2
}
