// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package inventorytest is an API server that can be read: it serves discovery,
// objects, and lists in pages, by limit and continue token. It can forbid verbs
// and forget the version of a list, as real ones do, and knows what it was asked
// for.
//
// The zero value of [Server] is an empty cluster. It is an [http.Handler], to be
// put behind httptest or any listener.
package inventorytest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
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
		Name: name, Kind: kind, Namespaced: namespaced, Group: gv.Group, Version: gv.Version, Verbs: metav1.Verbs{"get", "list", "patch"},
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

// ServeHTTP serves a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	s.init()
	hook := s.onList
	s.mu.Unlock()
	target, ok := parse(req.URL.Path)
	if hook != nil && ok && target.name == "" && target.resource != "" {
		hook(target.resource)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !ok:
		s.discover(w, req.URL.Path)
	case target.resource == "":
		s.discoverVersion(w, target.groupVersion)
	default:
		s.serve(w, req, target)
	}
}

// target is what a path names.
type target struct{ groupVersion, namespace, resource, name string }

func parse(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var t target
	switch {
	case parts[0] == "api" && len(parts) >= 2:
		t.groupVersion, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) >= 3:
		t.groupVersion, parts = parts[1]+"/"+parts[2], parts[3:]
	default:
		return t, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		t.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 0 {
		t.resource = parts[0]
	}
	if len(parts) > 1 {
		t.name = parts[1]
	}
	return t, true
}

func (s *Server) serve(w http.ResponseWriter, req *http.Request, t target) {
	r := s.resources[t.groupVersion+"/"+t.resource]
	if r == nil {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "")
		return
	}
	verb := map[string]string{http.MethodGet: "list", http.MethodPatch: "patch"}[req.Method]
	if verb == "list" && t.name != "" {
		verb = "get"
	}
	called := verb + " " + schema.GroupResource{Group: r.Group, Resource: r.Name}.String()
	s.asked[called]++
	switch {
	case s.forbidden[called]:
		fail(w, http.StatusForbidden, metav1.StatusReasonForbidden, "")
	case verb == "list":
		s.list(w, req, r, t)
	case verb == "get":
		s.get(w, r, t)
	case verb == "patch":
		s.apply(w, req, r, t)
	default:
		fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "")
	}
}

func (s *Server) get(w http.ResponseWriter, r *resource, t target) {
	i, found := slices.BinarySearchFunc(r.items, item{namespace: t.namespace, name: t.name}, compare)
	if !found {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "")
		return
	}
	answer(w, http.StatusOK, r.items[i].raw)
}

func (s *Server) apply(w http.ResponseWriter, req *http.Request, r *resource, t target) {
	o := &unstructured.Unstructured{}
	raw, err := io.ReadAll(req.Body)
	if err == nil {
		err = json.Unmarshal(raw, &o.Object)
	}
	if err != nil || req.URL.Query().Get("fieldManager") == "" {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "")
		return
	}
	s.put(r, o)
	answer(w, http.StatusOK, json.RawMessage(raw))
}

// list serves a page. The token is where the next one begins.
func (s *Server) list(w http.ResponseWriter, req *http.Request, r *resource, t target) {
	query := req.URL.Query()
	limit, _ := strconv.Atoi(query.Get("limit"))
	s.limits = append(s.limits, limit)
	items := r.items
	if t.namespace != "" {
		items = slices.DeleteFunc(slices.Clone(items), func(i item) bool { return i.namespace != t.namespace })
	}
	from := 0
	if token := query.Get("continue"); token != "" {
		from, _ = strconv.Atoi(strings.TrimPrefix(token, "at-"))
		left, expires := s.expiring[r.Name]
		if expires && left <= 1 {
			delete(s.expiring, r.Name)
			resume := token
			if s.gone[r.Name] {
				resume = ""
			}
			fail(w, http.StatusGone, metav1.StatusReasonExpired, resume)
			return
		}
		if expires {
			s.expiring[r.Name] = left - 1
		}
	}
	from = min(from, len(items))
	to := len(items)
	if limit > 0 {
		to = min(from+limit, to)
	}
	meta := map[string]any{"resourceVersion": "1"}
	if to < len(items) {
		meta["continue"] = "at-" + strconv.Itoa(to)
		meta["remainingItemCount"] = len(items) - to
	}
	only := strings.Contains(req.Header.Get("Accept"), "PartialObjectMetadataList")
	page := make([]json.RawMessage, 0, to-from)
	for _, i := range items[from:to] {
		page = append(page, shown(i.raw, only))
	}
	body := map[string]any{"apiVersion": t.groupVersion, "kind": r.Kind + "List", "metadata": meta, "items": page}
	if only {
		body["apiVersion"], body["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	answer(w, http.StatusOK, body)
}

// shown is an object as a list has it: whole, or its metadata.
func shown(raw json.RawMessage, metadataOnly bool) json.RawMessage {
	if !metadataOnly {
		return raw
	}
	var o struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		panic(err)
	}
	return json.RawMessage(`{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":` + string(o.Metadata) + `}`)
}

func (s *Server) discover(w http.ResponseWriter, path string) {
	switch path {
	case "/api":
		answer(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case "/apis":
		list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		seen := map[string]bool{"": true}
		for _, key := range slices.Sorted(maps.Keys(s.resources)) {
			r := s.resources[key]
			if seen[r.Group] {
				continue
			}
			seen[r.Group] = true
			version := metav1.GroupVersionForDiscovery{GroupVersion: r.Group + "/" + r.Version, Version: r.Version}
			list.Groups = append(list.Groups, metav1.APIGroup{Name: r.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version})
		}
		answer(w, http.StatusOK, list)
	default:
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "")
	}
}

func (s *Server) discoverVersion(w http.ResponseWriter, groupVersion string) {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: groupVersion}
	for _, key := range slices.Sorted(maps.Keys(s.resources)) {
		if strings.HasPrefix(key, groupVersion+"/") && strings.Count(key, "/") == strings.Count(groupVersion, "/")+1 {
			list.APIResources = append(list.APIResources, s.resources[key].APIResource)
		}
	}
	if len(list.APIResources) == 0 {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "")
		return
	}
	answer(w, http.StatusOK, list)
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, resume string) {
	answer(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, ListMeta: metav1.ListMeta{Continue: resume},
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: string(reason),
	})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that went away
}
