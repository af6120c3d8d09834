// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package inventory reads from a cluster what a report of its images needs:
// constraints, namespaces, what Gatekeeper leaves out, and everything that runs
// images, with its topmost owners.
//
// It only reads, in pages, and keeps no objects: a cluster may hold more than
// fits into memory. What may not be read is a [ReadError] that names verb and
// resource, so that a reader can go on with the rest and say what is missing.
package inventory

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/apianswer"
)

// Cluster is a cluster to be read.
type Cluster struct {
	objects   dynamic.Interface
	metadata  metadata.Interface
	discovery discovery.DiscoveryInterface
}

// New gives the cluster that cfg reaches. It does not call it.
func New(cfg *rest.Config) (*Cluster, error) {
	// The server has priorities of its own for its callers; a second brake here
	// would only make a report of many pages slow.
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	apianswer.Bound(cfg)
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	owners, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return &Cluster{objects: objects, metadata: owners, discovery: kinds}, nil
}

// Objects is the client of the cluster, for what is to be written.
func (c *Cluster) Objects() dynamic.Interface { return c.objects }

// ReadError is something that could not be read.
type ReadError struct {
	Verb      string // get or list
	Resource  schema.GroupResource
	Namespace string // empty for all of them, and for what has none
	Err       error
}

func (e *ReadError) Error() string {
	where := ""
	if e.Namespace != "" {
		where = " in namespace " + e.Namespace
	}
	if !apierrors.IsForbidden(e.Err) {
		return fmt.Sprintf("cannot %s %s%s: %v", e.Verb, e.Resource, where, e.Err)
	}
	group := "the core API group"
	if e.Resource.Group != "" {
		group = "API group " + e.Resource.Group
	}
	return fmt.Sprintf("may not %s %s%s: allow the verb %s on %s of %s", e.Verb, e.Resource, where, e.Verb, e.Resource.Resource, group)
}

func (e *ReadError) Unwrap() error { return e.Err }

func readError(verb string, gvr schema.GroupVersionResource, namespace string, err error) error {
	if err == nil {
		return nil
	}
	return &ReadError{Verb: verb, Resource: gvr.GroupResource(), Namespace: namespace, Err: err}
}
