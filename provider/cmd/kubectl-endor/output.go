// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
)

// output is the form in which a command says what it found.
type output struct {
	format  string
	formats []string
}

// bind declares the flag. The first format is the default.
func (o *output) bind(cmd *cobra.Command, formats ...string) {
	o.formats = formats
	cmd.Flags().StringVarP(&o.format, "output", "o", formats[0], "`format`: "+strings.Join(formats, ", "))
	completes(cmd, "output", formats)
}

// completes has a shell complete a flag with one of values.
func completes(cmd *cobra.Command, flag string, values []string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // a name that is not a flag's
	}
}

// check says in time what could otherwise be said only after the work.
func (o *output) check() error {
	if !slices.Contains(o.formats, o.format) {
		return fmt.Errorf("--output is %q; it is one of %s", o.format, strings.Join(o.formats, ", "))
	}
	return nil
}

// newDocument begins what a command found. failed is what could not be read.
func newDocument(schema string, s *session, failed error) *findings.Document {
	d := &findings.Document{Schema: schema, Generator: generator(), Complete: true}
	if s != nil {
		d.Replay = s.replay()
	}
	if d.Replay != nil {
		d.Notices = append(d.Notices, fmt.Sprintf("The answers are those that %s holds, recorded at %s; Endor Labs was not asked.",
			d.Replay.File, d.Replay.RecordedAt.Format(time.RFC3339)))
	}
	incomplete(d, failed)
	return d
}

// incomplete adds errors, of which each line is one.
func incomplete(d *findings.Document, err error) {
	if err != nil {
		d.Complete = false
		d.Errors = append(d.Errors, strings.Split(err.Error(), "\n")...)
	}
}

// finish writes a document to cmd's output, tells on stderr what a reader has to
// know of it, and gives the error that ends the program with the right status.
// failed is what the document's errors say.
func (o output) finish(ctx context.Context, cmd *cobra.Command, d *findings.Document, failed error) error {
	if ctx.Err() != nil {
		err := errors.New("interrupted: what is told is not all; run it again")
		incomplete(d, err)
		failed = errors.Join(failed, err)
	}
	if err := findings.Write(cmd.OutOrStdout(), o.format, d); err != nil {
		return resultError{errors.Join(failed, fmt.Errorf("write the result: %w", err))}
	}
	tell(cmd.ErrOrStderr(), d.Notices)
	if failed != nil {
		return resultError{failed}
	}
	switch d.Outcome() {
	case findings.Unknown:
		return resultError{errors.New("it could not be found out of every image whether it is signed; see the reasons above")}
	case findings.Failed:
		return errRefused
	case findings.Passed, findings.Warned:
	}
	return nil
}

func tell(stderr io.Writer, notices []string) {
	for _, n := range notices {
		fmt.Fprintln(stderr, n)
	}
}
