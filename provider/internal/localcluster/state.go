// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/wholefile"
)

// state is what a folder's file state.json says of the processes that were
// started, for whoever has to end them when the one who started them is gone.
type state struct {
	mu   sync.Mutex // protects what follows, and the file
	file string

	// Owner ends the processes at its own end. Nil if nobody does.
	Owner *member `json:"owner,omitempty"`

	// Processes are in the order of their start.
	Processes []member `json:"processes"`
}

// member is a process that is known again when its number was given to another.
type member struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Identity string `json:"identity"`
}

const stateFile = "state.json"

// newState begins the file in dir, for processes of this one.
func newState(dir string) (*state, error) {
	self := member{Name: filepath.Base(os.Args[0]), PID: os.Getpid()}
	self.Identity, _ = identity(self.PID)
	s := &state{file: filepath.Join(dir, stateFile), Owner: &self}
	return s, s.write()
}

// readState gives an empty state if there is no file.
func readState(dir string) (*state, error) {
	s := &state{file: filepath.Join(dir, stateFile)}
	content, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.file, err)
	}
	return s, nil
}

func (s *state) write() error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return wholefile.Write(s.file, append(content, '\n'), 0o600)
}

func (s *state) add(name string, pid int) error {
	id, alive := identity(pid)
	if !alive {
		return nil // it ended at once, which whoever waits for it sees
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Processes = append(s.Processes, member{Name: name, PID: pid, Identity: id})
	return s.write()
}

func (s *state) remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Processes = slices.DeleteFunc(s.Processes, func(m member) bool { return m.Name == name })
	return s.write()
}

// forget removes the file, when nothing runs any more.
func (s *state) forget() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// disown says that nobody ends the processes but who is told to.
func (s *state) disown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Owner = nil
	return s.write()
}

// running are the members that are alive.
func (s *state) running() []member {
	return slices.DeleteFunc(slices.Clone(s.Processes), func(m member) bool { return !m.alive() })
}

func (m member) alive() bool {
	id, alive := identity(m.PID)
	return alive && id == m.Identity
}

// end ends what runs of the state and removes its file. It gives the names of
// what it ended.
func (s *state) end() ([]string, error) {
	left := s.running()
	names := make([]string, len(left))
	var errs []error
	for i, m := range left {
		names[i] = m.Name
		errs = append(errs, m.signal(syscall.SIGTERM))
	}
	for deadline := time.Now().Add(downTimeout); len(left) > 0 && time.Now().Before(deadline); {
		time.Sleep(pollInterval)
		left = slices.DeleteFunc(left, func(m member) bool { return !m.alive() })
	}
	for _, m := range left {
		errs = append(errs, m.signal(syscall.SIGKILL))
	}
	if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return names, errors.Join(errs...)
}

func (m member) signal(sig syscall.Signal) error {
	if err := syscall.Kill(m.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end %s, process %d: %w", m.Name, m.PID, err)
	}
	return nil
}

// identity tells a process from any other that had or will have its number: by
// when it was started.
func identity(pid int) (id string, alive bool) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identityByPS(pid)
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", false
	}
	// The name in parentheses may hold anything. After it: state, parent, ..., and
	// as the twentieth the start, in ticks since that of the machine.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return strings.TrimSpace(string(boot)) + " " + fields[19], true
}

// identityByPS is for systems without /proc.
func identityByPS(pid int) (id string, alive bool) {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	id = strings.TrimSpace(string(out))
	return id, err == nil && id != ""
}
