// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/survey"
)

// survey makes a report of which it says nothing whether it is complete.
func (s *stage) survey(t testing.TB) *report.Report {
	t.Helper()
	r, err := survey.Run(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestANamespaceThatIsNotThereIsNoCleanReport(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	s.config.Namespace = "mistyped"
	for _, evaluated := range []bool{false, true} {
		if evaluated {
			s.evaluate(t)
		}
		if r, err := survey.Run(t.Context(), s.config); !errors.Is(err, inventory.ErrNoNamespace) || !strings.Contains(err.Error(), "no namespace mistyped") {
			t.Errorf("evaluated %v: %+v, %v", evaluated, r, err)
		}
	}
}

func TestACallerWhoMayNotReadNamespacesIsTold(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	s.audited(t, "deny", now, 0)
	s.Forbid("get", "namespaces")
	s.config.Namespace = "shop"
	if r := s.survey(t); !r.Complete || !noticed(r, "may not get namespaces: allow the verb get on namespaces of the core API group; whether there is a namespace shop is not known") {
		t.Errorf("from the status: complete %v, %q", r.Complete, r.Notices)
	}
	s.evaluate(t)
	if r := s.survey(t); r.Complete || !noticed(r, "a namespaceSelector may select others") {
		t.Errorf("evaluated: complete %v, %q", r.Complete, r.Notices)
	}
}

func TestAnAuditThatNeverRanIsNoCleanReport(t *testing.T) {
	s := newStage(t)
	s.constrain(t, "deny", "")
	if r := s.survey(t); r.Complete || !noticed(r, "so nothing is known of it") {
		t.Errorf("complete %v, %q", r.Complete, r.Notices)
	}
}

func TestAClusterWithoutAConstraintIsNotReady(t *testing.T) {
	s := newStage(t, "signed")
	s.Put(s.object(t, pod("shop", "a", "", ref("signed"))))
	s.evaluate(t)
	s.config.Readiness = true
	if r, err := survey.Run(t.Context(), s.config); err == nil || !strings.Contains(err.Error(), "it has no constraint of kind") {
		t.Errorf("%+v, %v", r, err)
	}
}
