// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor/doctortest"
)

// root is the repository.
const root = "../../.."

func healthy(t *testing.T) *doctortest.API {
	t.Helper()
	m, err := manifests()
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var manifests = sync.OnceValues(func() (*doctortest.Manifests, error) { return doctortest.Load(context.Background(), root) })

// serve gives the address of an API server.
func serve(t *testing.T, a *doctortest.API) string {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return server.URL
}

func client(t *testing.T, server string) dynamic.Interface {
	t.Helper()
	c, err := dynamic.NewForConfig(&rest.Config{Host: server, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// examine runs every check against an API server.
func examine(t *testing.T, a *doctortest.API, change ...func(*doctor.Config)) doctor.Report {
	t.Helper()
	cfg := doctor.Config{
		Client: client(t, serve(t, a)), Server: "https://api.example:6443",
		Clock: func(context.Context) (time.Time, error) { return time.Now(), nil },
	}
	for _, f := range change {
		f(&cfg)
	}
	return doctor.Run(t.Context(), cfg)
}

// told are the findings that somebody has to act on, but for what there are no
// credentials for.
func told(r doctor.Report) []doctor.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f doctor.Finding) bool {
		return f.Severity == doctor.OK || f.Severity == doctor.Info ||
			f.Severity == doctor.Skipped && (f.Area == "Endor Labs" || f.Check == "clock-endor")
	})
}

func TestAHealthyInstallationIsTold(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	r := examine(t, a)
	for _, f := range told(r) {
		t.Errorf("%s: %s: %s %s", f.Severity, f.Check, f.Object, f.Found)
	}
	if r.Gatekeeper != "3.23.1" || r.Interrupted {
		t.Errorf("report = %+v", r)
	}
	if writes := a.Writes(); len(writes) > 0 {
		t.Errorf("writes: %v", writes)
	}
}

// at is a clock that stands still.
func at(now time.Time) func(context.Context) (time.Time, error) {
	return func(context.Context) (time.Time, error) { return now, nil }
}

// Nobody has to act on what is meant, but an auditor wants to know it.
func TestWhereNothingIsJudgedIsTold(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	label("staging", "admission.gatekeeper.sh/ignore", "yes")(a)
	put(`{apiVersion: config.gatekeeper.sh/v1alpha1, kind: Config, metadata: {name: config, namespace: gatekeeper-system},
		spec: {match: [{processes: [audit], excludedNamespaces: [audited-*]}, {processes: ["*"], excludedNamespaces: [sandbox-*]}]}}`)(a)
	another("later", "warn", "spec", "enforcementAction")(a)
	another("unknown", "Deny", "spec", "enforcementAction")(a)
	r := examine(t, a)
	if list := told(r); len(list) > 0 {
		t.Errorf("findings = %+v", list)
	}
	var got []string
	for _, f := range r.Findings {
		if f.Severity == doctor.Info && f.Check != "provider-version" {
			got = append(got, f.Check+": "+f.Object+": "+f.Found)
		}
	}
	want := []string{
		"webhook-exclusions: : labeled admission.gatekeeper.sh/ignore, so that nothing is judged there: gatekeeper-system, staging",
		"webhook-exclusions: : left out by the webhook's namespaceSelector, so that whoever creates Pods there runs any image: endor-gatekeeper-provider, kube-node-lease, kube-system",
		"webhook-exclusions: Config gatekeeper-system/config: excludes from admission: sandbox-*",
		"constraint-enforcement: K8sEndorSignedImages later: it does not deny; it does warn",
		"constraint-enforcement: K8sEndorSignedImages unknown: it does not deny; it does nothing when something is created",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("to know (-want +got):\n%s", diff)
	}
}

// The Config excludes the only namespace in which something is denied.
func TestTheProbeKeepsToWhatIsJudged(t *testing.T) {
	t.Parallel()
	a := healthy(t)
	put(`{apiVersion: config.gatekeeper.sh/v1alpha1, kind: Config, metadata: {name: config, namespace: gatekeeper-system},
		spec: {match: [{processes: [webhook], excludedNamespaces: [prod*]}]}}`)(a)
	list := told(examine(t, a))
	if len(list) != 1 || list[0].Check != "fail-closed" || list[0].Severity != doctor.Unknown {
		t.Errorf("findings = %+v", list)
	}
}
