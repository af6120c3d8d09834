// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// signatures is the file of what the emulator has signed, in the repository.
const signatures = "provider/internal/demo/signatures.yaml"

// credentials is the Secret of the emulator's API key.
const credentials = "endor-api-key"

// prepareProvider makes the provider and the emulator.
func (c *Cluster) prepareProvider() error {
	var emulator, validate, ops string
	if err := c.ports.addresses(&emulator, &validate, &ops); err != nil {
		return err
	}
	c.EmulatorURL = "http://" + emulator
	c.ProviderURL, c.OpsURL = "https://"+net.JoinHostPort("localhost", portOf(validate))+"/validate", "http://"+ops
	c.Emulator = c.add(&Process{
		Name: "endor-emulator", program: filepath.Join(c.cfg.Programs, "endor-emulator"),
		ready: answers(http.DefaultClient, c.EmulatorURL+"/emulator/switches"),
		Args: []string{
			"--listen-address=" + emulator, "--admin", "--api-key=" + testbed.APIKey, "--api-secret=" + testbed.APISecret,
			"--namespace=" + testbed.Namespace, "--sign=" + filepath.Join(c.cfg.Root, signatures),
		},
	})
	c.Provider = c.add(&Process{
		Name: program, program: filepath.Join(c.cfg.Programs, program), ready: answers(http.DefaultClient, c.OpsURL+"/readyz"),
	})
	// What a flag says last counts.
	c.overrides = append([]string{
		"--listen-address=" + validate, "--ops-address=" + ops, "--endor-api=" + c.EmulatorURL,
	}, c.cfg.ProviderArgs...)
	return nil
}

// installChart installs the provider's chart as a user does, and gives the
// provider the settings of its Deployment.
func (c *Cluster) installChart(ctx context.Context) error {
	secret := fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: %s}, stringData: {api-key: %q, api-secret: %q}}",
		credentials, ProviderNamespace, testbed.APIKey, testbed.APISecret)
	if err := c.Apply(ctx, secret); err != nil {
		return err
	}
	args := append([]string{"install", Release, filepath.Join(c.cfg.Root, Chart), "--namespace", ProviderNamespace}, c.ChartValues()...)
	if _, err := c.Helm(ctx, append(args, c.cfg.ChartArgs...)...); err != nil {
		return err
	}
	return c.LoadProvider(ctx)
}

// ChartValues are arguments of helm with the values that the provider's chart
// needs in this cluster.
func (c *Cluster) ChartValues() []string {
	return []string{
		"--set", "endorNamespace=" + testbed.Namespace, "--set", "auth.existingSecret=" + credentials,
		"--set", "provider.url=" + c.ProviderURL, "--set", "tls.extraNames={localhost}", "--set", "drainDelay=0s",
	}
}

// LoadProvider makes the next start of the provider one with the arguments,
// variables, mounted files and ServiceAccount of the release's Deployment as it
// is now, but on the ports of this cluster and with the emulator.
func (c *Cluster) LoadProvider(ctx context.Context) error {
	made, err := c.containerOf(ctx, ProviderNamespace, Release, c.path("provider"))
	if err != nil {
		return err
	}
	c.Provider.Args, c.Provider.Env = append(made.args, c.overrides...), made.env
	return nil
}

// SwitchEmulator replaces what the emulator does wrong by a document of its
// admin API; an empty one, {}, makes it well again.
func (c *Cluster) SwitchEmulator(ctx context.Context, document string) error {
	return (&testbed.Emulator{URL: c.EmulatorURL}).Switch(ctx, []byte(document))
}
