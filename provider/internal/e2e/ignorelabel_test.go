// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

// The label takes a namespace out of Gatekeeper's sight. Gatekeeper guards the
// front door only.
func TestTheIgnoreLabelCannotBeSetThroughASubresource(t *testing.T) {
	p := newPlace(t)
	ways := map[string]func() error{
		"patch of status":    func() error { return p.patchStatus(t, ignoreLabel) },
		"update of status":   func() error { return p.replace(t, "status", ignoreLabel) },
		"update of finalize": func() error { return p.replace(t, "finalize", ignoreLabel) },
	}
	// What the policy is for. Should Kubernetes or Gatekeeper mend it, it has no
	// use any more.
	for way, try := range ways {
		if err := try(); err != nil {
			t.Errorf("without the policy, %s: %v", way, err)
		}
	}
	policy := filepath.Join(config.Root, "deploy", "gatekeeper", "ignore-label.yaml")
	if _, err := cluster.Kubectl(t.Context(), "apply", "-f", policy); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "-f", policy); err != nil {
			t.Error(err)
		}
	})
	for way, try := range ways {
		eventually(t, func() error {
			err := try()
			if err == nil {
				return fmt.Errorf("%s still sets it", way)
			}
			if !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'gatekeeper-ignore-label'") {
				return fmt.Errorf("%s is not refused by the policy: %w", way, err)
			}
			return nil
		})
	}
	if _, err := cluster.Kubectl(t.Context(), "label", "namespace", p.name, ignoreLabel+"=yes"); err == nil || !strings.Contains(err.Error(), "check-ignore-label") {
		t.Errorf("Gatekeeper does not refuse the label: %v", err)
	}

	// And nothing else is in its way: not other labels, not a namespace that had
	// the label, not the end of a namespace.
	for way, err := range map[string]error{
		"status":   p.patchStatus(t, "team"),
		"finalize": p.replace(t, "finalize", "team"),
		"status of a namespace that Gatekeeper leaves out": place{name: "gatekeeper-system"}.patchStatus(t, "team"),
	} {
		if err != nil {
			t.Errorf("another label through %s: %v", way, err)
		}
	}
	if _, err := cluster.Kubectl(t.Context(), "delete", "namespace", p.name, "--timeout=1m"); err != nil {
		t.Error(err)
	}
}

const ignoreLabel = "admission.gatekeeper.sh/ignore"

// patchStatus tries to label the namespace by a patch of its status. Nothing is
// stored.
func (p place) patchStatus(t *testing.T, label string) error {
	_, err := cluster.Kubectl(t.Context(), "patch", "namespace", p.name, "--subresource=status", "--dry-run=server",
		"--type=merge", "--patch", fmt.Sprintf(`{"metadata":{"labels":{%q:"yes"}}}`, label))
	return err
}

// replace tries to label the namespace by an update of a subresource. Nothing is
// stored.
func (p place) replace(t *testing.T, subresource, label string) error {
	output, err := cluster.Kubectl(t.Context(), "get", "namespace", p.name, "--output=json")
	if err != nil {
		return err
	}
	var namespace unstructured.Unstructured
	if err := namespace.UnmarshalJSON([]byte(output)); err != nil {
		return err
	}
	labels := namespace.GetLabels()
	labels[label] = "yes"
	namespace.SetLabels(labels)
	body, err := namespace.MarshalJSON()
	if err != nil {
		return err
	}
	_, _, err = cluster.Run(t.Context(), localcluster.Command{
		Program: "kubectl", Stdin: string(body),
		Args: []string{"replace", "--raw", "/api/v1/namespaces/" + p.name + "/" + subresource + "?dryRun=All", "-f", "-"},
	})
	return err
}
