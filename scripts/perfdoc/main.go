// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command perfdoc writes what was measured into docs/performance.md and
// docs/performance.svg.
//
//	go -C scripts/perfdoc run . -bench    run "make bench bench-admission" first, into docs/performance.txt
//	go -C scripts/perfdoc run .           write both from docs/performance.txt
//	go -C scripts/perfdoc run . -check    fail if they are not what docs/performance.txt says
//
// It is a module of its own, so that a library that draws is none of the
// product's dependencies.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// root is the repository, seen from the folder that "go -C" runs this in.
const root = "../.."

func main() {
	bench := flag.Bool("bench", false, "run make bench bench-admission first")
	check := flag.Bool("check", false, "write nothing, and fail if something is out of date")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *bench, *check)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "perfdoc:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bench, check bool) error {
	raw := filepath.Join(root, "docs", "performance.txt")
	if bench {
		if err := measure(ctx, raw); err != nil {
			return err
		}
	}
	m, err := read(raw)
	if err != nil {
		return err
	}
	page := filepath.Join(root, "docs", "performance.md")
	prose, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := fill(prose, m)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	plot, err := draw(m)
	if err != nil {
		return err
	}
	return errors.Join(put(page, text, check), put(filepath.Join(root, "docs", "performance.svg"), plot, check))
}

// measure runs the benchmarks and shows their output while it is written. Its
// first line says of when and what it is.
func measure(ctx context.Context, file string) error {
	line, err := when(ctx, root, time.Now())
	if err != nil {
		return err
	}
	output := bytes.NewBufferString(line)
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "bench", "bench-admission")
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = io.MultiWriter(output, os.Stdout), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make bench bench-admission: %w", err)
	}
	return os.WriteFile(file, output.Bytes(), 0o644)
}

// when gives a line of configuration, as benchmarks print them: the day, in UTC, and
// the commit in the folder, marked if what is there is not all committed.
func when(ctx context.Context, dir string, now time.Time) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty")
	cmd.Dir = dir
	commit, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git describe --always --dirty: %w", err)
	}
	return fmt.Sprintf("measured: %s at commit %s\n", now.UTC().Format(time.DateOnly), bytes.TrimSpace(commit)), nil
}

func put(file string, content []byte, check bool) error {
	if !check {
		return os.WriteFile(file, content, 0o644)
	}
	old, err := os.ReadFile(file)
	if err == nil && !bytes.Equal(old, content) {
		err = fmt.Errorf("%s is not what docs/performance.txt says; go -C scripts/perfdoc run . writes it anew", file)
	}
	return err
}
