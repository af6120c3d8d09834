// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Command cluster starts a real cluster on loopback that goes on when the
// command ends, and ends it:
//
//	cluster build   the programs of others that a cluster is made of, once for their versions
//	cluster up      builds too
//	cluster down
//
// Run it with "make cluster" and "make cluster-down", from the root of the
// repository. What the cluster writes is in .cache/cluster/run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && ctx.Err() != nil {
		// What that interrupted is of no interest, but what could not be ended is.
		err = fmt.Errorf("interrupted: %w", err)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat("scripts/cluster/go.mod"); err != nil {
		return errors.New("run it from the root of the repository: make cluster")
	}
	switch {
	case len(args) == 1 && args[0] == "build":
		_, err := localcluster.BuildKit(ctx, root, stdout)
		return err
	case len(args) == 1 && args[0] == "up":
		return up(ctx, root, stdout)
	case len(args) == 1 && args[0] == "down":
		return down(root, stdout)
	default:
		return errors.New("usage: cluster build | up | down")
	}
}

func up(ctx context.Context, root string, stdout io.Writer) error {
	dir := runFolder(root)
	kit, err := localcluster.BuildKit(ctx, root, stdout)
	if err != nil {
		return err
	}
	running, gone, err := localcluster.Left(dir)
	if err != nil {
		return err
	}
	if len(running) > 0 && len(gone) > 0 {
		return fmt.Errorf("of the cluster that runs already, %s ended (see %s); end the rest with make cluster-down",
			strings.Join(gone, " and "), filepath.Join(dir, "logs"))
	}
	if len(running) > 0 {
		fmt.Fprint(stdout, "The cluster runs already; make cluster-down ends it.\n")
		help(stdout, kit, filepath.Join(dir, "kubeconfig"))
		return nil
	}

	fmt.Fprintln(stdout, "Starting a cluster on 127.0.0.1:")
	c, err := localcluster.Start(ctx, localcluster.Config{
		Root: root, Dir: dir, Kit: kit, Programs: filepath.Join(root, "bin"), Progress: stdout,
	})
	if err != nil {
		return err
	}
	if err := enforce(ctx, root, c); err != nil {
		return errors.Join(err, c.Stop())
	}
	if err := c.Detach(); err != nil {
		return errors.Join(err, c.Stop())
	}
	fmt.Fprintf(stdout, "It runs until make cluster-down. Logs: %s\n", filepath.Join(dir, "logs"))
	help(stdout, kit, c.Kubeconfig)
	return nil
}

// enforce applies the constraint of namespace production, after a Pod that it
// would have refused, for audit to find.
func enforce(ctx context.Context, root string, c *localcluster.Cluster) error {
	if err := c.Apply(ctx, before); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(root, constraint)); err != nil {
		return err
	}
	return c.WaitForConstraint(ctx, "signed-images-in-production")
}

const (
	signed     = "examples/01-signed.yaml"
	unsigned   = "examples/02-unsigned.yaml"
	constraint = "policies/library/k8sendorsignedimages/samples/production/constraint.yaml"

	before = `
apiVersion: v1
kind: Pod
metadata:
  name: there-before-the-policy
  namespace: production
spec:
  containers:
    - name: app
      image: ghcr.io/acme/unsigned@sha256:90ea61390c930d801de16b99da580e38656a648d03ddd2ad4a84bf1a1c6e406c
`
)

func help(stdout io.Writer, kit localcluster.Kit, kubeconfig string) {
	fmt.Fprintf(stdout, `
For kubectl and helm, also those that were built with the cluster:

  export KUBECONFIG=%s
  export PATH=%s:$PATH

Try:

  # Signed by a repository of acme: admitted.
  kubectl apply -f %s

  # Nobody signed it: refused, and why. (With --dry-run=server nothing is kept.)
  kubectl apply --dry-run=server -f %s

  # What was there before the policy, as audit finds it every few seconds.
  kubectl get k8sendorsignedimages -o jsonpath='{range .items[*].status.violations[*]}{.message}{"\n"}{end}'
`, quote(kubeconfig), quote(kit.Bin()), signed, unsigned)
}

// quote makes a word for a shell.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func down(root string, stdout io.Writer) error {
	ended, err := localcluster.Down(runFolder(root))
	if err != nil {
		return err
	}
	if len(ended) == 0 {
		fmt.Fprintln(stdout, "No cluster runs that make cluster started.")
		return nil
	}
	fmt.Fprintln(stdout, "Ended:", strings.Join(ended, ", "))
	return nil
}

func runFolder(root string) string { return filepath.Join(root, ".cache", "cluster", "run") }
