// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
)

var update = flag.Bool("update", false, "write the golden files")

// written is a report with something of each severity.
var written = doctor.Report{
	Cluster: "https://10.0.0.1:6443", Gatekeeper: "3.23.1", Provider: "ghcr.io/endorlabs/endor-gatekeeper-provider:0.1.0",
	Summary: map[doctor.Severity]int{doctor.Error: 1, doctor.Unknown: 2, doctor.Warning: 1, doctor.Skipped: 2, doctor.Info: 1, doctor.OK: 2},
	Findings: []doctor.Finding{
		{"webhook-failure-policy", "Webhook", doctor.Error, "validation.gatekeeper.sh", "failurePolicy is Ignore: whatever the webhook does not answer in time is admitted, so the policy is only advice", "Set the value validatingWebhookFailurePolicy: Fail of Gatekeeper's chart; see deploy/gatekeeper/values.yaml."},
		{"provider-certificate", "Provider", doctor.Unknown, "", "you may not get secrets in namespace endor-gatekeeper-provider", "Run it as somebody with the verb get on secrets in namespace endor-gatekeeper-provider."},
		{"provider-client-ca", "Provider", doctor.Unknown, "", "you may not get secrets in namespace endor-gatekeeper-provider", "Run it as somebody with the verb get on secrets in namespace endor-gatekeeper-provider."},
		{"gatekeeper-serving-threads", "Gatekeeper", doctor.Warning, "Deployment gatekeeper-system/gatekeeper-controller-manager", "it judges as many requests at a time as it has cores", "Set the value maxServingThreads: 64 of Gatekeeper's chart."},
		{"endor-region", "Endor Labs", doctor.Skipped, "", "nothing to look at; see endor-credentials", ""},
		{"endor-role", "Endor Labs", doctor.Skipped, "", "nothing to look at; see endor-credentials", ""},
		{"constraint-enforcement", "Policy", doctor.Info, "K8sEndorSignedImages try", "it does not deny; it does warn", ""},
		{"gatekeeper-version", "Gatekeeper", doctor.OK, "", "3.23.1", ""},
		{"timeouts", "Webhook", doctor.OK, "validation.gatekeeper.sh", "at worst 2.21s of 3s (one call for a Pod in namespace production)", ""},
	},
}

func TestWriteForAPerson(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]doctor.Style{
		"80": {Width: 80}, "120": {Width: 120}, "color": {Width: 100, Color: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := written.Write(&out, style); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if !style.Color && len(strings.TrimSuffix(line, "\n")) > style.Width {
					t.Errorf("%d columns: %s", len(line)-1, line)
				}
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// full is a disk that is full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteSaysThatItCouldNot(t *testing.T) {
	t.Parallel()
	if err := written.Write(full{}, doctor.Style{Width: 80}); err == nil {
		t.Error("no error")
	}
}
