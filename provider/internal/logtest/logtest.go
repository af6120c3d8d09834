// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package logtest keeps what is logged, for tests that look at it while it goes
// on.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Log is what was written so far. The zero value is empty.
type Log struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

// Write adds to it.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// String is all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Count says how often a text stands in it.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }
