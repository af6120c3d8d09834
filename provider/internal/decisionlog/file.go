// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// lookAgain is the time between two looks whether a file is still at its path.
const lookAgain = time.Second

// File appends to a file that others may rotate. Whoever renames or removes it
// has nothing to tell: the path is opened anew within a second of the next line.
// Whoever truncates it neither, since every write goes to its end. It has one
// user at a time.
type File struct {
	path   string
	file   *os.File
	looked time.Time
}

// Open opens or creates the file at path, readable by its owner and group. A pipe
// or a device is none: to open it could take for ever.
func Open(path string) (*File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f := &File{path: path}
	return f, f.open()
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // who collects logs is of the group
	if err != nil {
		return err
	}
	f.file, f.looked = file, time.Now()
	return nil
}

// Write appends a line, to a new file if somebody took the last one away.
func (f *File) Write(line []byte) (int, error) {
	if err := f.look(); err != nil {
		return 0, err
	}
	n, err := f.file.Write(line)
	if err != nil && n > 0 {
		// A disk that is full takes part of a line. What follows begins a new one.
		_, _ = f.file.WriteString("\n")
	}
	return n, err
}

// look opens the path anew if it is no longer the file's.
func (f *File) look() error {
	if f.file != nil && time.Since(f.looked) < lookAgain {
		return nil
	}
	f.looked = time.Now()
	if f.file != nil {
		at, err := os.Stat(f.path)
		open, openErr := f.file.Stat()
		if err == nil && openErr == nil && os.SameFile(at, open) {
			return nil
		}
		_ = f.file.Close()
		f.file = nil
	}
	return f.open()
}

// Close closes the file.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	if err := f.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("decision log: %w", err)
	}
	return nil
}
