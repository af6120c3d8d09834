// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
)

const constraintsPath = "/apis/constraints.gatekeeper.sh/v1beta1/k8sendorsignedimages/"

func constraint(name, provider, action string, annotations map[string]any) map[string]any {
	spec := map[string]any{"enforcementAction": action}
	if provider != "" {
		spec["parameters"] = map[string]any{"provider": provider}
	}
	return map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sEndorSignedImages",
		"metadata": map[string]any{"name": name, "annotations": annotations}, "spec": spec,
	}
}

// expose compares all metrics of the registry but times with what they should be.
func expose(t *testing.T, reg *prometheus.Registry, want string) {
	t.Helper()
	names := []string{"constraints", "constraints_in_break_glass", "constraints_count_failures_total"}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

const (
	aboutConstraints = "# HELP constraints Constraints of kind K8sEndorSignedImages that ask this provider, by the strictest thing that they do at admission (other: nothing that Gatekeeper knows); NaN until they were counted.\n# TYPE constraints gauge\n"
	aboutBreakGlass  = "# HELP constraints_in_break_glass Constraints that were turned from deny to warn for an emergency and do not deny; NaN until they were counted.\n# TYPE constraints_in_break_glass gauge\n"
	aboutFailures    = "# HELP constraints_count_failures_total Attempts to count constraints that the API server did not answer.\n# TYPE constraints_count_failures_total counter\n"
)

// counting counts the constraints of an API server until the test ends.
func counting(t *testing.T, a *api) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	e := cluster.NewEnforcement(cluster.DefaultProvider, a.client(t), slog.New(slog.DiscardHandler), reg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return reg
}

// A constraint that only warns refuses nothing, and nobody notices but by this.
func TestConstraintsAreCountedByWhatTheyDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		a.put(constraintsPath+"production", constraint("production", "", "deny", nil))
		a.put(constraintsPath+"staging", constraint("staging", "", "dryrun", nil))
		a.put(constraintsPath+"foreign", constraint("foreign", "somebody-else", "deny", nil))
		reg := counting(t, a)
		synctest.Wait()
		expose(t, reg, aboutConstraints+`constraints{enforcement_action="deny"} 1
constraints{enforcement_action="dryrun"} 1
constraints{enforcement_action="other"} 0
constraints{enforcement_action="warn"} 0
`+aboutBreakGlass+"constraints_in_break_glass 0\n"+aboutFailures+"constraints_count_failures_total 0\n")

		a.put(constraintsPath+"production", constraint("production", "", "warn", map[string]any{cluster.BreakGlassAnnotation: "deny"}))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		broken := aboutConstraints + `constraints{enforcement_action="deny"} 0
constraints{enforcement_action="dryrun"} 1
constraints{enforcement_action="other"} 0
constraints{enforcement_action="warn"} 1
` + aboutBreakGlass + "constraints_in_break_glass 1\n"
		expose(t, reg, broken+aboutFailures+"constraints_count_failures_total 0\n")

		// An API server that does not answer is no cluster without constraints.
		a.outage(true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expose(t, reg, broken+aboutFailures+"constraints_count_failures_total 1\n")

		// Who applies the constraint again leaves the annotation. It denies, so the
		// emergency is over.
		a.outage(false)
		a.put(constraintsPath+"production", constraint("production", "", "deny", map[string]any{cluster.BreakGlassAnnotation: "deny"}))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expose(t, reg, aboutConstraints+`constraints{enforcement_action="deny"} 1
constraints{enforcement_action="dryrun"} 1
constraints{enforcement_action="other"} 0
constraints{enforcement_action="warn"} 0
`+aboutBreakGlass+"constraints_in_break_glass 0\n"+aboutFailures+"constraints_count_failures_total 1\n")

		// Of one that cannot be read it is not known that it denies.
		unreadable := constraint("production", "", "", map[string]any{cluster.BreakGlassAnnotation: "deny"})
		unreadable["spec"] = map[string]any{"enforcementAction": []any{"deny"}}
		a.put(constraintsPath+"production", unreadable)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expose(t, reg, aboutConstraints+`constraints{enforcement_action="deny"} 0
constraints{enforcement_action="dryrun"} 1
constraints{enforcement_action="other"} 1
constraints{enforcement_action="warn"} 0
`+aboutBreakGlass+"constraints_in_break_glass 1\n"+aboutFailures+"constraints_count_failures_total 1\n")
	})
}

