// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// newWorld is the world of a script for a test that is none.
func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := testbed.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{certs: c, emulator: endortest.Start(t, endortest.Config{})}
	if w.client, err = c.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// start starts the program and waits until it is ready.
func (w *world) start(t *testing.T, change func(*testbed.Config)) {
	t.Helper()
	path, err := findProgram(os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := testbed.Config{
		Program: path, Certificates: w.certs,
		API: w.emulator.URL, Key: w.emulator.APIKey, Secret: w.emulator.APISecret, Namespace: w.emulator.Namespace,
	}
	change(&cfg)
	if w.running, err = testbed.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.running.Kill() }) // or it ended by itself
}

// asks posts keys as Gatekeeper does.
func (w *world) asks(t *testing.T, keys ...string) {
	t.Helper()
	if _, err := post(w.client, w.running.URL, keys); err != nil {
		t.Fatal(err)
	}
}
