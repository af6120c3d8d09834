// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package findings

import (
	"encoding/xml"
	"io"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

// TestSuite is one testsuite of JUnit's XML.
type TestSuite struct {
	Name  string
	Cases []TestCase
}

// TestCase is one testcase: it passed unless one of Failure, Error and Skipped
// says otherwise. A failure is an answer that is no; an error is none.
type TestCase struct {
	ClassName, Name string
	File            string // where what was tested stands, if in a file

	Failure, Error *Problem
	Skipped        string // why; empty means that it was not skipped
}

// Problem is why a test case did not pass.
type Problem struct {
	Type    string // a code
	Message string // one line
	Text    string // more, if there is more to say
}

// JUnit writes suites as JUnit's XML, as CI systems read it. Text of others is
// escaped as everywhere; what XML cannot hold is not there.
func JUnit(w io.Writer, name string, suites []TestSuite) error {
	root := xmlSuites{Name: printable.Visible(name)}
	for _, suite := range suites {
		s := xmlSuite{Name: printable.Visible(suite.Name)}
		for _, c := range suite.Cases {
			s.add(c)
		}
		root.Tests += s.Tests
		root.Failures += s.Failures
		root.Errors += s.Errors
		root.Skipped += s.Skipped
		root.Suites = append(root.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(root); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type xmlCounts struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
}

type xmlSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	Name    string   `xml:"name,attr"`
	xmlCounts
	Suites []xmlSuite `xml:"testsuite"`
}

type xmlSuite struct {
	Name string `xml:"name,attr"`
	xmlCounts
	Cases []xmlCase `xml:"testcase"`
}

type xmlCase struct {
	ClassName string      `xml:"classname,attr"`
	Name      string      `xml:"name,attr"`
	File      string      `xml:"file,attr,omitempty"`
	Failure   *xmlProblem `xml:"failure"`
	Error     *xmlProblem `xml:"error"`
	Skipped   *xmlProblem `xml:"skipped"`
}

type xmlProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

func (s *xmlSuite) add(c TestCase) {
	s.Tests++
	out := xmlCase{
		ClassName: printable.Visible(c.ClassName), Name: printable.Visible(c.Name),
		Failure: problem(c.Failure), Error: problem(c.Error),
	}
	if c.File != "" {
		out.File = printable.Visible(c.File)
	}
	switch {
	case c.Error != nil:
		s.Errors++
	case c.Failure != nil:
		s.Failures++
	case c.Skipped != "":
		s.Skipped++
		out.Skipped = &xmlProblem{Message: printable.Visible(c.Skipped)}
	}
	s.Cases = append(s.Cases, out)
}

func problem(p *Problem) *xmlProblem {
	if p == nil {
		return nil
	}
	out := &xmlProblem{Type: p.Type, Message: printable.Visible(p.Message)}
	if p.Text != "" {
		out.Text = printable.Visible(p.Text)
	}
	return out
}
