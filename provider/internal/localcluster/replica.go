// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Replica is a process of the provider beside [Cluster.Provider]: of another
// release, or another one of the same.
type Replica struct {
	*Process

	// Address is where it serves Gatekeeper, and OpsURL probes and metrics.
	Address, OpsURL string

	cluster   *Cluster
	overrides []string
}

// NewReplica makes a replica, with flags that win over those of its Deployment.
// [Cluster.Stop] ends it. No other replica of the cluster may have the name. It
// is not for several goroutines at once.
func (c *Cluster) NewReplica(name string, flags ...string) (*Replica, error) {
	r := &Replica{cluster: c}
	var ops string
	if err := c.ports.addresses(&r.Address, &ops); err != nil {
		return nil, err
	}
	r.OpsURL = "http://" + ops
	r.overrides = append([]string{"--listen-address=" + r.Address, "--ops-address=" + ops, "--endor-api=" + c.EmulatorURL}, flags...)
	r.Process = c.add(&Process{
		Name: name, program: filepath.Join(c.cfg.Programs, program), ready: answers(http.DefaultClient, r.OpsURL+"/readyz"),
	})
	return r, nil
}

// FreeAddress gives an address of loopback where nothing else of the cluster
// listens.
func (c *Cluster) FreeAddress() (string, error) { return c.ports.address() }

// Load makes the next start one with the arguments, variables, mounted files and
// ServiceAccount of a Deployment as it is now. The files are replaced at once,
// as a kubelet does for a container that runs.
func (r *Replica) Load(ctx context.Context, namespace, deployment string) error {
	made, err := r.cluster.containerOf(ctx, namespace, deployment, r.cluster.path("replicas", r.Name))
	if err != nil {
		return err
	}
	r.Args, r.Env = append(made.args, r.overrides...), made.env
	return nil
}

// containerOf is the first container of a Deployment's Pods.
func (c *Cluster) containerOf(ctx context.Context, namespace, name, dir string) (container, error) {
	object, err := c.Dynamic.Resource(deployments).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return container{}, err
	}
	var deployment appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment); err != nil {
		return container{}, err
	}
	made, err := c.container(ctx, namespace, deployment.Spec.Template.Spec, dir)
	if err != nil {
		return container{}, fmt.Errorf("the Deployment %s: %w", name, err)
	}
	return made, nil
}

// Reinstall installs the provider's chart again after it was uninstalled, with
// the provider and all that [Start] waits for.
func (c *Cluster) Reinstall(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.installChart, c.Provider.Restart, c.waitForGatekeeper} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}
