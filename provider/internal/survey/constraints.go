// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	gatekeepermatch "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/match"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/gatekeeper"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// constraint is a constraint, what it selects, and what was found of it.
type constraint struct {
	report.Constraint
	object *unstructured.Unstructured
	match  gatekeepermatch.Match
	status gatekeeper.Status

	ours      bool // of the shipped policy
	evaluated bool
	scoped    bool // has actions of its own for webhook and audit
	chosen    bool // asked about by --readiness
	open      bool // audit found what could not be asked about again

	// auditable counts the violations of objects that Gatekeeper's audit does
	// not pass over.
	auditable int
}

func (c *constraint) name() string { return c.String() }

// readConstraints reads the constraints and what audit wrote into them.
func (s *survey) readConstraints(ctx context.Context) error {
	kind := evaluated
	if s.AllConstraints {
		kind = ""
	}
	objects, err := s.Cluster.Constraints(ctx, kind)
	switch {
	case errors.Is(err, inventory.ErrNoConstraints):
		s.note(report.LevelWarning, "no image is checked in this cluster: %v", err)
	case err != nil && len(objects) == 0:
		return err
	case err != nil:
		s.unread(ctx, err, "what these constraints refuse is not in it")
	}
	for _, object := range objects {
		s.constraints = append(s.constraints, s.newConstraint(object))
	}
	slices.SortFunc(s.constraints, func(a, b *constraint) int { return strings.Compare(a.name(), b.name()) })
	return s.choose()
}

func (s *survey) newConstraint(object *unstructured.Unstructured) *constraint {
	c := &constraint{object: object, ours: object.GetKind() == evaluated}
	c.Kind, c.Name = object.GetKind(), object.GetName()
	c.Violations, c.Matched = -1, -1
	c.EnforcementAction, _, _ = unstructured.NestedString(object.Object, "spec", "enforcementAction")
	if c.EnforcementAction == "" {
		c.EnforcementAction = "deny"
	}
	c.scoped = c.EnforcementAction == "scoped"
	if match, ok, _ := unstructured.NestedMap(object.Object, "spec", "match"); ok {
		// A match that cannot be read is refused by the engine, which says so.
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(match, &c.match)
	}
	if c.ours {
		c.FailOn, _, _ = unstructured.NestedStringSlice(object.Object, "spec", "parameters", "failOn")
		if len(c.FailOn) == 0 {
			c.FailOn = []string{"rejected", "unavailable", "misconfigured"}
		}
	}
	status, err := gatekeeper.ReadStatus(object)
	if err != nil {
		s.note(report.LevelWarning, "%v; what the audit found is not taken into account", err)
	}
	c.status = status
	c.AuditViolations, c.AuditListed = status.Total, len(status.Violations)
	if !status.AuditedAt.IsZero() {
		at := status.AuditedAt
		c.AuditedAt = &at
	}
	return c
}

// choose marks the constraints that --readiness asks about.
func (s *survey) choose() error {
	if !s.Readiness {
		return nil
	}
	for _, c := range s.constraints {
		c.chosen = c.ours && len(s.Constraints) == 0
	}
	if len(s.Constraints) == 0 && s.report.Complete && !slices.ContainsFunc(s.constraints, func(c *constraint) bool { return c.chosen }) {
		return fmt.Errorf("whether the cluster is ready cannot be said: it has no constraint of kind %s; apply one with enforcementAction dryrun", evaluated)
	}
	for _, name := range s.Constraints {
		i := slices.IndexFunc(s.constraints, func(c *constraint) bool { return c.ours && (c.Name == name || c.name() == name) })
		if i < 0 {
			return fmt.Errorf("the cluster has no constraint %s of kind %s", name, evaluated)
		}
		s.constraints[i].chosen = true
	}
	return nil
}

// providerName is what the policy takes for the name of a provider.
var providerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// redirected is the constraint with the provider of this evaluation. What is no
// name stays as it is, for the policy to refuse.
func (s *survey) redirected(c *constraint) *unstructured.Unstructured {
	name, ok, err := unstructured.NestedString(c.object.Object, "spec", "parameters", "provider")
	if !ok || err != nil || !providerName.MatchString(name) || name == s.Evaluation.Provider {
		return c.object
	}
	s.note(report.LevelInfo, "%s asks the provider %s; what it refuses was found with the settings of this program", c.name(), name)
	object := c.object.DeepCopy()
	if err := unstructured.SetNestedField(object.Object, s.Evaluation.Provider, "spec", "parameters", "provider"); err != nil {
		return c.object
	}
	return object
}

func shippedTemplate() (*unstructured.Unstructured, error) {
	template := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(policies.Template, &template.Object); err != nil {
		return nil, fmt.Errorf("the shipped template: %w", err)
	}
	return template, nil
}

// versionAnnotation on a template is the version of its policy.
const versionAnnotation = "metadata.gatekeeper.sh/version"

// compareTemplate says whether the cluster's template is another than the one
// that is evaluated here.
func (s *survey) compareTemplate(ctx context.Context) {
	theirs, err := s.Cluster.Template(ctx, evaluated)
	if err != nil {
		if ctx.Err() == nil {
			s.note(report.LevelWarning, "%v; whether the cluster's template is the one that was evaluated here is not known", err)
		}
		return
	}
	ours, err := shippedTemplate()
	if err != nil || theirs == nil {
		return // there are no constraints then, and that is said
	}
	a, b := theirs.GetAnnotations()[versionAnnotation], ours.GetAnnotations()[versionAnnotation]
	switch {
	case a != b:
		s.note(report.LevelWarning, "the cluster's template is version %q and this program's %q, which is what was evaluated; use the kubectl-endor of the cluster's release", a, b)
	case !bytes.Equal(targetsOf(theirs), targetsOf(ours)):
		s.note(report.LevelWarning, "the Rego of the cluster's template is not that of version %s, which is what was evaluated; apply policies/library, or find out who changed it", b)
	}
}

// targetsOf is the code of a template: its Rego and libraries, in order.
func targetsOf(template *unstructured.Unstructured) []byte {
	targets, _, _ := unstructured.NestedFieldNoCopy(template.Object, "spec", "targets")
	text, err := yaml.Marshal(targets)
	if err != nil {
		return nil
	}
	return text
}
