// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package gatekeeper

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Status is what the audit wrote into the status of a constraint.
type Status struct {
	AuditedAt time.Time // zero if it never did
	Total     int       // violations that it counted

	// Violations are those that it kept: the first by name, at most
	// --constraint-violations-limit, which is 20 by default.
	Violations []Violation
}

// ReadStatus reads the status of a constraint.
func ReadStatus(constraint *unstructured.Unstructured) (Status, error) {
	var c struct {
		Status struct {
			AuditTimestamp  string `json:"auditTimestamp"`
			TotalViolations int64  `json:"totalViolations"`
			Violations      []struct {
				Group             string `json:"group"`
				Kind              string `json:"kind"`
				Namespace         string `json:"namespace"`
				Name              string `json:"name"`
				Message           string `json:"message"`
				EnforcementAction string `json:"enforcementAction"`
			} `json:"violations"`
		} `json:"status"`
	}
	status := map[string]any{"status": constraint.Object["status"]}
	if status["status"] == nil {
		return Status{}, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &c); err != nil {
		return Status{}, fmt.Errorf("status of %s/%s: %w", constraint.GetKind(), constraint.GetName(), err)
	}
	s := Status{Total: int(c.Status.TotalViolations)}
	if text := c.Status.AuditTimestamp; text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return Status{}, fmt.Errorf("status of %s/%s: auditTimestamp: %w", constraint.GetKind(), constraint.GetName(), err)
		}
		s.AuditedAt = at
	}
	for _, found := range c.Status.Violations {
		v := Violation{
			ConstraintKind: constraint.GetKind(), ConstraintName: constraint.GetName(),
			Group: found.Group, Kind: found.Kind, Namespace: found.Namespace, Name: found.Name,
			EnforcementAction: found.EnforcementAction, Message: found.Message,
		}
		v.explain(nil)
		s.Violations = append(s.Violations, v)
	}
	return s, nil
}
