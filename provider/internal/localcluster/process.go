// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// startTimeout is generous: machines that build and test at once are slow.
	startTimeout = 2 * time.Minute

	// stopTimeout is what a program gets to end by itself when it alone ends, and
	// downTimeout when the whole cluster does: some wait in vain for others then.
	stopTimeout = 10 * time.Second
	downTimeout = 3 * time.Second

	pollInterval = 50 * time.Millisecond
)

// Process is a program of a [Cluster]. It is not for several goroutines at
// once.
type Process struct {
	// Name is the program's in messages, and of its log.
	Name string

	// Args and Env (NAME=value) are what the next [Process.Start] gives it.
	// The program inherits PATH of the environment and nothing else.
	Args, Env []string

	program string                      // path
	ready   func(context.Context) error // why it cannot be used yet
	dir     string                      // state folder
	state   *state

	cmd  *exec.Cmd     // nil before the first start
	done chan struct{} // closed once the program ended
	err  error         // how it ended; read after done
}

// LogFile is where everything that the program prints is appended to.
func (p *Process) LogFile() string { return filepath.Join(p.dir, "logs", p.Name+".log") }

// Log is what the program has printed, in all its runs.
func (p *Process) Log() (string, error) {
	content, err := os.ReadFile(p.LogFile())
	return string(content), err
}

// Start runs the program and waits until it is ready. If it is not within two
// minutes, or ends, the error says so with the end of its log and it does not
// run.
func (p *Process) Start(ctx context.Context) error {
	if p.Running() {
		return fmt.Errorf("%s runs already", p.Name)
	}
	if err := p.launch(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	if err := poll(ctx, p.isReady); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w\n%s", p.Name, err, p.tail()), p.Kill())
	}
	return nil
}

func (p *Process) launch() error {
	if err := os.MkdirAll(filepath.Dir(p.LogFile()), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(p.LogFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Not CommandContext: a cluster may outlive the program that started it.
	cmd := exec.Command(p.program, p.Args...)
	cmd.Dir = p.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}, p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own: Ctrl-C in a terminal is for who started it, and who
	// started it decides in which order the programs end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func(done chan<- struct{}) {
		p.err = cmd.Wait()
		close(done)
	}(p.done)
	if err := p.state.add(p.Name, cmd.Process.Pid); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// ended is an error that waiting longer does not change.
type ended struct{ error }

func (e ended) Unwrap() error { return e.error }

func (p *Process) isReady(ctx context.Context) error {
	if !p.Running() {
		return ended{fmt.Errorf("it ended: %w", p.err)}
	}
	return p.ready(ctx)
}

// Running tells whether the program runs.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err is how the program ended that does not run any more; nil if it did so
// without an error.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	return p.err
}

// Signal sends the running program a signal, such as SIGSTOP.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Stop ends the program as Kubernetes does, with SIGTERM and, after ten
// seconds, SIGKILL. It does nothing if the program does not run.
func (p *Process) Stop() error { return stop(stopTimeout, p) }

// Kill ends the program at once.
func (p *Process) Kill() error {
	if !p.Running() {
		return nil
	}
	// The group is the program's own, so what it may have started ends too.
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	<-p.done
	return p.state.remove(p.Name)
}

// Restart is Stop and Start.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	return p.Start(ctx)
}

// stop ends processes, all at once, and kills those that still run after
// timeout.
func stop(timeout time.Duration, processes ...*Process) error {
	var errs []error
	for _, p := range processes {
		if !p.Running() {
			continue
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.Name, err))
		}
	}
	patience := time.After(timeout)
	for _, p := range processes {
		if !p.Running() {
			continue
		}
		select {
		case <-p.done:
			errs = append(errs, p.state.remove(p.Name))
		case <-patience:
			patience = closed // for the others too
			errs = append(errs, p.Kill())
		}
	}
	return errors.Join(errs...)
}

var closed = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// tail is the end of the log, for a message.
func (p *Process) tail() string {
	const most = 20
	file, err := os.Open(p.LogFile())
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > 16<<10 {
		_, _ = file.Seek(-16<<10, io.SeekEnd)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return "The end of " + p.LogFile() + ":\n    " + strings.Join(lines, "\n    ")
}

// poll asks until the answer is nil. When ctx ends before, or an answer is
// [ended], it gives the last answer.
func poll(ctx context.Context, ask func(context.Context) error) error {
	for {
		last := ask(ctx)
		if last == nil || errors.As(last, &ended{}) {
			return last
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		case <-time.After(pollInterval):
		}
	}
}
