// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package findings

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Formats are the names that [Write] knows, the default first.
func Formats() []string { return []string{"table", "json", "yaml", "junit", "sarif"} }

// Write writes a document in one of the [Formats].
func Write(w io.Writer, format string, d *Document) error {
	if d.Findings == nil {
		d.Findings = []Finding{}
	}
	switch format {
	case "table":
		return table(w, d)
	case "json":
		return JSON(w, d)
	case "yaml":
		return YAML(w, d)
	case "junit":
		return JUnit(w, d.Generator, d.testSuites())
	case "sarif":
		return SARIF(w, d.log())
	default:
		return fmt.Errorf("there is no format %q: choose one of %s", format, strings.Join(Formats(), ", "))
	}
}

// JSON writes a value as JSON that a person can read too.
func JSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// YAML writes the same fields as [JSON].
func YAML(w io.Writer, value any) error {
	out, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// testSuites has a suite for what was asked, one for each of gator's, and one for
// what could not be read, so that no CI system shows less as all.
func (d *Document) testSuites() []TestSuite {
	main := TestSuite{Name: "images"}
	for _, f := range d.Findings {
		main.Cases = append(main.Cases, f.testCase())
	}
	for _, c := range d.UnmatchedConstraints {
		main.Cases = append(main.Cases, TestCase{ClassName: "constraints", Name: c, Skipped: "it matches none of the objects"})
	}
	all := []TestSuite{main}
	for _, s := range d.Suites {
		suite := TestSuite{Name: s.File}
		if s.Error != "" {
			suite.Cases = append(suite.Cases, TestCase{ClassName: s.File, Name: "suite", File: s.File, Error: &Problem{Message: s.Error}})
		}
		for _, c := range s.Cases {
			tc := TestCase{ClassName: c.Test, Name: cmp.Or(c.Case, c.Test), File: s.File}
			if c.Error != "" {
				tc.Failure = &Problem{Message: c.Error}
			} else if c.Skipped {
				tc.Skipped = "the suite says so"
			}
			suite.Cases = append(suite.Cases, tc)
		}
		all = append(all, suite)
	}
	if !d.Complete {
		suite := TestSuite{Name: "run"}
		for _, e := range d.Errors {
			suite.Cases = append(suite.Cases, TestCase{ClassName: "run", Name: "complete", Error: &Problem{Message: e}})
		}
		all = append(all, suite)
	}
	return all
}

func (f Finding) testCase() TestCase {
	p := f.place()
	c := TestCase{ClassName: "image", Name: f.Image, File: p.File}
	if f.Decision != "" {
		c.ClassName, c.Name = p.String(), strings.TrimSpace(p.container()+" "+f.Image)
		c.Name = cmp.Or(c.Name, p.object())
	}
	problem := &Problem{Type: f.Code, Message: f.text(), Text: f.details()}
	switch f.Outcome() {
	case Failed:
		c.Failure = problem
	case Unknown:
		c.Error = problem
	case Passed, Warned:
		if f.Unmatched {
			c.Skipped = "no constraint matches this object"
		}
	}
	return c
}

// text says what was found in one sentence.
func (f Finding) text() string {
	text := f.Reason
	if f.Code != "" && !strings.HasPrefix(text, "["+f.Code+"]") {
		text = f.Code + ": " + text
	}
	if f.Expected != "" && f.Expected != f.Got {
		text = strings.TrimSpace("expected " + f.Expected + ", got " + f.Got + ". " + text)
	}
	return text
}

func (f Finding) details() string {
	if f.Constraint == "" {
		return ""
	}
	return "constraint " + f.Constraint
}

// log gives a result for each place of what did not pass.
func (d *Document) log() Log {
	program, version, _ := strings.Cut(d.Generator, " ")
	log := Log{Tool: program, Version: version, Notices: d.Errors, Complete: d.Complete}
	rules := map[string]Rule{}
	add := func(code, text string, r Result) {
		code = cmp.Or(code, "UNEXPECTED")
		rules[code] = Rule{ID: code, Text: text}
		r.Rule = code
		log.Results = append(log.Results, r)
	}
	for _, f := range d.Findings {
		level := LevelError
		switch f.Outcome() {
		case Passed:
			continue
		case Warned:
			level = LevelWarning
		case Failed, Unknown:
		}
		places := f.Places
		if len(places) == 0 {
			places = []Place{{}}
		}
		for _, p := range places {
			r := Result{Level: level, File: p.File, Line: p.Line, Logical: f.Image}
			if r.File == "-" {
				r.File, r.Line = "", 0
			}
			r.Text = f.text()
			if p.Kind != "" {
				r.Logical = p.String()
				r.Fingerprint = strings.Join([]string{p.String(), p.List, p.Container, f.Image, f.Constraint}, " ")
			}
			if f.Decision == "" {
				r.Text = printable.ShortImage(f.Image) + ": " + r.Text
			}
			add(f.Code, Meaning(f.Code), r)
		}
	}
	for _, s := range d.Suites {
		for _, c := range s.Cases {
			if c.Error != "" {
				add("SUITE_CASE_FAILED", "A case of a gator suite did not end as it asserts.",
					Result{Level: LevelError, File: s.File, Logical: c.Test + "/" + c.Case, Text: c.Test + ": " + c.Case + ": " + c.Error})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		log.Rules = append(log.Rules, rules[id])
	}
	return log
}

// Meaning says what a code means, or a class where there is no code, away from any
// image. What only a policy says has no more than its name.
func Meaning(code string) string {
	switch c := verify.Code(code); {
	case c.Sentence() != "":
		return c.Sentence()
	case c == verify.Unavailable, code == string(verify.ClassUnavailable):
		return "Endor Labs could not be asked about the image, so nobody knows whether it is signed; try again."
	case c == verify.Misconfigured, code == string(verify.ClassMisconfigured):
		return "Endor Labs does not answer until credentials, namespace or address are corrected, so nobody knows whether the image is signed."
	case code == "":
		return "The object did not end as it was expected to."
	default:
		return "A constraint refuses the object."
	}
}
