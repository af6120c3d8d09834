// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
)

// preflightTimeout is how long the API server has to answer.
const preflightTimeout = 30 * time.Second

func preflightCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Check that a step of an installation is safe",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(uninstallCommand(getenv))
	return cmd
}

func uninstallCommand(getenv func(string) string) *cobra.Command {
	var kubeconfig, provider string
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Fail while constraints deny what this provider does not verify",
		Long: `Fail, with status 1, while constraints of kind K8sEndorSignedImages deny what
this provider does not verify: without the provider they refuse every object
that they match. The chart runs it before it is uninstalled.

Every flag is also a variable, as those of serve are.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.FromEnvironment(cmd.Flags(), getenv); err != nil {
				return err
			}
			client, err := cluster.Connect(kubeconfig, program+"/"+buildinfo.Read().Version)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), preflightTimeout)
			defer cancel()
			names, err := cluster.DenyingConstraints(ctx, client, provider)
			if err != nil {
				return runError{err}
			}
			if len(names) > 0 {
				return runError{fmt.Errorf("these constraints would refuse everything that they match: %s; "+
					"delete them first, or set their enforcementAction to warn or dryrun", strings.Join(names, ", "))}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "No constraint denies what this provider does not verify.")
			return nil
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "`file` that tells how to reach the API server; default: as in a pod")
	cmd.Flags().StringVar(&provider, "provider-name", cluster.DefaultProvider, "`name` of the Provider object")
	return cmd
}
