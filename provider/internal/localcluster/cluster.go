// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package localcluster runs a real cluster on loopback, without containers:
// etcd, kube-apiserver, kube-controller-manager and Gatekeeper, which
// [BuildKit] builds, with the provider and the emulator of Endor Labs, each a
// process of its own.
//
// It has no nodes. Pods can be created and are never run, so that admission,
// controllers and Gatekeeper's audit are as in any other cluster, and what a
// kubelet does is not; [Kubelet] stands in for it where a Job has to end.
//
// No program that is shipped imports it.
package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

// Config configures [Start].
type Config struct {
	// Root is the folder of the repository.
	Root string

	// Dir is a folder for everything that is written: state, certificates, data
	// and logs. What an earlier cluster left in it is removed; what this one
	// leaves is kept.
	Dir string

	Kit Kit

	// Programs is a folder with endor-gatekeeper-provider and endor-emulator.
	Programs string

	// GatekeeperDefaults lets Gatekeeper run as its chart is by default.
	// Otherwise it has the values that deploy/gatekeeper recommends.
	GatekeeperDefaults bool

	// FailurePolicy of Gatekeeper's webhook, Fail or Ignore; default: as the
	// values say.
	FailurePolicy string

	// WebhookTimeout is how long the API server waits for Gatekeeper, in whole
	// seconds; default: as the values say.
	WebhookTimeout time.Duration

	// ServingThreads is how many reviews Gatekeeper does at once, -1 for one on
	// each core; default: as the values say.
	ServingThreads int

	// ResponseCacheTTL is how long Gatekeeper believes an answer of a provider,
	// in whole seconds; default: as the values say. If negative, it asks each
	// time.
	ResponseCacheTTL time.Duration

	// AuditInterval is the time between two audits, in whole seconds; 5s by
	// default, and 60s is Gatekeeper's own.
	AuditInterval time.Duration

	// ChartArgs are further arguments of helm install for the provider's chart,
	// such as "--set", "tls.mode=generated".
	ChartArgs []string

	// ProviderArgs are flags of endor-gatekeeper-provider serve that win over
	// those of the chart.
	ProviderArgs []string

	// Progress is told what is being done; io.Discard by default.
	Progress io.Writer
}

func (c Config) withDefaults() Config {
	if c.AuditInterval == 0 {
		c.AuditInterval = 5 * time.Second
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c
}

// Namespaces of Gatekeeper and of the provider.
const (
	GatekeeperNamespace = "gatekeeper-system"
	ProviderNamespace   = "endor-gatekeeper-provider"
)

// Release is the provider's release of helm and what it names its objects, and
// Chart is its chart, in the repository.
const (
	Release = "endor-gatekeeper-provider"
	Chart   = "charts/endor-gatekeeper-provider"
)

// program is the provider's.
const program = "endor-gatekeeper-provider"

// Cluster is a running cluster.
type Cluster struct {
	// Kubeconfig is the file with which one may do everything.
	Kubeconfig string

	// Dynamic may do everything, without a limit on requests.
	Dynamic dynamic.Interface

	// The programs, all of which run after [Start].
	Etcd, APIServer, ControllerManager, Gatekeeper, Audit, Emulator, Provider *Process

	// EmulatorURL is where the emulator serves, with its admin API.
	EmulatorURL string

	// ProviderURL is where the provider serves Gatekeeper, and OpsURL probes and
	// metrics.
	ProviderURL, OpsURL string

	// GatekeeperCA has issued Gatekeeper's certificate.
	GatekeeperCA *certs.Authority

	cfg       Config
	state     *state
	processes []*Process // in the order of their start
	ports     ports
	authority *certs.Authority // of the API server
	server    string           // URL of the API server
	token     string           // of the administrator

	overrides     []string                  // flags of the provider that win over the chart's
	webhook       string                    // address of Gatekeeper's
	webhookObject unstructured.Unstructured // as the chart renders it
}

// Start starts a cluster and waits until it decides about Pods: the provider's
// chart is installed, with the policy, and runs, the namespaces production and
// staging are there, and no constraint. [Cluster.Stop] must be called, unless
// Start fails: then nothing runs.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg = cfg.withDefaults()
	if err := claim(cfg.Dir); err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, Kubeconfig: filepath.Join(cfg.Dir, "kubeconfig")}
	var err error
	if c.state, err = newState(cfg.Dir); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// claim empties a state folder in which no cluster runs, and ends what an
