// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds that Gatekeeper serves.
var (
	templates   = schema.GroupVersionResource{Group: "templates.gatekeeper.sh", Version: "v1", Resource: "constrainttemplates"}
	Providers   = schema.GroupVersionResource{Group: "externaldata.gatekeeper.sh", Version: "v1beta1", Resource: "providers"}
	Constraints = schema.GroupVersionResource{Group: "constraints.gatekeeper.sh", Version: "v1beta1", Resource: "k8sendorsignedimages"}
)

// waitTimeout is how long Gatekeeper gets to take in what was applied.
const waitTimeout = time.Minute

// WaitForTemplates waits until both programs of Gatekeeper have taken in every
// ConstraintTemplate as it is now, and its kind of constraint can be applied.
func (c *Cluster) WaitForTemplates(ctx context.Context) error {
	return c.wait(ctx, "ConstraintTemplates", func(ctx context.Context) error {
		list, err := c.Dynamic.Resource(templates).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, template := range list.Items {
			if err := taken(template, ""); err != nil {
				return err
			}
		}
		_, err = c.Dynamic.Resource(Constraints).List(ctx, metav1.ListOptions{Limit: 1})
		return err
	})
}

// WaitForConstraint waits until both programs of Gatekeeper enforce the
// constraint of that name as it is now.
func (c *Cluster) WaitForConstraint(ctx context.Context, name string) error {
	return c.wait(ctx, "the constraint "+name, func(ctx context.Context) error {
		constraint, err := c.Dynamic.Resource(Constraints).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return taken(*constraint, "enforced")
	})
}

// WaitForProvider waits until both programs of Gatekeeper have taken in the
// Provider as it is now.
func (c *Cluster) WaitForProvider(ctx context.Context) error {
	return c.WaitForProviderNamed(ctx, Release)
}

// WaitForProviderNamed is [Cluster.WaitForProvider] for one of another release.
func (c *Cluster) WaitForProviderNamed(ctx context.Context, name string) error {
	return c.wait(ctx, "the Provider "+name, func(ctx context.Context) error {
		provider, err := c.Dynamic.Resource(Providers).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return taken(*provider, "active")
	})
}

// wait polls until there is no error, and tells what it waited for.
func (c *Cluster) wait(ctx context.Context, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("not after %s", waitTimeout))
	defer cancel()
	if err := poll(ctx, ask); err != nil {
		return fmt.Errorf("wait until Gatekeeper takes in %s (see %s and %s): %w", what, c.Gatekeeper.LogFile(), c.Audit.LogFile(), err)
	}
	return nil
}

// taken gives an error unless status.byPod tells of both programs of
// Gatekeeper that they took in the object as it is now, and field, if any, is
// true.
func taken(object unstructured.Unstructured, field string) error {
	byPod, _, err := unstructured.NestedSlice(object.Object, "status", "byPod")
	if err != nil {
		return err
	}
	left := map[string]bool{gatekeeperPod: true, auditPod: true}
	for _, entry := range byPod {
		status, _ := entry.(map[string]any)
		id, _, _ := unstructured.NestedString(status, "id")
		if problems, _, _ := unstructured.NestedSlice(status, "errors"); len(problems) > 0 {
			return fmt.Errorf("%s: %v", id, problems)
		}
		observed, _, _ := unstructured.NestedInt64(status, "observedGeneration")
		uid, _, _ := unstructured.NestedString(status, uidField(object))
		is := field == ""
		if !is {
			is, _, _ = unstructured.NestedBool(status, field)
		}
		if is && observed == object.GetGeneration() && uid == string(object.GetUID()) {
			delete(left, id)
		}
	}
	if len(left) > 0 {
		return errors.New("its status does not tell so yet")
	}
	return nil
}

// uidField is where an entry of status.byPod names the object that it is
// about, which may have been deleted and made again.
func uidField(object unstructured.Unstructured) string {
	switch object.GetKind() {
	case "ConstraintTemplate":
		return "templateUID"
	case "Provider":
		return "providerUID"
	default:
		return "constraintUID"
	}
}
