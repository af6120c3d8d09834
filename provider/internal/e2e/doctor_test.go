// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

// The cluster has no Deployment of Gatekeeper's, and no Service of the
// provider's is in the way to it. Nothing else is wrong with it.
func TestDoctorFindsWhatIsWrongAndNothingElse(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	before := names(t, "pods")

	well := examine(t, 2)
	if want := map[string]bool{"gatekeeper-installed": true, "provider-deployment": true}; !maps.Equal(well.of(doctor.Unknown), want) || len(well.of(doctor.Error)) > 0 {
		t.Errorf("it could not check %v, want %v; and errors %v", well.of(doctor.Unknown), want, well.of(doctor.Error))
	}
	if probe := well.find("fail-closed"); probe.Severity != doctor.OK || !strings.Contains(probe.Found, "NOT_SIGNED") {
		t.Errorf("the probe: %+v", probe)
	}
	if after := names(t, "pods"); after != before {
		t.Errorf("before there were the Pods\n%s\nand afterwards\n%s", before, after)
	}

	t.Run("a webhook that is ignored", func(t *testing.T) {
		patched(t, "validatingwebhookconfiguration", localcluster.WebhookName,
			`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]`,
			`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"}]`)
		ill := examine(t, 1)
		if want := map[string]bool{"webhook-failure-policy": true}; !maps.Equal(ill.of(doctor.Error), want) {
			t.Errorf("errors %v, want %v", ill.of(doctor.Error), want)
		}
	})
	t.Run("a Provider with the CA of somebody else", func(t *testing.T) {
		// A provider that runs writes its own CA again, at once.
		if err := cluster.Provider.Kill(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			if err := errors.Join(cluster.Provider.Start(ctx), cluster.WaitForProvider(ctx)); err != nil {
				t.Error(err)
			}
		})
		other, err := certs.NewAuthority("somebody else", 365*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		provider, err := cluster.Dynamic.Resource(localcluster.Providers).Get(t.Context(), localcluster.Release, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		bundle, _ := provider.Object["spec"].(map[string]any)["caBundle"].(string)
		replace := func(bundle string) string {
			return fmt.Sprintf(`[{"op": "replace", "path": "/spec/caBundle", "value": %q}]`, bundle)
		}
		patched(t, "provider", localcluster.Release, replace(base64.StdEncoding.EncodeToString(other.CertPEM())), replace(bundle))
		ill := examine(t, 1)
		if want := map[string]bool{"provider-certificate": true}; !maps.Equal(ill.of(doctor.Error), want) {
			t.Errorf("errors %v, want %v", ill.of(doctor.Error), want)
		}
		// Signed images are refused too, which is not the same as all being well.
		if probe := ill.find("fail-closed"); probe.Severity != doctor.Warning {
			t.Errorf("the probe: %+v", probe)
		}
	})
}

// examined is what doctor reports.
type examined struct{ doctor.Report }

// examine runs it, which has to end with the status.
func examine(t *testing.T, status int) examined {
	t.Helper()
	said := plugin{}.run(t, status, "doctor", "-o", "json")
	var r examined
	if err := json.Unmarshal([]byte(said.stdout), &r.Report); err != nil {
		t.Fatalf("%v in %s", err, said.stdout)
	}
	return r
}

// of are the checks with a finding that bad.
func (r examined) of(severity doctor.Severity) map[string]bool {
	checks := map[string]bool{}
	for _, f := range r.Findings {
		if f.Severity == severity {
			checks[f.Check] = true
		}
	}
	return checks
}

// find is the first finding of a check, the worst.
func (r examined) find(check string) doctor.Finding {
	for _, f := range r.Findings {
		if f.Check == check {
			return f
		}
	}
	return doctor.Finding{}
}

// patched changes an object until the test ends.
func patched(t *testing.T, kind, name, patch, back string) {
	t.Helper()
	if _, err := cluster.Kubectl(t.Context(), "patch", kind, name, "--type=json", "--patch", patch); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "patch", kind, name, "--type=json", "--patch", back); err != nil {
			t.Error(err)
		}
	})
}

// names are those of all objects of a kind.
func names(t *testing.T, kind string) string {
	t.Helper()
	list, err := cluster.Kubectl(t.Context(), "get", kind, "--all-namespaces", "--output=name")
	if err != nil {
		t.Fatal(err)
	}
	return list
}