// owner that was killed left running.
func claim(dir string) error {
	switch s, err := readState(dir); {
	case err != nil:
		return err
	case s.Owner != nil && s.Owner.alive():
		return fmt.Errorf("the cluster in %s belongs to %s, process %d, which still runs; wait for it or end it",
			dir, s.Owner.Name, s.Owner.PID)
	case s.Owner == nil && len(s.running()) > 0:
		return fmt.Errorf("a cluster runs in %s; end it with: make cluster-down", dir)
	default:
		if _, err := s.end(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.prepare(); err != nil {
		return err
	}
	steps := []struct {
		says string
		do   func(context.Context) error
	}{
		{"etcd", c.Etcd.Start},
		{"kube-apiserver", c.APIServer.Start},
		{"namespaces and Gatekeeper's CRDs", c.installGatekeeper},
		{"kube-controller-manager, endor-emulator, Gatekeeper's webhook and audit", c.startTheRest},
		{"the chart of the provider", c.installChart},
		{"endor-gatekeeper-provider", c.Provider.Start},
		{"Gatekeeper knows provider and policy", c.waitForGatekeeper},
	}
	for _, step := range steps {
		start := time.Now()
		if err := step.do(ctx); err != nil {
			return err
		}
		fmt.Fprintf(c.cfg.Progress, "  %4.1f s  %s\n", time.Since(start).Seconds(), step.says)
	}
	return nil
}

// prepare makes everything that needs no running program.
func (c *Cluster) prepare() error {
	if err := c.prepareControlPlane(); err != nil {
		return err
	}
	if err := c.prepareProvider(); err != nil {
		return err
	}
	return c.prepareGatekeeper()
}

func (c *Cluster) startTheRest(ctx context.Context) error {
	// None needs another in order to become ready.
	g, each := errgroup.WithContext(ctx)
	for _, p := range []*Process{c.ControllerManager, c.Emulator, c.Gatekeeper, c.Audit} {
		g.Go(func() error { return p.Start(each) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.applyWebhook(ctx)
}

func (c *Cluster) waitForGatekeeper(ctx context.Context) error {
	if err := c.WaitForTemplates(ctx); err != nil {
		return err
	}
	return c.WaitForProvider(ctx)
}

// Stop ends the programs of the cluster and waits for them. It may be called
// again.
func (c *Cluster) Stop() error {
	reversed := slices.Clone(c.processes)
	slices.Reverse(reversed)
	if err := stop(downTimeout, reversed...); err != nil {
		return err
	}
	return c.state.forget()
}

// Detach leaves the programs running when this one ends. [Down] ends them.
func (c *Cluster) Detach() error { return c.state.disown() }

// Down ends the programs of the cluster that was started in dir, of which it
// gives the names, and no other: not those that got the number of one that is
// gone.
func Down(dir string) ([]string, error) {
	s, err := readState(dir)
	if err != nil {
		return nil, err
	}
	if s.Owner != nil && s.Owner.alive() {
		return nil, fmt.Errorf("the cluster in %s belongs to %s, process %d, which ends it at its own end", dir, s.Owner.Name, s.Owner.PID)
	}
	return s.end()
}

// Left gives the names of the programs that run of a cluster that was started in
// dir and left running, and of those that ended since.
func Left(dir string) (running, gone []string, err error) {
	s, err := readState(dir)
	if err != nil || s.Owner != nil {
		return nil, nil, err
	}
	for _, m := range s.Processes {
		if m.alive() {
			running = append(running, m.Name)
		} else {
			gone = append(gone, m.Name)
		}
	}
	return running, gone, nil
}

// add makes a process that Stop ends.
func (c *Cluster) add(p *Process) *Process {
	p.dir, p.state = c.cfg.Dir, c.state
	c.processes = append(c.processes, p)
	return p
}

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.cfg.Dir}, elements...)...)
}
