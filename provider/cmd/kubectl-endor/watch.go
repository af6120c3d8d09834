// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/survey"
)

// watchChanges prints what changes, until ctx ends.
func (o *reportOptions) watchChanges(ctx context.Context, cmd *cobra.Command, cfg survey.Config) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	complain := func(r *report.Report) {
		for _, n := range r.Notices {
			if n.Level == report.LevelError {
				fmt.Fprintf(stderr, "%s: %s\n", program, printable.Visible(n.Text))
			}
		}
	}
	var failed error
	err := report.Watch(ctx, o.interval, func(ctx context.Context) (*report.Report, error) { return o.survey(ctx, cmd, cfg) },
		func(r *report.Report) {
			complain(r)
			t := r.Totals()
			fmt.Fprintf(stderr, "Watching %s, of which %d are verified and %d refused; asking every %s. Interrupt to end.\n", printable.Count(t.Images, "image"), t.Verified, t.Rejected, o.interval)
		},
		func(r *report.Report) {
			complain(r)
			if failed == nil {
				failed = o.tellChanges(stdout, r)
			}
		},
		func(err error) { fmt.Fprintf(stderr, "%s: %v\n", program, err) })
	if err != nil {
		return err
	}
	return failed
}

// change is one change of one image.
type change struct {
	At     time.Time `json:"at"`
	Change string    `json:"change"`
	report.ImageChange
	Workloads []string `json:"workloads,omitempty"` // namespace/kind/name
}

// tellChanges prints a line for each change, the worst first.
func (o *reportOptions) tellChanges(w io.Writer, r *report.Report) error {
	for _, c := range changesOf(r) {
		if o.format == "json" {
			if err := json.NewEncoder(w).Encode(c); err != nil {
				return err
			}
			continue
		}
		line := fmt.Sprintf("%s  %-13s  %s", c.At.Format(time.RFC3339), c.Change, printable.Visible(c.Image))
		for _, code := range []struct{ label, code string }{{"was", c.Before}, {"is", c.Now}} {
			if code.code != "" {
				line += fmt.Sprintf("  %s %s", code.label, printable.Visible(code.code))
			}
		}
		if len(c.Workloads) > 0 {
			line += "  in " + few(c.Workloads)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func changesOf(r *report.Report) []change {
	workloads := map[string][]string{}
	for _, i := range r.Images {
		for _, p := range i.Places {
			name := p.Workload()
			if !slices.Contains(workloads[i.Image], name) {
				workloads[i.Image] = append(workloads[i.Image], name)
			}
		}
	}
	var list []change
	for _, of := range []struct {
		what    string
		changes []report.ImageChange
	}{
		{"newly revoked", r.Changes.NewlyRevoked}, {"newly refused", r.Changes.NewlyRefused}, {"newly signed", r.Changes.NewlySigned},
		{"new", r.Changes.New}, {"gone", r.Changes.Gone},
	} {
		for _, c := range of.changes {
			list = append(list, change{At: r.GeneratedAt, Change: of.what, ImageChange: c, Workloads: workloads[c.Image]})
		}
	}
	return list
}
