// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package findings

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

func table(w io.Writer, d *Document) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if d.Schema == VerifySchema {
		d.verifyTable(tw)
	} else if len(d.Findings) > 0 {
		d.testTable(tw)
	}
	if len(d.Suites) > 0 {
		d.suiteTable(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if !d.Complete {
		_, err := fmt.Fprintln(w, "INCOMPLETE: something is missing above, or was not asked; the errors say what.")
		return err
	}
	return nil
}

func (d *Document) verifyTable(w io.Writer) {
	fmt.Fprintln(w, "IMAGE\tVERDICT\tSIGNER\tSIGNED AT\tIN\tREASON")
	for _, f := range d.Findings {
		in := ""
		if len(f.Places) > 0 {
			in = f.Places[0].object()
		}
		if more := len(f.Places) - 1; more > 0 {
			in += fmt.Sprintf(" and %d more", more)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable.Visible(printable.ShortImage(f.Image)), f.Code,
			printable.Visible(signer(f.Signer)), at(f.SignedAt), printable.Visible(in), printable.Visible(f.Reason))
	}
}

func (d *Document) testTable(w io.Writer) {
	fmt.Fprintln(w, "OBJECT\tCONTAINER\tIMAGE\tDECISION\tREASON")
	for _, f := range d.Findings {
		reason := f.Reason
		if f.Unmatched {
			reason = cmp.Or(reason, "no constraint matches this object")
		}
		if f.Expected != "" && f.Expected != f.Got {
			reason = strings.TrimSpace("EXPECTED " + f.Expected + ". " + reason)
		}
		p := f.place()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable.Visible(p.object()), printable.Visible(p.container()),
			printable.Visible(printable.ShortImage(f.Image)), f.Decision, printable.Visible(reason))
	}
}

func (d *Document) suiteTable(w io.Writer) {
	if len(d.Findings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "SUITE\tTEST\tCASE\tRESULT\tREASON")
	for _, s := range d.Suites {
		if s.Error != "" {
			fmt.Fprintf(w, "%s\t-\t-\terror\t%s\n", printable.Visible(s.File), printable.Visible(s.Error))
		}
		for _, c := range s.Cases {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable.Visible(s.File), printable.Visible(c.Test), printable.Visible(c.Case),
				c.result(), printable.Visible(c.Error))
		}
	}
}

func (c SuiteCase) result() string {
	switch {
	case c.Error != "":
		return "failed"
	case c.Skipped:
		return "skipped"
	default:
		return "passed"
	}
}

// place is where a finding of test stands.
func (f Finding) place() Place {
	if len(f.Places) == 0 {
		return Place{}
	}
	return f.Places[0]
}

// String is the object by all its names.
func (p Place) String() string {
	if p.Namespace == "" {
		return p.object()
	}
	return p.Namespace + "/" + p.object()
}

func (p Place) object() string { return p.Kind + "/" + p.Name }

var lists = map[string]string{"initContainers": " (init)", "ephemeralContainers": " (ephemeral)", "volumes": " (volume)"}

func (p Place) container() string { return p.Container + lists[p.List] }

// signer is the shortest that tells who signed.
func signer(c question.Claims) string {
	who := cmp.Or(c.SourceRepository, c.CertificateIdentity, c.SourceRepositoryOwner, c.CertificateOIDCIssuer)
	if c.SourceRepository != "" && c.SourceRepositoryRef != "" {
		who += " " + c.SourceRepositoryRef
	}
	return who
}

func at(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
