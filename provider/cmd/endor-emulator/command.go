// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

func newCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:   "endor-emulator",
		Short: "A stand-in for the Endor Labs API that really signs and verifies",
		Long: `A stand-in for the Endor Labs API that really signs and verifies, for demos and tests.

It prints the address it serves as one line, and ends on SIGINT or SIGTERM. Nothing is kept.
Whoever can reach it can sign: leave it on loopback.`,
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, err := opts.prepare(cmd.ErrOrStderr())
			if err != nil {
				return &usageError{err}
			}
			return program.serve(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })

	f := cmd.Flags()
	f.StringVar(&opts.listenAddress, "listen-address", "127.0.0.1:0", "loopback host and port to serve on; port 0 chooses a free one")
	f.BoolVar(&opts.allowNonLoopback, "allow-non-loopback", false, "serve on an address that others can reach: whoever does can sign")
	f.StringVar(&opts.addressFile, "address-file", "", "file to write the served address to, removed at the end")
	f.StringVar(&opts.apiKey, "api-key", "", "API key that is accepted (default "+endortest.DefaultAPIKey+")")
	f.StringVar(&opts.apiSecret, "api-secret", "", "API secret that is accepted (default "+endortest.DefaultAPISecret+")")
	f.StringVar(&opts.apiKeyFile, "api-key-file", "", "file with the API key, instead of --api-key")
	f.StringVar(&opts.apiSecretFile, "api-secret-file", "", "file with the API secret, instead of --api-secret")
	f.StringSliceVar(&opts.namespaces, "namespace", []string{endortest.DefaultNamespace}, "Endor namespaces that the key may use")
	f.DurationVar(&opts.tokenLifetime, "token-lifetime", endortest.DefaultTokenLifetime, "how long a token is accepted")
	f.StringVar(&opts.signFile, "sign", "", "YAML file of images to sign at start")
	f.DurationVar(&opts.latency, "latency", 0, "wait before every answer to a token exchange or an operation")
	f.BoolVar(&opts.admin, "admin", false, "serve switches and counters under /emulator/ to whoever asks")
	f.StringVar(&opts.logLevel, "log-level", "info", "debug, info, warn or error")

	cmd.AddCommand(artifactCommand(os.Getenv), buildinfo.Command("endor-emulator"))
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return &usageError{err}
	}
	return nil
}
