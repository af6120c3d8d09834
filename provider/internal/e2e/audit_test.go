// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

func TestAuditFindsAnUnsignedPodThatWasThereBeforeTheConstraint(t *testing.T) {
	p := newPlace(t)
	for name, image := range map[string]string{"old": unsigned, "fine": signed} {
		output, err := p.create(t, pod(name, image))
		mustAdmit(t, output, err)
	}
	p.enforce(t, "deny", pods, ofAcme)

	eventually(t, func() error { return p.audited(t, "deny", "old", "NOT_SIGNED") })
	if err := p.audited(t, "deny", "fine", ""); err == nil {
		t.Error("the signed Pod is a violation too")
	}
	eventually(t, func() error {
		log, err := cluster.Audit.Log()
		if err == nil && !tells(log, p.name, "old") {
			err = fmt.Errorf("no line of %s tells of it", cluster.Audit.LogFile())
		}
		return err
	})
}

// audited gives an error unless the status of the constraint that is enforced
// with action names the Pod as a violation, with that code.
func (p place) audited(t *testing.T, action, name, code string) error {
	t.Helper()
	constraint, err := cluster.Dynamic.Resource(localcluster.Constraints).Get(t.Context(), p.name+"-"+action, metav1.GetOptions{})
	if err != nil {
		return err
	}
	violations, _, err := unstructured.NestedSlice(constraint.Object, "status", "violations")
	if err != nil {
		return err
	}
	for _, entry := range violations {
		violation, _ := entry.(map[string]any)
		message, _, _ := unstructured.NestedString(violation, "message")
		if violation["name"] == name && violation["namespace"] == p.name && violation["enforcementAction"] == action &&
			strings.HasPrefix(message, "["+code) {
			return nil
		}
	}
	return fmt.Errorf("no violation of %s with [%s] in the status of the constraint: %v", name, code, violations)
}

// tells finds the violation in the log of Gatekeeper's audit.
func tells(log, namespace, name string) bool {
	for line := range auditLines(log) {
		if line.Event == "violation_audited" && line.Namespace == namespace && line.Name == name && line.ConstraintKind == "K8sEndorSignedImages" {
			return true
		}
	}
	return false
}

// auditLine is a line of the log of Gatekeeper's audit.
type auditLine struct {
	Audit          string `json:"audit_id"`
	Event          string `json:"event_type"`
	ConstraintKind string `json:"constraint_kind"`
	Constraint     string `json:"constraint_name"`
	Kind           string `json:"resource_kind"`
	Namespace      string `json:"resource_namespace"`
	Name           string `json:"resource_name"`
	Details        struct{ Code, Container, Image string }
}

// auditLines are the lines of a log that tell of an audit.
func auditLines(log string) iter.Seq[auditLine] {
	return func(yield func(auditLine) bool) {
		lines := bufio.NewScanner(strings.NewReader(log))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line auditLine
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Audit != "" && !yield(line) {
				return
			}
		}
	}
}
