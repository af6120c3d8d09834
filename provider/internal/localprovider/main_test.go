// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localprovider_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func image(n int) string { return fmt.Sprintf("ghcr.io/acme/api@sha256:%064x", n) }

// keys ask about images from 0 on.
func keys(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = image(i)
	}
	return list
}

// signed is an emulator that has signed the first n images.
func signed(t testing.TB, n int) *endortest.Server {
	t.Helper()
	emulator := endortest.Start(t, endortest.Config{})
	for i := range n {
		if err := emulator.Sign(endortest.Signing{Image: image(i), Claims: endortest.GitHubClaims("acme", "api", "refs/heads/main")}); err != nil {
			t.Fatal(err)
		}
	}
	return emulator
}

// start makes a provider that asks the emulator; timeout is what a question may
// take there, 0 the default.
func start(ctx context.Context, t testing.TB, emulator *endortest.Server, concurrency int, timeout time.Duration) *localprovider.Provider {
	t.Helper()
	client, err := endor.New(endor.Config{
		BaseURL: emulator.URL, Credentials: endor.Credentials{Key: emulator.APIKey, Secret: emulator.APISecret}, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := localprovider.Start(ctx, localprovider.Config{
		Verifier: verify.NewEndor(client, nil), Resolver: verify.Resolver{Namespace: emulator.Namespace}, Concurrency: concurrency,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		client.Close()
	})
	return p
}
