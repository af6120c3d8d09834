// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress shows on a terminal how far the work is, and on anything else
// nothing.
type progress struct {
	w     io.Writer // nil if nobody looks
	what  string
	total int
	done  int
	shown time.Time
}

// newProgress counts up to total; what is what is counted, such as "images".
func newProgress(stderr io.Writer, total int, what string) *progress {
	p := &progress{what: what, total: total}
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.w = file
	}
	return p
}

// step counts one more. It has one caller at a time.
func (p *progress) step() {
	p.done++
	if p.w == nil || p.done < p.total && time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.w, "\r\x1b[K%d of %d %s", p.done, p.total, p.what)
}

// end clears the line.
func (p *progress) end() {
	if p.w != nil && p.done > 0 {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
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
