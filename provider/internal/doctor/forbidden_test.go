// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor/doctortest"
)

// What somebody may not read is said with the permission that is missing, and is
// nothing to be called in order.
func TestWhatMayNotBeReadIsSaid(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		verb, resource string
		checks         []string
	}{
		{"list", "deployments.apps", []string{
			"gatekeeper-installed", "gatekeeper-version", "gatekeeper-external-data", "gatekeeper-serving-threads", "gatekeeper-response-cache",
			"timeouts", "provider-deployment", "provider-version", "provider-disruption-budget", "provider-certificate", "provider-clients",
			"provider-client-ca", "constraint-own-pods",
		}},
		{"get", "validatingwebhookconfigurations.admissionregistration.k8s.io", []string{
			"webhook-installed", "webhook-failure-policy", "webhook-rules", "webhook-ephemeral-containers", "webhook-object-selector",
			"webhook-match-conditions", "webhook-namespaces", "webhook-ca", "timeouts", "provider-client-ca", "constraint-own-pods", "fail-closed",
		}},
		{"list", "namespaces", []string{
			"webhook-rules", "webhook-ephemeral-containers", "webhook-namespaces", "webhook-exclusions", "timeouts", "constraints-installed",
			"constraint-enforcement", "constraint-pods", "constraint-labels", "constraint-own-pods", "fail-closed",
		}},
		{"get", "configs.config.gatekeeper.sh", []string{
			"webhook-rules", "webhook-ephemeral-containers", "webhook-namespaces", "webhook-exclusions", "constraints-installed",
			"constraint-enforcement", "constraint-pods", "constraint-labels", "constraint-own-pods", "fail-closed",
		}},
		{"get", "providers.externaldata.gatekeeper.sh", []string{
			"provider-installed", "provider-ingested", "provider-deployment", "provider-ca", "provider-certificate", "timeouts",
		}},
		{"list", "providers.externaldata.gatekeeper.sh", []string{"timeouts", "constraint-provider"}},
		{"get", "services", []string{"provider-deployment"}},
		{"get", "secrets", []string{"provider-certificate"}},
		{"list", "poddisruptionbudgets.policy", []string{"provider-disruption-budget"}},
		{"list", "constrainttemplates.templates.gatekeeper.sh", []string{"template-installed", "template-ingested", "template-current", "timeouts"}},
		{"list", "k8sendorsignedimages.constraints.gatekeeper.sh", []string{"constraints-installed", "constraints-ingested", "constraint-provider", "constraint-pods", "fail-closed"}},
		{"list", "expansiontemplate.expansion.gatekeeper.sh", []string{"timeouts"}},
		{"list", "pods", []string{"constraint-own-pods"}},
	} {
		t.Run(tc.verb+" "+tc.resource, func(t *testing.T) {
			t.Parallel()
			a := healthy(t)
			a.Forbid = func(verb, resource string) bool { return verb == tc.verb && resource == tc.resource }
			r := examine(t, a)
			for _, f := range told(r) {
				if f.Severity != doctor.Unknown {
					t.Errorf("%s: %s: %s", f.Severity, f.Check, f.Found)
				}
				if !strings.Contains(f.Found, "you may not "+tc.verb+" "+tc.resource) || !strings.Contains(f.Fix, "the verb "+tc.verb+" on "+tc.resource) {
					t.Errorf("%s says %q, and to mend it %q", f.Check, f.Found, f.Fix)
				}
			}
			for _, id := range tc.checks {
				if !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.Check == id && f.Severity == doctor.Unknown }) {
					t.Errorf("%s could be checked", id)
				}
			}
		})
	}
}

func TestAProbeThatMayNotBeMade(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	a.Forbid = func(verb, _ string) bool { return verb == "create" }
	list := told(examine(t, a))
	if len(list) != 1 || list[0].Check != "fail-closed" || list[0].Severity != doctor.Unknown || !strings.Contains(list[0].Found, "you may not create pods in namespace production") {
		t.Errorf("findings = %+v", list)
	}
}

