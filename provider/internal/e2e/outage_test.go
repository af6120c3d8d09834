// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each of these tests has signers of its own, so that no cache knows an answer
// from another test.

// What ran before is not judged again, and new Pods of it are admitted by a
// verdict that the provider remembers past its life. What nobody ever asked
// about has to wait.
func TestADeploymentScalesWhileEndorLabsHangs(t *testing.T) {
	p := newPlace(t)
	output, err := p.create(t, deployment("unknown", unsigned)) // while there is no constraint
	mustAdmit(t, output, err)
	eventually(t, func() error { return p.has(t, "pods", "app=unknown") })
	flags(t, "--cache-ttl=1s")
	p.enforce(t, "deny", all, `{namespace: acme, signers: [{sourceRepository: acme/api, sourceRepositoryOwner: acme}]}`)
	output, err = p.create(t, deployment("known", signed))
	mustAdmit(t, output, err)
	eventually(t, func() error { return p.has(t, "pods", "app=known") })
	lived := time.Now().Add(time.Second)

	p.outage(t,
		func(ctx context.Context) error { return cluster.SwitchEmulator(ctx, hanging) },
		func(ctx context.Context) error { return cluster.SwitchEmulator(ctx, "{}") })
	// Gatekeeper remembers answers too. A new process does not.
	if err := cluster.Gatekeeper.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(lived)) // until the verdict is past its life

	// kubectl scale goes to a subresource that no webhook sees, an edited manifest
	// does not.
	for _, name := range []string{"known", "unknown"} {
		output, err = p.kubectl(t, "", "patch", "deployment", name, "--patch", `{"spec": {"replicas": 2}}`)
		mustAdmit(t, output, err)
	}
	eventually(t, func() error { return p.runs(t, "known", 2) })
	output, err = p.kubectl(t, "", "scale", "deployment", "known", "--replicas=3")
	mustAdmit(t, output, err)
	eventually(t, func() error { return p.runs(t, "known", 3) })
	if served, err := metric(t.Context(), cluster, "stale_answers_total"); err != nil || served == 0 {
		t.Errorf("answers past their life: %v (%v), want some", served, err)
	}

	eventually(t, func() error {
		why, err := p.kubectl(t, "", "get", "replicasets", "--selector=app=unknown",
			"-o", `jsonpath={.items[*].status.conditions[?(@.type=="ReplicaFailure")].message}`)
		if err == nil && !strings.Contains(why, "[UNAVAILABLE]") {
			err = fmt.Errorf("its Pod is not refused as UNAVAILABLE: %q", why)
		}
		return err
	})
	if err := p.runs(t, "unknown", 1); err != nil {
		t.Error(err)
	}
	output, err = p.create(t, deployment("new", fresh()))
	mustRefuse(t, "UNAVAILABLE", output, err)
}

func TestAnImageThatIsRefusedWhileEndorLabsIsDownIsAdmittedSoonAfterItIsUp(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, `{namespace: acme, signers: [{sourceRepository: acme/api, runnerEnvironment: github-hosted}]}`)
	up := p.outage(t,
		func(context.Context) error { return cluster.Emulator.Kill() },
		func(ctx context.Context) error {
			if cluster.Emulator.Running() {
				return nil
			}
			return cluster.Emulator.Start(ctx)
		})
	for i := range 10 { // enough for the provider to stop asking
		output, err := p.create(t, pod(fmt.Sprintf("app-%d", i), signed))
		mustRefuse(t, "UNAVAILABLE", output, err)
	}

	up()
	recovered := time.Now()
	eventually(t, func() error {
		_, err := p.create(t, pod("app", signed))
		return err
	})
	t.Logf("admitted %.1f s after Endor Labs was up again", time.Since(recovered).Seconds())
}

func TestPodsAreRefusedWhileTheProviderIsDeadAndAdmittedOnceItIsBack(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, `{namespace: acme, signers: [{sourceRepository: acme/api, sourceRepositoryRef: refs/heads/main}]}`)
	if err := cluster.Provider.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !cluster.Provider.Running() {
			if err := cluster.Provider.Start(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
	})
	output, err := p.create(t, pod("app", signed))
	mustRefuse(t, "UNAVAILABLE", output, err)
	if !strings.Contains(err.Error(), "Gatekeeper cannot reach the provider") {
		t.Errorf("it does not tell what is wrong: %v", err)
	}

	if err := cluster.Provider.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	eventually(t, func() error {
		_, err := p.create(t, pod("app", signed))
		return err
	})
	t.Logf("admitted %.1f s after the provider was ready again", time.Since(back).Seconds())
	output, err = p.create(t, pod("other", fresh()))
	mustRefuse(t, "NOT_SIGNED", output, err)
}

// outage brings one about, and gives what ends it. At the end of the test it is
// over, and the provider has noticed.
func (p place) outage(t *testing.T, begin, end func(context.Context) error) (over func()) {
	t.Helper()
	if err := begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	over = func() {
		t.Helper()
		if err := end(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		over()
		eventually(t, func() error {
			asked := dryRun(cluster, p.name, "afterwards", fresh())
			if !asked.refused("NOT_SIGNED") {
				return fmt.Errorf("after the outage: %w", asked.err)
			}
			return nil
		})
	})
	return over
}

// flags makes the provider run with further flags until the test ends.
func flags(t testing.TB, more ...string) {
	t.Helper()
	before := cluster.Provider.Args
	cluster.Provider.Args = slices.Concat(before, more)
	t.Cleanup(func() {
		cluster.Provider.Args = before
		if err := cluster.Provider.Restart(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.Provider.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// runs gives an error unless the Deployment has so many Pods.
func (p place) runs(t *testing.T, name string, want int) error {
	t.Helper()
	names, err := p.kubectl(t, "", "get", "pods", "--selector=app="+name, "-o", "name")
	if err != nil {
		return err
	}
	if got := len(strings.Fields(names)); got != want {
		why, err := p.kubectl(t, "", "get", "replicasets", "--selector=app="+name, "-o", "jsonpath={.items[*].status.conditions[*].message}")
		return errors.Join(fmt.Errorf("%s has %d Pods, want %d: %s", name, got, want, why), err)
	}
	return nil
}
