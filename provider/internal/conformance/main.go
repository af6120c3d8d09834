// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command conformance asks the real API of Endor Labs whether it behaves as the
// provider assumes where Endor Labs publishes nothing, or where what it publishes
// disagrees.
//
//	ENDOR_NAMESPACE=acme ENDOR_API_CREDENTIALS_KEY=… ENDOR_API_CREDENTIALS_SECRET=… make conformance-live
//
// That asks VERIFY about names that nobody signed and changes nothing. To look at
// signatures it has to make some, which it does only with CONFORMANCE_SIGN=1 and
// below a name that is given for it:
//
//	CONFORMANCE_SIGN=1 CONFORMANCE_PREFIX=registry.example/throw-away make conformance-live
//
// The images do not exist, their signer is one that no constraint accepts, and
// every signature is revoked at the end, also after an interrupt.
// CONFORMANCE_CHILD_NAMESPACE names a child of ENDOR_NAMESPACE that the key may
// use, to see whether it shares signatures with its parent.
//
// The status is 0 if everything that was tested holds, 1 if something differs,
// and 2 if something could not be found out: that is never counted as passed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// settings are where and as whom to ask, and what may be changed there.
type settings struct {
	base, namespace string
	key, secret     string
	token           string // instead of key and secret

	sign   bool
	prefix string // of the names that are signed
	child  string // namespace; empty: none to look at
}

func (s settings) credentials() endor.Credentials {
	return endor.Credentials{Key: s.key, Secret: s.secret, Token: s.token}
}

// errHelp says that help was asked for, and given.
var errHelp = errors.New("help")

func readSettings(args []string, getenv func(string) string, stderr io.Writer) (settings, error) {
	s := settings{
		namespace: getenv("ENDOR_NAMESPACE"),
		key:       getenv("ENDOR_API_CREDENTIALS_KEY"), secret: getenv("ENDOR_API_CREDENTIALS_SECRET"), token: getenv("ENDOR_TOKEN"),
		child: getenv("CONFORMANCE_CHILD_NAMESPACE"),
	}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.sign, "sign", getenv("CONFORMANCE_SIGN") == "1", "sign images that do not exist, and revoke that again; or CONFORMANCE_SIGN=1")
	flags.StringVar(&s.prefix, "artifact-prefix", getenv("CONFORMANCE_PREFIX"), "throw-away `name` below which to sign, such as registry.example/throw-away; or CONFORMANCE_PREFIX")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return settings{}, errHelp
	case err != nil:
		return settings{}, err
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("what is %q? There are only flags, see -help", flags.Arg(0))
	}
	base, err := endor.ParseBaseURL(getenv("ENDOR_API"))
	s.base = base
	return s, errors.Join(err, s.validate())
}

func (s settings) validate() error {
	var errs []error
	if s.key == "" && s.secret == "" && s.token == "" {
		errs = append(errs, errors.New("there are no credentials: set ENDOR_API_CREDENTIALS_KEY and ENDOR_API_CREDENTIALS_SECRET, or ENDOR_TOKEN"))
	}
	if !question.ValidNamespace(s.namespace) {
		errs = append(errs, errors.New("ENDOR_NAMESPACE must be the Endor namespace to ask in, such as acme"))
	}
	if s.child != "" && (!question.ValidNamespace(s.child) || !strings.HasPrefix(s.child, s.namespace+".")) {
		errs = append(errs, fmt.Errorf("CONFORMANCE_CHILD_NAMESPACE is %q, which is no child of ENDOR_NAMESPACE", s.child))
	}
	if s.sign {
		ref, err := imageref.Parse(s.prefix + "/x@sha256:" + strings.Repeat("0", 64))
		if err != nil || ref.String() != ref.Artifact() || !strings.Contains(s.prefix, "/") {
			errs = append(errs, errors.New("to sign, set CONFORMANCE_PREFIX to a throw-away name such as registry.example/throw-away"))
		}
	}
	return errors.Join(errs...)
}

// Statuses of the program.
const (
	statusHolds = iota
	statusDiffers
	statusUnknown
)

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	s, err := readSettings(args, getenv, stderr)
	switch {
	case errors.Is(err, errHelp):
		return statusHolds
	case err != nil:
		fmt.Fprintf(stderr, "conformance: nothing was tested, and this does not count as passed:\n%v\n", err)
		return statusUnknown
	}
	w, err := newWorld(ctx, s)
	if err != nil {
		fmt.Fprintf(stderr, "conformance: nothing was tested, and this does not count as passed: %v\n", err)
		return statusUnknown
	}
	defer w.client.Close()
	fmt.Fprintf(stdout, "Asking %s about namespace %s.\n\n", s.base, s.namespace)
	findings := w.look(ctx, checks)
	printFindings(stdout, findings)
	status := summarize(stdout, findings)
	if err := w.revokeAll(ctx); err != nil {
		fmt.Fprintf(stderr, "conformance: NOT CLEANED UP: %v\n", err)
		return max(status, statusUnknown)
	}
	return status
}
