// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/decisionlog"
)

func TestAFileThatIsRotatedIsOpenedAnew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		rotate    func(path string) error
		old, then string
	}{
		{"renamed", func(path string) error { return os.Rename(path, path+".1") }, "before\n", "after\n"},
		{"removed", os.Remove, "", "after\n"},
		{"truncated", func(path string) error { return os.Truncate(path, 0) }, "", "after\n"},
		{"left alone", func(string) error { return nil }, "", "before\nafter\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "decisions.log")
				f, err := decisionlog.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				write(t, f, "before\n")
				if err := tc.rotate(path); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				write(t, f, "after\n")
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				if got := content(t, path); got != tc.then {
					t.Errorf("the file holds %q, want %q", got, tc.then)
				}
				if tc.old != "" && content(t, path+".1") != tc.old {
					t.Errorf("the old file holds %q, want %q", content(t, path+".1"), tc.old)
				}
			})
		})
	}
}

// A folder that is away for a while, as during a rotation by moving it, costs the
// lines of that time.
func TestAFileComesBackWithItsFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "logs")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "decisions.log")
		f, err := decisionlog.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Rename(dir, dir+".1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := f.Write([]byte("lost\n")); err == nil {
			t.Error("a line was written into no folder")
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, f, "after\n")
		if got := content(t, path); got != "after\n" {
			t.Errorf("the file holds %q", got)
		}
	})
}

// To open a pipe would wait for its reader, before anything is served.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, filepath.Join(dir, "none", "decisions.log")} {
		if f, err := decisionlog.Open(path); err == nil {
			t.Errorf("%s was opened", path)
			f.Close()
		}
	}
}

func write(t *testing.T, f *decisionlog.File, line string) {
	t.Helper()
	if _, err := f.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
