// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shell makes a process that runs a script, and is ready when its log says so.
func shell(t *testing.T, dir, script string) *Process {
	t.Helper()
	s, err := newState(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Name: "script", program: "/bin/sh", Args: []string{"-c", script}, dir: dir, state: s}
	p.ready = func(context.Context) error {
		if log, err := p.Log(); err != nil || !strings.Contains(log, "ready") {
			return errors.New("it does not say that it is ready")
		}
		return nil
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestAProgramThatEndsIsToldOfWithTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	p := shell(t, t.TempDir(), "echo there is no such port >&2; exit 3")
	start := time.Now()
	err := p.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "start script: it ended: exit status 3") || !strings.Contains(err.Error(), "there is no such port") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > startTimeout/2 {
		t.Errorf("it was waited for, for %s", took)
	}
}

func TestAProgramThatIsNotReadyIsEnded(t *testing.T) {
	t.Parallel()
	p := shell(t, t.TempDir(), "echo still looking; exec sleep 600")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := p.Start(ctx)
	if err == nil || !strings.Contains(err.Error(), "it does not say that it is ready") || !strings.Contains(err.Error(), "still looking") {
		t.Errorf("got %v", err)
	}
	if p.Running() {
		t.Error("it runs")
	}
}

func TestAProgramThatIgnoresSIGTERMIsKilled(t *testing.T) {
	t.Parallel()
	// The shell ignores it, and so does what the shell starts.
	p := shell(t, t.TempDir(), "trap '' TERM; sleep 600 & echo $! >child; echo ready; wait")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := stop(200*time.Millisecond, p); err != nil {
		t.Fatal(err)
	}
	if p.Running() {
		t.Error("it runs")
	}
	content, err := os.ReadFile(filepath.Join(p.dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
	defer cancel()
	if err := poll(ctx, func(context.Context) error {
		if _, alive := identity(child); alive {
			return errors.New("what it started runs")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestAProgramCanBeRestarted(t *testing.T) {
	t.Parallel()
	p := shell(t, t.TempDir(), "echo ready; exec sleep 600")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := p.cmd.Process.Pid
	if err := p.Start(t.Context()); err == nil {
		t.Error("it was started twice")
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !p.Running() || p.cmd.Process.Pid == first {
		t.Error("it is not another process")
	}
}

func TestDownEndsWhatAnOwnerThatIsGoneLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := shell(t, dir, "echo ready; exec sleep 600")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Down(dir); err == nil || !strings.Contains(err.Error(), "belongs to") {
		t.Errorf("while the owner runs: %v", err)
	}
	if err := p.state.disown(); err != nil {
		t.Fatal(err)
	}
	if running, gone, err := Left(dir); err != nil || !slices.Equal(running, []string{"script"}) || len(gone) > 0 {
		t.Errorf("%q run and %q do not: %v", running, gone, err)
	}
	if err := claim(dir); err == nil || !strings.Contains(err.Error(), "make cluster-down") {
		t.Errorf("the folder was given to another cluster: %v", err)
	}
	ended, err := Down(dir)
	if err != nil || len(ended) != 1 || ended[0] != "script" {
		t.Errorf("ended %q: %v", ended, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		t.Error("it still runs")
	}
	if running, gone, err := Left(dir); err != nil || len(running)+len(gone) > 0 {
		t.Errorf("%q run and %q do not: %v", running, gone, err)
	}
}

// Somebody, or a machine without memory, may end one of them.
func TestAProgramThatEndedBehindTheBackOfAllIsKnown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := shell(t, dir, "echo ready; exec sleep 600")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.state.Processes = append(p.state.Processes, member{Name: "another", PID: p.cmd.Process.Pid, Identity: "of before"})
	if err := p.state.disown(); err != nil {
		t.Fatal(err)
	}
	if running, gone, err := Left(dir); err != nil || !slices.Equal(running, []string{"script"}) || !slices.Equal(gone, []string{"another"}) {
		t.Errorf("%q run and %q do not: %v", running, gone, err)
	}
}

// The number of a process that is gone is given to another one some day.
func TestDownLeavesAProcessAloneThatOnlyHasTheNumber(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"", "another start", "0"} {
		dir := t.TempDir()
		p := shell(t, dir, "echo ready; exec sleep 600")
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.state.Processes[0].Identity = other
		if err := p.state.disown(); err != nil {
			t.Fatal(err)
		}
		if ended, err := Down(dir); err != nil || len(ended) > 0 {
			t.Errorf("ended %q: %v", ended, err)
		}
		if !p.Running() {
			t.Errorf("a process was ended that is not %q", other)
		}
	}
}

func TestAnIdentityStaysTheSameAndIsOfOneProcess(t *testing.T) {
	t.Parallel()
	self, alive := identity(os.Getpid())
	if !alive || self == "" {
		t.Fatalf("got %q, %t of this process", self, alive)
	}
	if again, _ := identity(os.Getpid()); again != self {
		t.Errorf("%q became %q", self, again)
	}
	if other, _ := identity(os.Getppid()); other == self {
		t.Errorf("the parent has it too: %q", other)
	}
}

func TestPortsAreGivenOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	given := ports{}
	for range 200 {
		address, err := given.address()
		if err != nil {
			t.Fatal(err)
		}
		if seen[address] {
			t.Errorf("%s twice", address)
		}
		seen[address] = true
	}
}