// Where one namespace refuses the probe for a reason of its own, another is tried.
func TestTheProbeGoesToAnotherNamespace(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	theConstraint([]any{"default", "production"}, "spec", "match", "namespaces")(a)
	first := true
	a.Forbid = func(verb, _ string) bool {
		refuse := verb == "create" && first
		first = first && !refuse
		return refuse
	}
	if list := told(examine(t, a)); len(list) != 0 {
		t.Errorf("findings = %+v", list)
	}
}

func TestNothingIsEverInOrderThatCouldNotBeReached(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	a.Forbid = func(string, string) bool { return true }
	r := examine(t, a)
	for _, f := range r.Findings {
		if f.Severity == doctor.OK && f.Check != "clock-cluster" {
			t.Errorf("%s is in order: %s", f.Check, f.Found)
		}
	}
	if r.Gatekeeper != "" || r.Provider != "" {
		t.Errorf("versions of what could not be read: %q %q", r.Gatekeeper, r.Provider)
	}
}

func TestAClockThatCannotBeReadIsSaid(t *testing.T) {
	t.Parallel()
	list := told(examine(t, healthy(t), func(cfg *doctor.Config) {
		cfg.Clock = func(context.Context) (time.Time, error) { return time.Time{}, errors.New("no route") }
	}))
	if len(list) != 1 || list[0].Check != "clock-cluster" || list[0].Severity != doctor.Unknown || !strings.Contains(list[0].Found, "no route") {
		t.Errorf("findings = %+v", list)
	}
}

// An interruption ends the checks, and what a check says that was cut off is not
// about the cluster.
func TestAnInterruptionIsSaid(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a.Forbid = func(_, resource string) bool {
		if strings.HasPrefix(resource, "providers.") {
			cancel()
		}
		return false
	}
	server := serve(t, a)
	r := doctor.Run(ctx, doctor.Config{Client: client(t, server), Server: server})
	if !r.Interrupted || len(r.Findings) == 0 {
		t.Errorf("interrupted = %v, with %d findings", r.Interrupted, len(r.Findings))
	}
	for _, f := range r.Findings {
		if f.Severity == doctor.Unknown || f.Area == "Policy" {
			t.Errorf("%s %s: %s", f.Severity, f.Check, f.Found)
		}
	}
	var out strings.Builder
	if err := r.Write(&out, doctor.Style{Width: 80}); err != nil || !strings.Contains(out.String(), "INTERRUPTED") {
		t.Errorf("report (%v):\n%s", err, out.String())
	}
}

// Whoever may write what is read must not drive a terminal.
func TestTextOfOthersIsNoMoreThanText(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	const evil = "x\x1b[2J\nERRORS 0"
	theConstraint([]any{map[string]any{"id": evil, "observedGeneration": int64(1), "errors": []any{map[string]any{"code": "x", "message": evil}}}}, "status", "byPod")(a)
	theProvider(evil, "spec", "caBundle")(a)
	theConstraint(evil, "spec", "parameters", "provider")(a)
	gatekeeperArgs("--enable-external-data=" + evil)(a)
	label("staging", "admission.gatekeeper.sh/ignore", "x")(a)
	theTemplate(evil, "metadata", "annotations", "metadata.gatekeeper.sh/version")(a)
	gatekeeperImage("gatekeeper:" + evil)(a)
	hook("matchConditions", []any{map[string]any{"name": evil, "expression": evil}})(a)
	a.ChangeContainer(doctortest.Release, doctortest.Release, func(c map[string]any) { c["image"] = evil })
	r := examine(t, a, func(cfg *doctor.Config) { cfg.Server = evil })
	var out strings.Builder
	if err := r.Write(&out, doctor.Style{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(out.String(), func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') }); i >= 0 {
		t.Errorf("%q", out.String()[max(0, i-80):i+10])
	}
	if strings.Contains(out.String(), "\nERRORS 0") {
		t.Errorf("a line was forged:\n%s", out.String())
	}
}
