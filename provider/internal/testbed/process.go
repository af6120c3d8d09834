// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// startTimeout is generous: machines that build and test at once are slow.
const startTimeout = 30 * time.Second

// Provider is a running provider program.
type Provider struct {
	URL    string // where Gatekeeper posts keys
	OpsURL string // without a path

	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed once the program ended
	err  error         // how it ended; read after done
}

// Config configures [Start].
type Config struct {
	// Program is the path of the built endor-gatekeeper-provider.
	Program string

	Certificates *Certificates

	// Endor API to ask, the credentials for it, and the Endor namespace.
	API, Key, Secret, Namespace string

	// Args are further flags of serve.
	Args []string

	// Env are variables of the program, each as NAME=VALUE, besides PATH and HOME.
	Env []string

	// NotReady lets Start return as soon as the program listens.
	NotReady bool

	// Deaf leaves unread what the program logs once it listens, as a container
	// runtime does that is stuck.
	Deaf bool
}

// Start runs the program and waits until it is ready. Stop must be called.
func Start(ctx context.Context, cfg Config) (*Provider, error) {
	credentials, err := writeCredentials(cfg)
	if err != nil {
		return nil, err
	}
	cert, key := cfg.Certificates.ServerFiles()
	args := append([]string{
		"serve", "--listen-address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--drain-delay=0s",
		"--tls-cert-file=" + cert, "--tls-private-key-file=" + key, "--client-ca-file=" + cfg.Certificates.ClientCAFile(),
		"--endor-api=" + cfg.API, "--endor-namespace=" + cfg.Namespace,
	}, append(credentials, cfg.Args...)...)

	p := &Provider{cmd: exec.Command(cfg.Program, args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cfg.Certificates.Dir}, cfg.Env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Program, err)
	}
	listening := make(chan struct{})
	go p.read(stderr, listening, cfg.Deaf)

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-listening:
	case <-p.done:
		return nil, fmt.Errorf("%s ended: %w\n%s", cfg.Program, p.err, p.Log())
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("%s does not listen", cfg.Program), p.Kill())
	}
	if cfg.NotReady {
		return p, nil
	}
	if err := waitFor(ctx, p.OpsURL+"/readyz"); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is not ready: %w\n%s", cfg.Program, err, p.Log()), p.Kill())
	}
	return p, nil
}

// writeCredentials gives the flags for files that hold the credentials.
func writeCredentials(cfg Config) ([]string, error) {
	key := filepath.Join(cfg.Certificates.Dir, "api-key")
	secret := filepath.Join(cfg.Certificates.Dir, "api-secret")
	return []string{"--endor-api-key-file=" + key, "--endor-api-secret-file=" + secret},
		errors.Join(os.WriteFile(key, []byte(cfg.Key), 0o600), os.WriteFile(secret, []byte(cfg.Secret), 0o600))
}

// read collects the program's log, finds its addresses in it, and waits for
// its end. With deaf it stops to read then.
func (p *Provider) read(stderr io.Reader, listening chan<- struct{}, deaf bool) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.out.add(lines.Bytes())
		var line struct {
			Message string `json:"msg"`
			Listen  string `json:"listen_address"`
			Ops     string `json:"ops_address"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "listening" {
			p.URL, p.OpsURL = "https://"+line.Listen+"/validate", "http://"+line.Ops
			close(listening)
			if deaf {
				break
			}
		}
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// Log is what the program has logged.
func (p *Provider) Log() string { return p.out.String() }

// PID is the program's process id.
func (p *Provider) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program.
func (p *Provider) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait waits until the program ended and gives its error.
func (p *Provider) Wait() error {
	<-p.done
	return p.err
}

// Stop ends the program as Kubernetes does and waits for it.
func (p *Provider) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.Wait()
}

// Kill ends the program at once.
func (p *Provider) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

type output struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (o *output) add(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(line)
	o.buf.WriteByte('\n')
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
