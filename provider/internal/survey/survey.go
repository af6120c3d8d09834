// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package survey makes a report of the images of a cluster: it reads what runs,
// has the policy judge each of it as Gatekeeper would, and lays beside it what
// Gatekeeper's audit has found.
//
// Objects are judged page by page and dropped, so that a cluster of any size
// fits. What a constraint and the policy can tell apart is judged once; see
// [judge]. Only the shipped policy is ever evaluated: the Rego of other
// templates is code of whoever may write templates in that cluster.
package survey

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/gatekeeper"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Config configures [Run]. Cluster is required.
type Config struct {
	Cluster *inventory.Cluster

	// Name of the cluster and of the program, for the report.
	Name, Generator string

	// Namespace to look at; empty for all.
	Namespace string

	// GatekeeperNamespace is where Gatekeeper's Config object is; default
	// gatekeeper-system.
	GatekeeperNamespace string

	// AllConstraints takes in constraints of other templates, as far as
	// Gatekeeper's audit has said something of them.
	AllConstraints bool

	// OwnerLabels are the labels that say whose a workload is.
	OwnerLabels []string

	// Evaluation judges what the cluster runs. Without one the report says only
	// what Gatekeeper's audit has found.
	Evaluation *Evaluation

	// Log and Export are audits that were read from files; nil if none.
	Log, Export *gatekeeper.Audits

	// StaleAfter is the age from which on an audit is said to be old; zero
	// means never.
	StaleAfter time.Duration

	// Readiness asks what would be refused if constraints denied: those that
	// are named, or all of the shipped policy if none is.
	Readiness   bool
	Constraints []string

	// Progress is told of objects read, by kind; it may be nil.
	Progress func(kind string, objects int)

	// Now is the time; default time.Now.
	Now func() time.Time
}

// Evaluation is a policy engine and what its provider answers.
type Evaluation struct {
	Engine *engine.Engine

	// Provider is the name by which the engine knows the provider. Whatever
	// constraints call theirs, it is asked.
	Provider string

	// Answers gives what has been answered since the evaluation was opened, by
	// image as it is written.
	Answers func() map[string][]verify.Answer
}

// judges is how many objects are judged at a time. Mostly they wait for Endor.
const judges = 32

// survey is a report in the making.
type survey struct {
	Config
	report *report.Report

	namespaces map[string]*corev1.Namespace
	exclusions inventory.Exclusions
	owners     inventory.Owners

	constraints []*constraint
	judge       *judge
	answers     map[string][]verify.Answer

	images    map[string]*image
	workloads map[workloadKey]*workload
	witnesses map[objectKey]*witness
	unreached map[string]bool // :: kind that could not be read to its end
}

// Run makes a report. If ctx ends, it is what is known by then, marked as
// incomplete, as it is if something may not be read. The error says why there
// is no report at all.
func Run(ctx context.Context, cfg Config) (*report.Report, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.GatekeeperNamespace == "" {
		cfg.GatekeeperNamespace = "gatekeeper-system"
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, int) {}
	}
	s := &survey{
		Config: cfg,
		report: &report.Report{
			Schema: report.Schema, GeneratedAt: cfg.Now().UTC(), Generator: cfg.Generator, Cluster: cfg.Name, Complete: true,
		},
		images: map[string]*image{}, workloads: map[workloadKey]*workload{}, witnesses: map[objectKey]*witness{}, unreached: map[string]bool{},
	}
	if err := s.readNamespaces(ctx); err != nil {
		return nil, err
	}
	if err := s.readConstraints(ctx); err != nil {
		return nil, err
	}
	sources := s.sources()
	if cfg.Evaluation != nil {
		closed, err := s.open(ctx)
		if err != nil {
			return nil, err
		}
		defer closed()
		s.expect(sources)
		s.readSettings(ctx)
		s.readObjects(ctx)
		s.answers = s.Evaluation.Answers()
	}
	s.merge(ctx, sources)
	if ctx.Err() != nil {
		s.missing("it was interrupted, so what comes after the objects counted here is not in it; run it to its end")
	}
	s.finish()
	return s.report, nil
}

// open makes the engine ready and gives what undoes it.
func (s *survey) open(ctx context.Context) (closed func(), err error) {
	template, err := shippedTemplate()
	if err != nil {
		return nil, err
	}
	if err := s.Evaluation.Engine.AddTemplate(ctx, template); err != nil {
		return nil, err
	}
	var added []*constraint
	closed = func() {
		for _, c := range added {
			// Its context may be over, and the engine must not keep it.
			_ = s.Evaluation.Engine.RemoveConstraint(context.WithoutCancel(ctx), c.object)
		}
	}
	for _, c := range s.constraints {
		if !c.ours {
			continue
		}
		c.object = s.redirected(c)
		if err := s.Evaluation.Engine.AddConstraint(ctx, c.object); err != nil {
			s.missing("%s cannot be evaluated, so what it refuses is not in it: %v", c.name(), err)
			continue
		}
		added = append(added, c)
		c.evaluated, c.Violations, c.Matched = true, 0, 0
	}
	s.judge = newJudge(s)
	return closed, nil
}

// readNamespaces reads the namespaces, or says that the one to look at is not
// there: a report of a name that is mistyped would be empty, and look clean.
func (s *survey) readNamespaces(ctx context.Context) error {
	if s.Evaluation == nil && s.Namespace == "" {
		return nil // nobody asks about labels
	}
	var err error
	s.namespaces, err = s.Cluster.Namespaces(ctx, s.Namespace)
	switch {
	case errors.Is(err, inventory.ErrNoNamespace):
		return err
	case err != nil && s.Evaluation == nil:
		s.note(report.LevelWarning, "%v; whether there is a namespace %s is not known", err, s.Namespace)
	case err != nil:
		s.unread(ctx, err, "labels of namespaces are taken for absent, so a namespaceSelector may select others")
	}
	return nil
}

// readSettings reads what else decides whom Gatekeeper asks about.
func (s *survey) readSettings(ctx context.Context) {
	var err error
	s.exclusions, err = s.Cluster.Exclusions(ctx, s.GatekeeperNamespace)
	if err != nil {
		s.unread(ctx, err, "namespaces that Gatekeeper leaves out are judged like others")
	}
	s.compareTemplate(ctx)
}

// objectKey names an object as sources do, which do not know its version.
type objectKey struct{ kind, namespace, name string }

func (s *survey) note(level report.Level, format string, args ...any) {
	s.report.Notices = append(s.report.Notices, report.Notice{Level: level, Text: fmt.Sprintf(format, args...)})
}

// missing notes that something is not in the report.
func (s *survey) missing(format string, args ...any) {
	s.report.Complete = false
	s.note(report.LevelError, format, args...)
}

// unread notes what could not be read, unless that is because ctx ended, which
// is said once at the end.
func (s *survey) unread(ctx context.Context, err error, consequence string) {
	s.report.Complete = false
	if ctx.Err() != nil {
		return
	}
	for _, err := range split(err) {
		s.missing("%v; %s", err, consequence)
	}
}

// split takes joined errors apart.
func split(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// evaluated is the kind of constraints that are evaluated.
const evaluated = policies.Kind
