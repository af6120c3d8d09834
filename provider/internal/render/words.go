// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const incomplete = "INCOMPLETE: something that belongs in this report is missing from it."

// headline is the answer in a sentence. A report that is not complete knows
// only a lower bound, and so does one that could not find out about an image
// which nothing refuses until it is known.
func headline(r *report.Report) string {
	refused, open := 0, 0
	for _, i := range r.Images {
		switch {
		case i.NextRollout == report.Denied:
			refused++
		case i.Class == verify.ClassUnavailable || i.Class == verify.ClassMisconfigured:
			open++
		}
	}
	least := ""
	if !r.Complete || open > 0 {
		least = "At least "
	}
	switch {
	case len(r.Images) == 0 && r.Complete:
		return "There are no images."
	case len(r.Images) == 0:
		return "No images could be read."
	case refused == 0 && !r.Complete:
		return fmt.Sprintf("None of the %s that could be read would be refused at the next rollout.", printable.Count(len(r.Images), "image"))
	case refused == 0 && open > 0:
		return fmt.Sprintf("Of %s none is known to be refused at the next rollout, and %d could not be judged.", printable.Count(len(r.Images), "image"), open)
	case refused == 0:
		return fmt.Sprintf("None of %s would be refused at the next rollout.", printable.Count(len(r.Images), "image"))
	case len(r.Images) == 1:
		return least + "1 of 1 image would be refused at its next rollout."
	case refused == 1:
		return least + fmt.Sprintf("1 of %d images would be refused at its next rollout.", len(r.Images))
	default:
		return least + fmt.Sprintf("%d of %d images would be refused at their next rollout.", refused, len(r.Images))
	}
}

// breakdown says how many images are of which class, leaving out none.
func breakdown(t report.Totals) string {
	var parts []string
	for _, c := range slices.Backward(classes) {
		if n := ofClass(t, c); n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+string(c))
		}
	}
	return strings.Join(parts, ", ")
}

// openQuestion says how many images nobody could judge; empty if none.
func openQuestion(t report.Totals) string {
	n := t.Unavailable + t.Misconfigured
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("Whether %s signed could not be found out.", isAre(n, "image"))
}

func ofClass(t report.Totals, class verify.Class) int {
	switch class {
	case verify.ClassVerified:
		return t.Verified
	case verify.ClassRejected:
		return t.Rejected
	case verify.ClassUnavailable:
		return t.Unavailable
	case verify.ClassMisconfigured:
		return t.Misconfigured
	case report.Unchecked:
		return t.Unchecked
	default:
		return 0
	}
}

// about says what the report is of, and by whom and when it was made.
func about(r *report.Report) string {
	of := ""
	if r.Cluster != "" {
		of = "Cluster " + printable.Visible(r.Cluster) + ". "
	}
	return of + "Made by " + printable.Visible(r.Generator) + " at " + at(r.GeneratedAt) + "."
}

func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// atOrNever is a dash where there is no time.
func atOrNever(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return at(*t)
}

func isAre(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return printable.Count(n, noun) + " are"
}

// known is a number, or a dash for -1, which stands for nobody counted.
func known(n int) string {
	if n < 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// verdict is the code, or the class where there is none.
func verdict(i report.Image) string { return cmp.Or(i.Code, string(i.Class)) }

// signer is who signed as people look for it.
func signer(i report.Image) string {
	return cmp.Or(i.Signer.CertificateIdentity, i.Signer.SourceRepository, i.Signer.CertificateOIDCIssuer)
}

// some lists at most limit of the names, and counts the others.
func some(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:limit], ", ") + " +" + strconv.Itoa(len(names)-limit)
}

// namespaces of an image, each once, sorted.
func namespaces(i report.Image) []string {
	var names []string
	for _, p := range i.Places {
		if p.Namespace != "" {
			names = append(names, p.Namespace)
		}
	}
	return unique(names)
}

// workloads of an image as namespace/Kind/name, each once, sorted.
func workloads(i report.Image) []string {
	var names []string
	for _, p := range i.Places {
		names = append(names, p.Workload())
	}
	return unique(names)
}

// owners of an image as label=value, each once, sorted.
func owners(i report.Image) []string {
	var labels []string
	for _, p := range i.Places {
		for k, v := range p.Owner {
			labels = append(labels, k+"="+v)
		}
	}
	return unique(labels)
}

// constraints that refuse an image, each with what it does about it.
func constraints(i report.Image) []string {
	var names []string
	for _, r := range i.Refusals {
		names = append(names, r.Constraint+" ("+r.EnforcementAction+")")
	}
	return unique(names)
}

// running are digests that run in place of the one that is written.
func running(i report.Image) []string {
	var digests []string
	for _, d := range i.Running {
		digests = append(digests, d.Digest+" ("+printable.Count(d.Pods, "pod")+")")
	}
	return digests
}

func sources(list []report.Source) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
