// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// CommandError is a kubectl or helm that failed.
type CommandError struct {
	Command string // its name and arguments
	Stderr  string // what it says of the failure
	Err     error
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %s\n%s", e.Command, e.Err, strings.TrimSpace(e.Stderr))
}

func (e *CommandError) Unwrap() error { return e.Err }

// Kubectl runs kubectl as the administrator and gives what it prints. If it
// fails the error is a [CommandError]; warnings of a success are dropped.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	stdout, _, err := c.Run(ctx, Command{Program: kubectl, Args: args})
	return stdout, err
}

// Helm runs helm as the administrator and gives what it prints. If it fails the
// error is a [CommandError].
func (c *Cluster) Helm(ctx context.Context, args ...string) (string, error) {
	stdout, _, err := c.Run(ctx, Command{Program: helm, Args: args})
	return stdout, err
}

// Apply applies a manifest, server-side.
func (c *Cluster) Apply(ctx context.Context, manifest string) error {
	_, _, err := c.Run(ctx, Command{
		Program: kubectl, Args: []string{"apply", "--server-side", "--force-conflicts", "-f", "-"}, Stdin: manifest,
	})
	return err
}

// Command is a program of the [Kit] to run.
type Command struct {
	Program string // kubectl or helm, or the path of another one
	Args    []string
	Stdin   string

	// Kubeconfig says as whom; default: the administrator.
	Kubeconfig string

	// Env are further variables, as NAME=VALUE. The last one of a name counts.
	Env []string
}

// Run runs a command and gives what it prints. If it fails the error is a
// [CommandError].
func (c *Cluster) Run(ctx context.Context, command Command) (stdout, stderr string, err error) {
	kubeconfig := command.Kubeconfig
	if kubeconfig == "" {
		kubeconfig = c.Kubeconfig
	}
	program := command.Program
	if !filepath.IsAbs(program) {
		program = c.cfg.Kit.program(program)
	}
	cmd := exec.CommandContext(ctx, program, command.Args...)
	cmd.WaitDelay = 5 * time.Second
	// Nothing that a person has configured for clusters of their own.
	home := c.path("home")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "KUBECONFIG=" + kubeconfig, "KUBECACHEDIR=" + c.path("home", "cache")}, command.Env...)
	cmd.Stdin = strings.NewReader(command.Stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), errs.String(), &CommandError{
			Command: command.Program + " " + strings.Join(command.Args, " "), Stderr: errs.String(), Err: err,
		}
	}
	return out.String(), errs.String(), nil
}

// KubeconfigOf makes a kubeconfig with a token of a ServiceAccount that is
// there, and gives the file. The token is good for 30 days: nobody renews it.
func (c *Cluster) KubeconfigOf(ctx context.Context, namespace, account string) (string, error) {
	token, err := c.Kubectl(ctx, "create", "token", account, "--namespace", namespace, "--duration=720h")
	if err != nil {
		return "", err
	}
	file := c.path("kubeconfig-" + namespace + "-" + account)
	return file, c.writeKubeconfig(file, strings.TrimSpace(token))
}

func (c *Cluster) writeKubeconfig(file, token string) error {
	return os.WriteFile(file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: local
contexts:
  - name: local
    context: {cluster: local, user: local}
clusters:
  - name: local
    cluster:
      server: %s
      certificate-authority-data: %s
users:
  - name: local
    user: {token: %s}
`, c.server, base64.StdEncoding.EncodeToString(c.authority.CertPEM()), token), 0o600)
}
