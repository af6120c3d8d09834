// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// disk is a file on one with so many bytes of room.
type disk struct {
	*os.File
	room int
}

func (d *disk) Write(b []byte) (int, error) {
	n, err := d.File.Write(b[:min(len(b), d.room)])
	d.room -= n
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

// A disk that is full takes part of a line, and of the next one nothing.
func TestAfterATornLineTheNextOneIsWhole(t *testing.T) {
	t.Parallel()
	const first, second, third = `{"line":"first"}` + "\n", `{"line":"second"}` + "\n", `{"line":"third"}` + "\n"
	for _, tc := range []struct {
		name  string
		rooms []int             // for a try each to write the second line
		then  func(*File) error // before there is room
		want  string
	}{
		{name: "torn once", rooms: []int{10}, want: first + second[:10] + "\n" + third},
		{name: "torn, and then nothing fits", rooms: []int{10, 0, 0}, want: first + second[:10] + "\n" + third},
		{name: "torn twice", rooms: []int{10, 10}, want: first + second[:10] + "\n" + second[:9] + "\n" + third},
		{name: "all but the end of the line", rooms: []int{len(second) - 1}, want: first + second + third},
		{name: "torn, and then only the end of the line fits", rooms: []int{10, 1}, want: first + second[:10] + "\n" + third},
		{name: "nothing fits", rooms: []int{0, 0}, want: first + third},
		{name: "torn and truncated", rooms: []int{10}, then: func(f *File) error { return os.Truncate(f.path, 0) }, want: third},
		{name: "torn and rotated", rooms: []int{10}, then: func(f *File) error {
			f.looked = time.Time{}
			return os.Rename(f.path, f.path+".1")
		}, want: third},
		{name: "torn, and the program ends", rooms: []int{10}, then: func(f *File) error {
			if err := f.Close(); err != nil {
				return err
			}
			again, err := Open(f.path)
			if err == nil {
				*f = *again
			}
			return err
		}, want: first + second[:10] + "\n" + third},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := Open(filepath.Join(t.TempDir(), "decisions.log"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			write := func(line string) {
				t.Helper()
				if n, err := f.Write([]byte(line)); n != len(line) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			write(first)
			whole := f.file.(*os.File)
			for _, room := range tc.rooms {
				f.file = &disk{File: whole, room: room}
				n, err := f.Write([]byte(second))
				if err == nil || n > room {
					t.Errorf("Write with room for %d bytes = %d, %v", room, n, err)
				}
			}
			f.file = whole
			if tc.then != nil {
				if err := tc.then(f); err != nil {
					t.Fatal(err)
				}
			}
			write(third)
			got, err := os.ReadFile(f.path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("the file holds\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// To open a pipe would wait for its reader, and every line for that.
func TestAPathThatBecameAPipeIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "decisions.log")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f.looked = time.Time{} // long ago
	wrote := make(chan error, 1)
	go func() {
		_, err := f.Write([]byte("line\n"))
		wrote <- err
	}()
	select {
	case err := <-wrote:
		if err == nil {
			t.Error("a line was written into a pipe")
		}
		t.Logf("Got expected error: %v", err)
	case <-time.After(30 * time.Second):
		t.Error("the line waits for a reader of the pipe")
		reader, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("once it has one: %v", <-wrote)
		reader.Close()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("line\n")); err != nil {
		t.Errorf("once the pipe is gone: %v", err)
	}
}
