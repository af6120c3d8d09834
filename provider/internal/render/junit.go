// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"io"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// writeJUnit has a test case for each image, for the report being complete and,
// where readiness was asked for, for each namespace.
func writeJUnit(w io.Writer, r *report.Report, _ Options) error {
	suites := []findings.TestSuite{{Name: "report", Cases: []findings.TestCase{completeCase(r)}}}
	images := findings.TestSuite{Name: "images"}
	for _, i := range r.Images {
		images.Cases = append(images.Cases, imageCase(i))
	}
	suites = append(suites, images)
	if r.Readiness != nil {
		readiness := findings.TestSuite{Name: "readiness"}
		for _, n := range r.Readiness.Namespaces {
			readiness.Cases = append(readiness.Cases, readyCase(n))
		}
		suites = append(suites, readiness)
	}
	return findings.JUnit(w, program(r), suites)
}

func completeCase(r *report.Report) findings.TestCase {
	c := findings.TestCase{ClassName: "report", Name: "everything could be read"}
	if !r.Complete {
		c.Error = &findings.Problem{Type: "INCOMPLETE", Message: incomplete, Text: strings.Join(errorsOf(r), " ")}
	}
	return c
}

// errorsOf are the notices that say what is missing.
func errorsOf(r *report.Report) []string {
	var texts []string
	for _, n := range r.Notices {
		if n.Level == report.LevelError {
			texts = append(texts, n.Text)
		}
	}
	return texts
}

func imageCase(i report.Image) findings.TestCase {
	c := findings.TestCase{ClassName: cmp.Or(strings.Join(namespaces(i), ","), "cluster"), Name: i.Image}
	problem := &findings.Problem{
		Type: verdict(i), Message: cmp.Or(i.Reason, verdict(i)),
		Text: "next rollout: " + cmp.Or(string(i.NextRollout), "unknown") + "; used by " + cmp.Or(strings.Join(workloads(i), ", "), "no known workload"),
	}
	switch i.Class {
	case verify.ClassVerified:
	case verify.ClassUnavailable, verify.ClassMisconfigured:
		c.Error = problem
	case report.Unchecked:
		c.Skipped = "no constraint asks about this image"
	case verify.ClassRejected:
		c.Failure = problem
	default:
		c.Failure = problem
	}
	return c
}

func readyCase(n report.NamespaceReady) findings.TestCase {
	c := findings.TestCase{ClassName: "readiness", Name: n.Name}
	switch {
	case n.Ready:
	case len(n.Failing) > 0:
		c.Failure = &findings.Problem{Type: "NOT_READY", Message: printable.Count(len(n.Failing), "workload") + " would be refused", Text: strings.Join(n.Failing, ", ")}
	default:
		c.Error = &findings.Problem{Type: "UNKNOWN", Message: "whether " + printable.Count(len(n.Unknown), "workload") + " would be refused is not known", Text: strings.Join(n.Unknown, ", ")}
	}
	return c
}
