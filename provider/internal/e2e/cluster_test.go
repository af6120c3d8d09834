// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

// fresh is an image that nobody signed and nobody has asked about, so that no
// cache knows the answer.
func fresh() string {
	var digest [32]byte
	_, _ = rand.Read(digest[:]) // it does not fail
	return "ghcr.io/acme/fresh@sha256:" + hex.EncodeToString(digest[:])
}

func TestPodsAreJudgedOnceGatekeepersCertificateAndItsAuthorityAreOthers(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	if err := cluster.RotateGatekeeper(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Gatekeeper keeps its connections to the provider. A new process has none.
	if err := cluster.Gatekeeper.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	output, err := p.create(t, pod("app", fresh()))
	mustRefuse(t, "NOT_SIGNED", output, err)
	output, err = p.create(t, pod("app", signed))
	mustAdmit(t, output, err)
}

func TestTheReleaseStaysWhileAConstraintOfItsDenies(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)

	kubelet, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- cluster.RunJobs(kubelet, localcluster.ProviderNamespace) }()
	_, err := cluster.Helm(t.Context(), "uninstall", localcluster.Release, "--namespace", localcluster.ProviderNamespace, "--timeout=1m")
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err == nil {
		t.Fatal("it was uninstalled")
	}
	t.Logf("Got expected error: %v", err)
	t.Cleanup(func() {
		// helm takes the release for one that is being uninstalled, until it is
		// rolled back to what it is.
		if _, err := cluster.Helm(context.WithoutCancel(t.Context()), "rollback", localcluster.Release, "1", "--namespace", localcluster.ProviderNamespace); err != nil {
			t.Error(err)
		}
	})
	if said := logsOf(t, "*-preflight-*.log"); !strings.Contains(said, p.name) {
		t.Errorf("the check does not name the constraint: %s", said)
	}
	if _, err := cluster.Kubectl(t.Context(), "get", "provider,deployment,serviceaccount", localcluster.Release,
		"--namespace", localcluster.ProviderNamespace); err != nil {
		t.Errorf("something of it is gone: %v", err)
	}
	if output, err := p.create(t, pod("app", fresh())); err == nil || !strings.Contains(err.Error(), "[NOT_SIGNED]") {
		t.Error(fmt.Errorf("%s: %w", output, err))
	}
}

// logsOf is what the Pods printed whose logs match the pattern.
func logsOf(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(cluster.Provider.LogFile()), pattern))
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said.Write(content)
	}
	return said.String()
}
