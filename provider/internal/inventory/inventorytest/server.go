// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package inventorytest is an API server that can be read: it serves discovery,
// objects, and lists in pages, by limit and continue token. It can forbid verbs
// and forget the version of a list, as real ones do, and knows what it was asked
// for. Selectors are not looked at.
//
// The zero value of [Server] is an empty cluster. It is an [http.Handler], to be
// put behind httptest or any listener.
package inventorytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Server is a cluster that can be read, and to which objects can be applied.
type Server struct {
	mu        sync.Mutex
	resources map[string]*resource // :: group/version/resource
	forbidden map[string]bool      // :: "verb resource" or "verb resource.group"
	expiring  map[string]int       // :: resource -> pages until its version is forgotten
	gone      map[string]bool      // :: resource -> forgotten without a token to go on with
	asked     map[string]int       // :: "verb resource[.group]"
	limits    []int                // of lists, as asked
	onList    func(resource string)
}

type resource struct {
	metav1.APIResource
	items []item // by namespace and name
}

type item struct {
	namespace, name string
	raw             json.RawMessage
}

// builtin are the resources that every server knows.
var builtin = []struct{ groupVersion, resource, kind string }{
	{"v1", "namespaces", "Namespace"}, {"v1", "pods", "Pod"}, {"v1", "podtemplates", "PodTemplate"},
	{"v1", "replicationcontrollers", "ReplicationController"},
	{"apps/v1", "deployments", "Deployment"}, {"apps/v1", "statefulsets", "StatefulSet"},
	{"apps/v1", "daemonsets", "DaemonSet"}, {"apps/v1", "replicasets", "ReplicaSet"},
	{"batch/v1", "jobs", "Job"}, {"batch/v1", "cronjobs", "CronJob"},
}

func (s *Server) init() {
	if s.resources != nil {
		return
	}
	s.resources, s.asked = map[string]*resource{}, map[string]int{}
	s.forbidden, s.expiring, s.gone = map[string]bool{}, map[string]int{}, map[string]bool{}
	for _, b := range builtin {
		s.define(b.groupVersion, b.resource, b.kind, b.kind != "Namespace")
	}
}

func (s *Server) define(groupVersion, name, kind string, namespaced bool) {
	gv, err := schema.ParseGroupVersion(groupVersion)
	if err != nil {
		panic(err)
	}
	s.resources[groupVersion+"/"+name] = &resource{APIResource: metav1.APIResource{
		Name: name, Kind: kind, Namespaced: namespaced, Group: gv.Group, Version: gv.Version, Verbs: metav1.Verbs{"get", "list", "patch", "delete"},
	}}
}

// Define makes a kind known, as a CustomResourceDefinition does.
func (s *Server) Define(groupVersion, name, kind string, namespaced bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if s.resources[groupVersion+"/"+name] == nil {
		s.define(groupVersion, name, kind, namespaced)
	}
}

// Put adds or replaces objects, whose kinds must be known.
func (s *Server) Put(objects ...*unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	for _, o := range objects {
		s.put(s.kind(o.GroupVersionKind()), o)
	}
}

func (s *Server) kind(gvk schema.GroupVersionKind) *resource {
	for _, r := range s.resources {
		if r.Group == gvk.Group && r.Version == gvk.Version && r.Kind == gvk.Kind {
			return r
		}
	}
	panic(fmt.Sprintf("the server knows no kind %s", gvk))
}

func (s *Server) put(r *resource, o *unstructured.Unstructured) {
	raw, err := o.MarshalJSON()
	if err != nil {
		panic(err)
	}
	entry := item{o.GetNamespace(), o.GetName(), raw}
	i, found := slices.BinarySearchFunc(r.items, entry, compare)
	if found {
		r.items[i] = entry
		return
	}
	r.items = slices.Insert(r.items, i, entry)
}

func compare(a, b item) int {
	if c := strings.Compare(a.namespace, b.namespace); c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// Remove takes an object away.
func (s *Server) Remove(o *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.kind(o.GroupVersionKind())
	r.items = slices.DeleteFunc(r.items, func(i item) bool { return i.namespace == o.GetNamespace() && i.name == o.GetName() })
}

// Forbid answers 403 to a verb on a resource, such as list and pods, or get and
// configs.config.gatekeeper.sh.
func (s *Server) Forbid(verb, resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	s.forbidden[verb+" "+resource] = true
}

// Expire forgets the version of the next list of a resource after so many pages,
// once. With resumable it offers a token to go on with, as API servers do as
// long as they can.
func (s *Server) Expire(resource string, pages int, resumable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	s.expiring[resource] = pages
	s.gone[resource] = !resumable
}

// OnList calls f before a page of a list is served.
func (s *Server) OnList(f func(resource string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onList = f
}

// Asked gives how often each verb on a resource was asked for, as "list pods".
func (s *Server) Asked() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.asked)
}

// Limits are those of all lists, in order.
func (s *Server) Limits() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.limits)
}

// Get gives an object, nil if there is none.
func (s *Server) Get(gvk schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	r := s.kind(gvk)
	i, found := slices.BinarySearchFunc(r.items, item{namespace: namespace, name: name}, compare)
	if !found {
		return nil
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(r.items[i].raw); err != nil {
		panic(err)
	}
	return o
}