// What a constraint does at admission is what counts: audit and gator refuse
// nothing, and Gatekeeper's webhook passes over an action that it does not know.
func TestAConstraintCountsAsWhatItDoesAtAdmission(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, spec, want string }{
		{"deny", `{"enforcementAction": "deny"}`, "deny"},
		{"absent", `{}`, "deny"},
		{"warn", `{"enforcementAction": "warn"}`, "warn"},
		{"dryrun", `{"enforcementAction": "dryrun"}`, "dryrun"},
		{"empty", `{"enforcementAction": ""}`, "other"},
		{"unknown", `{"enforcementAction": "Deny"}`, "other"},
		{"unreadable", `{"enforcementAction": ["deny"]}`, "other"},
		{"scoped", scoped(`{"action": "deny", "enforcementPoints": [{"name": "audit.gatekeeper.sh"}, {"name": "validation.gatekeeper.sh"}]}`), "deny"},
		{"scoped-everywhere", scoped(`{"action": "deny", "enforcementPoints": [{"name": "*"}]}`), "deny"},
		{"scoped-strictest", scoped(`{"action": "warn", "enforcementPoints": [{"name": "*"}]}, {"action": "deny", "enforcementPoints": [{"name": "validation.gatekeeper.sh"}]}`), "deny"},
		{"scoped-warn", scoped(`{"action": "warn", "enforcementPoints": [{"name": "validation.gatekeeper.sh"}]}, {"action": "deny", "enforcementPoints": [{"name": "audit.gatekeeper.sh"}]}`), "warn"},
		{"scoped-audit", scoped(`{"action": "deny", "enforcementPoints": [{"name": "audit.gatekeeper.sh"}]}`), "other"},
		{"scoped-gator", scoped(`{"action": "deny", "enforcementPoints": [{"name": "gator.gatekeeper.sh"}]}`), "other"},
		{"scoped-vap", scoped(`{"action": "deny", "enforcementPoints": [{"name": "vap.k8s.io"}]}`), "other"},
		{"scoped-no-points", scoped(`{"action": "deny", "enforcementPoints": []}, {"action": "deny"}`), "other"},
		{"scoped-nothing", `{"enforcementAction": "scoped"}`, "other"},
		{"scoped-unreadable", scoped(`"deny"`), "other"},
		{"scoped-points-unreadable", scoped(`{"action": "deny", "enforcementPoints": ["*"]}`), "other"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAPI()
				c := constraint(tc.name, "", "", nil)
				var spec map[string]any
				if err := json.Unmarshal([]byte(tc.spec), &spec); err != nil {
					t.Fatal(err)
				}
				c["spec"] = spec
				a.put(constraintsPath+tc.name, c)
				reg := counting(t, a)
				synctest.Wait()
				want := aboutConstraints
				for _, action := range []string{"deny", "dryrun", "other", "warn"} {
					n := 0
					if action == tc.want {
						n = 1
					}
					want += fmt.Sprintf("constraints{enforcement_action=%q} %d\n", action, n)
				}
				if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "constraints"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func scoped(actions string) string {
	return `{"enforcementAction": "scoped", "scopedEnforcementActions": [` + actions + `]}`
}

// Whoever hangs must be told like whoever refuses, and nothing of it is a number:
// a zero would say that no constraint is in break-glass.
func TestAnAPIServerThatHangsIsAFailureAndNoNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		a.put(constraintsPath+"production", constraint("production", "", "deny", nil))
		a.silence(true)
		reg := counting(t, a)
		unknown := aboutConstraints + `constraints{enforcement_action="deny"} NaN
constraints{enforcement_action="dryrun"} NaN
constraints{enforcement_action="other"} NaN
constraints{enforcement_action="warn"} NaN
` + aboutBreakGlass + "constraints_in_break_glass NaN\n"
		synctest.Wait()
		expose(t, reg, unknown+aboutFailures+"constraints_count_failures_total 0\n")
		time.Sleep(31 * time.Second)
		synctest.Wait()
		expose(t, reg, unknown+aboutFailures+"constraints_count_failures_total 1\n")

		a.silence(false)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expose(t, reg, aboutConstraints+`constraints{enforcement_action="deny"} 1
constraints{enforcement_action="dryrun"} 0
constraints{enforcement_action="other"} 0
constraints{enforcement_action="warn"} 0
`+aboutBreakGlass+"constraints_in_break_glass 0\n"+aboutFailures+"constraints_count_failures_total 2\n")
	})
}
