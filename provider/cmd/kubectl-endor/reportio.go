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
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/gatekeeper"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/render"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
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
		return render.Report(stdout, o.output, r, options)
	}
	var text bytes.Buffer
	if err := render.Report(&text, o.output, r, options); err != nil {
		return err
	}
	if err := replaceFile(o.outputFile, text.Bytes()); err != nil {
		return fmt.Errorf("--output-file: %w", err)
	}
	return nil
}

// replaceFile writes a file that others must not read, and that nobody ever sees
// half written.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// tally shows on a terminal how far a survey is, and on anything else nothing.
// How many objects there are is not known before they have been read.
type tally struct{ *progress }

func newTally(stderr io.Writer) tally { return tally{newProgress(stderr, 0, "objects judged")} }

func (t tally) add(kind string, objects int) {
	t.done += objects
	if t.w == nil || time.Since(t.shown) < 100*time.Millisecond {
		return
	}
	t.shown = time.Now()
	fmt.Fprintf(t.w, "\r\x1b[K%d %s, now kind %s", t.done, t.what, kind)
}
