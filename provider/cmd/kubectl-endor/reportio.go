// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/gatekeeper"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/render"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/wholefile"
)

// audits reads what --from-log and --from-export name.
func (o *reportOptions) audits(ctx context.Context, stdin io.Reader) (log, export *gatekeeper.Audits, err error) {
	if o.fromLog != "" {
		in := io.Reader(interruptible{ctx: ctx, next: stdin})
		if o.fromLog != "-" {
			f, err := os.Open(o.fromLog)
			if err != nil {
				return nil, nil, fmt.Errorf("--from-log: %w", err)
			}
			defer f.Close()
			in = f
		}
		read, err := gatekeeper.ReadLog(in)
		if err != nil {
			return nil, nil, fmt.Errorf("--from-log: %w", err)
		}
		log = &read
	}
	if o.fromExport != "" {
		read, err := gatekeeper.ReadExport(ctx, o.fromExport)
		if err != nil {
			return nil, nil, fmt.Errorf("--from-export: %s: %w", o.fromExport, err)
		}
		export = &read
	}
	return log, export, nil
}

// earlier are the reports that a new one is laid beside.
type earlier struct {
	before  *report.Report // nil if there is none
	missing string         // file that is not there yet
	history []report.Point
}

// earlierReports reads what --diff and --history name.
func (o *reportOptions) earlierReports() (earlier, error) {
	var e earlier
	var err error
	if o.diff != "" {
		e.before, err = report.Load(o.diff)
		// The first run of a job has nothing to compare with.
		if errors.Is(err, fs.ErrNotExist) {
			e.missing, err = o.diff, nil
		}
		if err != nil {
			return e, fmt.Errorf("--diff: %w", err)
		}
	}
	for _, path := range o.history {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil {
				return e, fmt.Errorf("--history: %w", err)
			}
		}
		for _, file := range files {
			r, err := report.Load(file)
			if err != nil {
				return e, fmt.Errorf("--history: %w", err)
			}
			// The rest of a report is large, and there may be one for each day.
			e.history = append(e.history, report.PointOf(r))
		}
	}
	e.history = report.History(e.history...)
	return e, nil
}

// compare lays the earlier reports beside r.
func (e earlier) compare(r *report.Report) {
	r.History = e.history
	if e.before != nil {
		r.Since(e.before)
	}
	if e.missing != "" {
		r.Notices = append(r.Notices, report.Notice{Level: report.LevelInfo, Text: fmt.Sprintf("there is no earlier report %s, so what changed is not known; it is there from the next time on if this one is kept under its name", e.missing)})
	}
}

// write writes the report to standard output or to a file.
func (o *reportOptions) write(stdout io.Writer, r *report.Report) error {
	options := render.Options{Limit: o.limit}
	if o.outputFile == "" {
		return render.Report(stdout, o.format, r, options)
	}
	var text bytes.Buffer
	if err := render.Report(&text, o.format, r, options); err != nil {
		return err
	}
	// Others must not read it.
	if err := wholefile.Write(o.outputFile, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("--output-file: %w", err)
	}
	return nil
}
