// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	configv1alpha1 "github.com/open-policy-agent/gatekeeper/v3/apis/config/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// IgnoreLabel on a namespace keeps Gatekeeper's webhook from being called for
// what is in it, whatever its value.
const IgnoreLabel = "admission.gatekeeper.sh/ignore"

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// ErrNoNamespace says that a namespace that was named is not there.
var ErrNoNamespace = errors.New("the cluster has no namespace")

// Namespaces reads all namespaces, or the one that is named, as far as they
// matter to a constraint: name, labels and annotations. The error wraps
// [ErrNoNamespace] if the one that is named is not there.
func (c *Cluster) Namespaces(ctx context.Context, name string) (map[string]*corev1.Namespace, error) {
	found := map[string]*corev1.Namespace{}
	if name != "" {
		u, err := c.objects.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("%w %s", ErrNoNamespace, name)
		}
		if err != nil {
			return nil, readError("get", namespaces, "", err)
		}
		found[name] = slimNamespace(u)
		return found, nil
	}
	err := c.visit(ctx, namespaces, "", func(items []unstructured.Unstructured) error {
		for i := range items {
			found[items[i].GetName()] = slimNamespace(&items[i])
		}
		return nil
	})
	return found, err
}

func slimNamespace(u *unstructured.Unstructured) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: u.GetName(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(), UID: u.GetUID()},
	}
}

// Exclusions are the namespaces that Gatekeeper's Config object leaves out. The
// zero value leaves out none.
type Exclusions struct {
	entries []configv1alpha1.MatchEntry
}

// Process is a part of Gatekeeper from which namespaces can be left out.
type Process string

// The processes that judge objects.
const (
	Webhook Process = "webhook"
	Audit   Process = "audit"
)

// Excluded says whether a process passes over a namespace.
func (e Exclusions) Excluded(process Process, namespace string) bool {
	for _, entry := range e.entries {
		if !slices.Contains(entry.Processes, string(process)) && !slices.Contains(entry.Processes, "*") {
			continue
		}
		for _, pattern := range entry.ExcludedNamespaces {
			if namespace != "" && pattern.Matches(namespace) {
				return true
			}
		}
	}
	return false
}

var configs = schema.GroupVersionResource{Group: "config.gatekeeper.sh", Version: "v1alpha1", Resource: "configs"}

// configName is the only name of a Config object that Gatekeeper heeds.
const configName = "config"

// Exclusions reads Gatekeeper's Config object in the namespace where it is
// installed. That there is none is no error.
func (c *Cluster) Exclusions(ctx context.Context, gatekeeperNamespace string) (Exclusions, error) {
	u, err := c.objects.Resource(configs).Namespace(gatekeeperNamespace).Get(ctx, configName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Exclusions{}, nil
	}
	if err != nil {
		return Exclusions{}, readError("get", configs, gatekeeperNamespace, err)
	}
	var config configv1alpha1.Config
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &config); err != nil {
		return Exclusions{}, fmt.Errorf("cannot read Gatekeeper's Config %s/%s: %w", gatekeeperNamespace, configName, err)
	}
	return Exclusions{entries: config.Spec.Match}, nil
}
