// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// trial is one run of test. What goes wrong with one object or policy is kept,
// and the rest goes on.
type trial struct {
	options *testOptions
	engine  *engine.Engine
	session *session // nil if a provider elsewhere answers
	input   *input

	constraints []manifest.Object // that the engine took
	failed      error
}

func (t *trial) fail(err error) { t.failed = errors.Join(t.failed, err) }

// prepare adds templates and constraints to the engine.
func (t *trial) prepare(ctx context.Context) {
	for _, template := range t.input.templates {
		if err := t.engine.AddTemplate(ctx, template.Unstructured); err != nil {
			t.fail(fmt.Errorf("%s: %w", template.Where(), err))
		}
	}
	for _, c := range t.input.constraints {
		if err := t.engine.AddConstraint(ctx, c.Unstructured); err != nil {
			t.fail(fmt.Errorf("%s: %w", c.Where(), err))
			continue
		}
		t.constraints = append(t.constraints, c)
	}
}

// judge has every object reviewed, one after the other, and says of objects and
// constraints whether they met.
func (t *trial) judge(ctx context.Context, stderr io.Writer, d *findings.Document) {
	matched := make([]bool, len(t.constraints))
	var unmatched []string
	p := newProgress(stderr, len(t.input.objects), "objects")
	defer p.end()
	for _, object := range t.input.objects {
		// As an API server does with what runs images.
		if object.GetNamespace() == "" && podspec.RunsImages(object.Unstructured) {
			object.SetNamespace(t.options.namespace)
		}
		found, err := t.judgeOne(ctx, object)
		if ctx.Err() != nil {
			break // what this one got is no answer
		}
		if err != nil {
			t.fail(fmt.Errorf("%s: %w", object.Where(), err))
		}
		if !t.match(object, matched) {
			unmatched = append(unmatched, placeOf(object, podspec.Image{}).String())
			for i := range found {
				found[i].Unmatched = true
			}
		}
		d.Findings = append(d.Findings, found...)
		p.step()
	}
	if len(unmatched) > 0 {
		d.Notices = append(d.Notices, fmt.Sprintf("No constraint matches %s: %s.", printable.Count(len(unmatched), "object"), few(unmatched)))
	}
	for i, c := range t.constraints {
		if !matched[i] && ctx.Err() == nil {
			d.UnmatchedConstraints = append(d.UnmatchedConstraints, c.GetKind()+"/"+c.GetName())
		}
	}
	if n := len(d.UnmatchedConstraints); n > 0 {
		d.Notices = append(d.Notices, fmt.Sprintf("Nothing is matched by %s: %s.", printable.Count(n, "constraint"), few(d.UnmatchedConstraints)))
	}
}

// match notes which constraints select an object, and says whether one does.
func (t *trial) match(object manifest.Object, matched []bool) bool {
	one := false
	for i, c := range t.constraints {
		ok, err := engine.Matches(c.Unstructured, object.Unstructured, t.input.namespaces[object.GetNamespace()])
		if err != nil {
			t.fail(fmt.Errorf("%s: %w", object.Where(), err))
		}
		matched[i] = matched[i] || ok
		one = one || ok
	}
	return one
}

func (t *trial) judgeOne(ctx context.Context, object manifest.Object) ([]findings.Finding, error) {
	asked := func() []verify.Answer { return nil }
	if t.session != nil {
		asked = t.session.provider.Watch()
	}
	outcome, err := report.Judge(ctx, t.engine, object.Unstructured, t.input.namespaces[object.GetNamespace()])
	answers := asked()
	if err != nil {
		return nil, err
	}
	if t.options.expect {
		outcome.Expect(object.Unstructured)
	}
	list := make([]findings.Finding, len(outcome.Rows))
	for i, row := range outcome.Rows {
		f := findings.Finding{
			Image: row.Image, Code: row.Code, Class: verify.Class(row.Class), Reason: row.Reason,
			Decision: string(row.Decision), Constraint: row.Constraint, Expected: outcome.Expected, Got: outcome.Got,
			Places: []findings.Place{placeOf(object, podspec.Image{List: row.List, Name: row.Container})},
		}
		addAnswers(&f, answers)
		list[i] = f
	}
	return list, nil
}

// addAnswers adds to a finding what the provider said of its image: who signed,
// or, where no constraint minds, that nobody knows.
func addAnswers(f *findings.Finding, answers []verify.Answer) {
	for _, a := range answers {
		if localprovider.ImageOf(a.Key) != f.Image {
			continue
		}
		said := findingOf(f.Image, a)
		f.Digest = said.Digest
		switch {
		case f.Code != "" && f.Code != said.Code:
			// A constraint said more than the provider.
		case said.Outcome() == findings.Unknown, f.Code == "" && a.Verdict.Verified():
			f.Code, f.Class = said.Code, said.Class
			if f.Reason == "" {
				f.Reason = said.Reason
			}
			f.Signer, f.SignedAt = said.Signer, said.SignedAt
		case f.Code == said.Code:
			f.Signer, f.SignedAt = said.Signer, said.SignedAt
		}
	}
}

// runSuites runs gator's suites with the same provider.
func (t *trial) runSuites(ctx context.Context, d *findings.Document) {
	for _, file := range t.input.suites {
		if ctx.Err() != nil {
			return
		}
		asked := func() []verify.Answer { return nil }
		if t.session != nil {
			asked = t.session.provider.Watch()
		}
		suite, err := t.runSuite(ctx, file)
		answers := asked()
		if err != nil {
			t.fail(fmt.Errorf("%s: %w", file, err))
			continue
		}
		failed := slices.ContainsFunc(suite.Cases, func(c findings.SuiteCase) bool { return c.Error != "" })
		if failed && slices.ContainsFunc(answers, func(a verify.Answer) bool { return a.Undecided != nil }) {
			// Whether the policy is wrong or nobody could be asked, nobody knows.
			suite.Error = "cases failed while Endor Labs could not be asked about every image"
		}
		d.Suites = append(d.Suites, suite)
	}
}

func (t *trial) runSuite(ctx context.Context, file string) (findings.Suite, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return findings.Suite{}, err
	}
	root := filepath.VolumeName(path) + string(filepath.Separator)
	results, err := t.engine.RunSuites(ctx, os.DirFS(root), filepath.ToSlash(strings.TrimPrefix(path, root)))
	if err != nil {
		return findings.Suite{}, err
	}
	suite := findings.Suite{File: file}
	for _, r := range results {
		if r.Err != nil {
			suite.Error = r.Err.Error()
		}
		for _, c := range r.Cases {
			sc := findings.SuiteCase{Test: c.Test, Case: c.Case, Skipped: c.Skipped}
			if c.Err != nil {
				sc.Error = c.Err.Error()
			}
			suite.Cases = append(suite.Cases, sc)
		}
	}
	return suite, nil
}
