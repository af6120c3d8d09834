// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventorytest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/kubetest"
)

// ServeHTTP serves a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	s.init()
	hook := s.onList
	s.mu.Unlock()
	target, ok := kubetest.Parse(req.URL.Path)
	if hook != nil && ok && target.Name == "" && target.Resource != "" {
		hook(target.Resource)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !ok:
		s.discover(w, req.URL.Path)
	case target.Resource == "":
		s.discoverVersion(w, target.GroupVersion().String())
	default:
		s.serve(w, req, target)
	}
}

func (s *Server) serve(w http.ResponseWriter, req *http.Request, t kubetest.Target) {
	r := s.resources[t.GroupVersion().String()+"/"+t.Resource]
	if r == nil {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	verb := map[string]string{http.MethodGet: "list", http.MethodPatch: "patch", http.MethodDelete: "delete"}[req.Method]
	if verb == "list" && t.Name != "" {
		verb = "get"
	}
	called := verb + " " + schema.GroupResource{Group: r.Group, Resource: r.Name}.String()
	s.asked[called]++
	switch {
	case s.forbidden[called]:
		fail(w, http.StatusForbidden, metav1.StatusReasonForbidden)
	case verb == "list":
		s.list(w, req, r, t)
	case verb == "get":
		s.get(w, r, t)
	case verb == "patch":
		s.apply(w, req, r)
	case verb == "delete":
		r.items = slices.DeleteFunc(r.items, func(i item) bool { return i.namespace == t.Namespace && i.name == t.Name })
		kubetest.Answer(w, http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
	default:
		fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed)
	}
}

func (s *Server) get(w http.ResponseWriter, r *resource, t kubetest.Target) {
	i, found := slices.BinarySearchFunc(r.items, item{namespace: t.Namespace, name: t.Name}, compare)
	if !found {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	kubetest.Answer(w, http.StatusOK, r.items[i].raw)
}

func (s *Server) apply(w http.ResponseWriter, req *http.Request, r *resource) {
	o := &unstructured.Unstructured{}
	raw, err := io.ReadAll(req.Body)
	if err == nil {
		err = json.Unmarshal(raw, &o.Object)
	}
	if err != nil || req.URL.Query().Get("fieldManager") == "" {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	s.put(r, o)
	kubetest.Answer(w, http.StatusOK, json.RawMessage(raw))
}

// list serves a page. The token is where the next one begins.
func (s *Server) list(w http.ResponseWriter, req *http.Request, r *resource, t kubetest.Target) {
	query := req.URL.Query()
	limit, _ := strconv.Atoi(query.Get("limit"))
	s.limits = append(s.limits, limit)
	items := r.items
	if t.Namespace != "" {
		items = slices.DeleteFunc(slices.Clone(items), func(i item) bool { return i.namespace != t.Namespace })
	}
	from := 0
	if token := query.Get("continue"); token != "" {
		from, _ = strconv.Atoi(strings.TrimPrefix(token, "at-"))
		left, expires := s.expiring[r.Name]
		if expires && left <= 1 {
			delete(s.expiring, r.Name)
			status := kubetest.Failure(http.StatusGone, metav1.StatusReasonExpired, "the version of the list is too old")
			if !s.gone[r.Name] {
				status.Continue = token
			}
			kubetest.Answer(w, http.StatusGone, status)
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
	body := map[string]any{"apiVersion": t.GroupVersion().String(), "kind": r.Kind + "List", "metadata": meta, "items": page}
	if only {
		body["apiVersion"], body["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	kubetest.Answer(w, http.StatusOK, body)
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

func fail(w http.ResponseWriter, code int32, reason metav1.StatusReason) {
	kubetest.Fail(w, code, reason, string(reason))
}
