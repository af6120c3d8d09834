// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package gatekeeper

import (
	"bytes"
	"encoding/json"
	"io"
)

// logLine is a line of the audit's log, as far as it matters.
type logLine struct {
	Message   string         `json:"msg"`
	Semantic  bool           `json:"semantic"`
	EventType string         `json:"event_type"`
	AuditID   string         `json:"audit_id"`
	Details   map[string]any `json:"details"`

	ConstraintKind   string `json:"constraint_kind"`
	ConstraintName   string `json:"constraint_name"`
	ConstraintAction string `json:"constraint_action"`

	ResourceGroup     string `json:"resource_group"`
	ResourceKind      string `json:"resource_kind"`
	ResourceNamespace string `json:"resource_namespace"`
	ResourceName      string `json:"resource_name"`
}

// ReadLog reads the log of Gatekeeper's audit, in JSON as it writes it. Lines
// that are about something else are passed over.
func ReadLog(r io.Reader) (Audits, error) {
	c := newCollector()
	tooLong, err := lines(r, c.logLine)
	c.skipped += tooLong
	return c.audits(), err
}

func (c *collector) logLine(raw []byte) {
	c.lines++
	// Most lines are of others, and decoding them all would take longest.
	if !bytes.Contains(raw, []byte(`"audit_id"`)) {
		return
	}
	var line logLine
	if err := json.Unmarshal(raw, &line); err != nil {
		c.skipped++
		return
	}
	if !line.Semantic {
		return
	}
	ok := true
	switch line.EventType {
	case "audit_started":
		_, ok = c.begin(line.AuditID)
	case "audit_finished":
		_, ok = c.begin(line.AuditID)
		c.finished[line.AuditID] = ok
	case "violation_audited":
		v := Violation{
			ConstraintKind: line.ConstraintKind, ConstraintName: line.ConstraintName, EnforcementAction: line.ConstraintAction,
			Group: line.ResourceGroup, Kind: line.ResourceKind, Namespace: line.ResourceNamespace, Name: line.ResourceName,
			Message: line.Message,
		}
		v.explain(line.Details)
		ok = c.add(line.AuditID, v)
	}
	if !ok {
		c.skipped++
	}
}
