// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Credentials and Endor namespace of an [Emulator].
const (
	APIKey    = "endr+testbed-key"
	APISecret = "endr+testbed-secret"
	Namespace = "acme"
)

// Emulator is a running endor-emulator program.
type Emulator struct {
	URL string

	// Stop ends the program and waits for it. It may be called again.
	Stop func() error
}

// StartEmulator runs the built program and waits until it listens. signatures
// is a file of what it signs first; errors of the program go to stderr.
func StartEmulator(program, signatures string, stderr io.Writer, args ...string) (*Emulator, error) {
	args = append([]string{
		"--api-key=" + APIKey, "--api-secret=" + APISecret, "--namespace=" + Namespace, "--sign=" + signatures, "--log-level=error",
	}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	e := &Emulator{Stop: sync.OnceValue(func() error {
		cancel()
		// It was told to end, so that it did is no error.
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s: %w", program, err)
		}
		return nil
	})}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not say where it listens: %w", program, err), e.Stop())
	}
	e.URL = strings.TrimSpace(line)
	return e, nil
}

// Switch replaces what the emulator does wrong by a document of its admin API,
// which it serves with the argument --admin.
func (e *Emulator) Switch(ctx context.Context, document []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, e.URL+"/emulator/switches", bytes.NewReader(document))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("switch the emulator: %s: %s", resp.Status, body)
	}
	return nil
}
