// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
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
	file   file // nil if the path could not be opened
	torn   bool // file ends with a part of a line
	looked time.Time
}

// file is an [*os.File].
type file interface {
	io.WriteCloser
	Stat() (os.FileInfo, error)
}

// Open opens or creates the file at path, readable by its owner and group. A pipe
// or a device is none.
func Open(path string) (*File, error) {
	f := &File{path: path}
	return f, f.open()
}

func (f *File) open() error {
	f.looked = time.Now()
	// Without O_NONBLOCK a pipe would be waited for until it has a reader.
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_RDWR|syscall.O_NONBLOCK, 0o640) //nolint:gosec // who collects logs is of the group
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", f.path)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.torn = file, isTorn(file, info.Size())
	return nil
}

// isTorn says whether a file ends with a part of a line, as a program leaves it
// that ends while the disk is full.
func isTorn(file io.ReaderAt, size int64) bool {
	if size == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err := file.ReadAt(last, size-1)
	return err == nil && last[0] != '\n'
}

// Write appends a line, to a new file if somebody took the last one away. It
// begins anew behind one of which a full disk took only a part.
func (f *File) Write(line []byte) (int, error) {
	if err := f.look(); err != nil {
		return 0, err
	}
	before := 0
	if f.torn && !f.empty() {
		line, before = append([]byte{'\n'}, line...), 1
	}
	n, err := f.file.Write(line)
	if n > 0 {
		f.torn = line[n-1] != '\n'
	}
	return max(n-before, 0), err
}

// empty is a file that was truncated.
func (f *File) empty() bool {
	info, err := f.file.Stat()
	return err == nil && info.Size() == 0
}

// look opens the path anew if it is no longer the file's.
func (f *File) look() error {
	if f.file != nil && time.Since(f.looked) < lookAgain {
		return nil
	}
	if f.file != nil {
		f.looked = time.Now()
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
		return err
	}
	return nil
}
