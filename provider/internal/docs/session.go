// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a command of a block that is marked as repeated may not
// print what the document shows.
const patience = time.Minute

// Session is a shell in which the blocks of one document run one after another,
// as at the terminal of a reader.
type Session struct {
	cmd    *exec.Cmd
	script string // file that holds the command that runs
	stdin  io.WriteCloser
	stdout *bufio.Reader
	pipe   *os.File
}

// Start starts a shell in dir. What it writes besides is in scratch. The
// context's end kills it with what it has started in the foreground.
func Start(ctx context.Context, dir, scratch string, env []string) (*Session, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &Session{
		// What works in it works in the shells that readers have.
		cmd: exec.CommandContext(ctx, "sh"), script: filepath.Join(scratch, "command.sh"),
		stdout: bufio.NewReader(read), pipe: read,
	}
	s.cmd.Dir, s.cmd.Env = dir, env
	s.cmd.Stdout, s.cmd.Stderr = write, write
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Cancel = func() error {
		return errors.Join(syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL), read.SetReadDeadline(time.Now()))
	}
	s.cmd.WaitDelay = 5 * time.Second
	if s.stdin, err = s.cmd.StdinPipe(); err == nil {
		err = s.cmd.Start()
	}
	_ = write.Close() // the shell has its own
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	return s, nil
}

// Run runs the commands of a block until one is not as the document says.
func (s *Session) Run(b Block) error {
	for i, c := range b.Commands {
		last := i == len(b.Commands)-1
		err := s.check(c, last && b.LastFails)
		for begin := time.Now(); err != nil && b.Repeat && last && time.Since(begin) < patience; {
			time.Sleep(500 * time.Millisecond)
			err = s.check(c, b.LastFails)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", b.Where(c), err)
		}
	}
	return nil
}

func (s *Session) check(c Command, fails bool) error {
	output, status, err := s.run(c.Text)
	switch {
	case err != nil:
		return fmt.Errorf("$ %s\n%s\n%w", c.Text, output, err)
	case fails && status == 0:
		return fmt.Errorf("$ %s\nworks, and the document says that it fails:\n%s", c.Text, output)
	case !fails && status != 0:
		return fmt.Errorf("$ %s\nends with status %d:\n%s", c.Text, status, output)
	case c.Output != nil && !fits(c.Output, output):
		return fmt.Errorf("$ %s\nprints:\n%s\nand the document says:\n%s", c.Text, output, strings.Join(c.Output, "\n"))
	}
	return nil
}

// end follows the output of a command, with its status.
const end = "\x1fend of the command "

func (s *Session) run(command string) (output string, status int, err error) {
	if err := os.WriteFile(s.script, []byte(command+"\n"), 0o600); err != nil {
		return "", 0, err
	}
	// Without the shell's own standard input, which holds the next commands.
	if _, err := fmt.Fprintf(s.stdin, ". '%s' </dev/null; printf '%s%%d\\n' $?\n", s.script, end); err != nil {
		return "", 0, err
	}
	var printed strings.Builder
	for {
		line, err := s.stdout.ReadString('\n')
		text, after, ended := strings.Cut(line, end)
		printed.WriteString(text)
		if ended {
			status, err = strconv.Atoi(strings.TrimSpace(after))
			return printed.String(), status, err
		}
		if err != nil {
			return printed.String(), 0, fmt.Errorf("the shell ended: %w", err)
		}
	}
}

// Close ends the shell. What a command has left in the background goes on.
func (s *Session) Close() error {
	err := errors.Join(s.stdin.Close(), s.cmd.Wait())
	return errors.Join(err, s.pipe.Close())
}
