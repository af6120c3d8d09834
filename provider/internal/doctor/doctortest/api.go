// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package doctortest is an API server with an installation in it, for tests of
// what looks at installations.
//
// The [API] answers over HTTP as an API server does: it lists in pages and by
// label, does not know kinds without a definition, refuses what it is told to,
// and admits Pods as its webhook and its constraints say, as a dry run only.
// [Manifests.New] puts a healthy installation into it, made from the manifests that are
// shipped and from Gatekeeper's own; a test then makes it ill.
package doctortest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/kubetest"
)

// API is an API server in memory.
type API struct {
	// Forbid has requests refused with 403: a verb, and a resource with its group,
	// such as providers.externaldata.gatekeeper.sh. Nil forbids nothing.
	Forbid func(verb, resource string) bool

	// RefusePods refuses every Pod with a status, before any webhook is asked;
	// nil refuses none.
	RefusePods *metav1.Status

	// Verdict is what the policy says of an image that nobody signed.
	// Default: NOT_SIGNED.
	Verdict string

	// GatekeeperDown has the webhook not answer.
	GatekeeperDown bool

	// Now is the clock; default [time.Now].
	Now func() time.Time

	mu      sync.Mutex
	objects []*unstructured.Unstructured
	created []string // what was asked for beyond reading
}

// builtin are the resources of every API server, by group and kind.
var builtin = map[string]string{
	"/Namespace": "namespaces", "/Pod": "pods", "/Service": "services", "/Secret": "secrets", "/ConfigMap": "configmaps",
	"apps/Deployment": "deployments", "policy/PodDisruptionBudget": "poddisruptionbudgets",
	"admissionregistration.k8s.io/ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}

// Put adds an object, or replaces the one of its kind and name.
func (a *API) Put(object *unstructured.Unstructured) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(object.GetKind(), object.GetNamespace(), object.GetName())
	a.objects = append(a.objects, object.DeepCopy())
}

// Remove takes an object away.
func (a *API) Remove(kind, namespace, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(kind, namespace, name)
}

func (a *API) remove(kind, namespace, name string) {
	a.objects = slices.DeleteFunc(a.objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name
	})
}

// Change has f change an object. It panics if there is none: then the test is
// wrong.
func (a *API) Change(kind, namespace, name string, f func(object map[string]any)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.objects {
		if o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
			f(o.Object)
			return
		}
	}
	panic(fmt.Sprintf("there is no %s %s/%s", kind, namespace, name))
}

// Writes are the requests that were no reads, as method and path, but for dry
// runs.
func (a *API) Writes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.created)
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now
	if a.Now != nil {
		now = a.Now
	}
	w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
	if r.URL.Path == "/version" {
		kubetest.Answer(w, http.StatusOK, map[string]string{"gitVersion": "v1.36.3"})
		return
	}
	of, ok := kubetest.Parse(r.URL.Path)
	if !ok {
		kubetest.Fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		return
	}
	resource := of.GroupResource().String()
	verb := "get"
	switch {
	case r.Method == http.MethodPost:
		verb = "create"
	case of.Name == "":
		verb = "list"
	}
	switch {
	case a.Forbid != nil && a.Forbid(verb, resource):
		kubetest.Fail(w, http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf("%s is forbidden: User \"auditor\" cannot %s resource %q in API group %q at the cluster scope", resource, verb, of.Resource, of.Group))
	case !a.knows(of):
		kubetest.Fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	case verb == "create" && of.Resource == "pods" && r.URL.Query().Get("dryRun") == metav1.DryRunAll:
		a.admit(w, r)
	case r.Method != http.MethodGet:
		a.created = append(a.created, r.Method+" "+r.URL.Path)
		kubetest.Fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "this API server is to be read only")
	case verb == "list":
		a.list(w, r, of)
	default:
		for _, o := range a.objects {
			if a.is(o, of) && o.GetNamespace() == of.Namespace && o.GetName() == of.Name {
				kubetest.Answer(w, http.StatusOK, o)
				return
			}
		}
		kubetest.Fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", resource, of.Name))
	}
}

// is says whether an object is of a resource.
func (a *API) is(o *unstructured.Unstructured, of kubetest.Target) bool {
	gvk := o.GroupVersionKind()
	if gvk.Group != of.Group {
		return false
	}
	if name, ok := builtin[gvk.Group+"/"+gvk.Kind]; ok {
		return name == of.Resource
	}
	// ExpansionTemplate's resource has no plural; of constraints it is the kind.
	return strings.HasPrefix(of.Resource, strings.ToLower(gvk.Kind))
}

// knows says whether there is such a resource: a definition, or for constraints a
// template, that makes it one.
func (a *API) knows(of kubetest.Target) bool {
	for _, name := range builtin {
		if name == of.Resource {
			return true
		}
	}
	return slices.ContainsFunc(a.objects, func(o *unstructured.Unstructured) bool {
		switch o.GetKind() {
		case "CustomResourceDefinition":
			return o.GetName() == of.GroupResource().String()
		case "ConstraintTemplate":
			return o.GetName() == of.Resource && of.Group == "constraints.gatekeeper.sh"
		}
		return false
	})
}

func (a *API) list(w http.ResponseWriter, r *http.Request, of kubetest.Target) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		kubetest.Fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	found := []*unstructured.Unstructured{}
	for _, o := range a.objects {
		if a.is(o, of) && (of.Namespace == "" || o.GetNamespace() == of.Namespace) && selector.Matches(labels.Set(o.GetLabels())) {
			found = append(found, o)
		}
	}
	// Pages smaller than anybody asks for, as an API server may choose them.
	const page = 3
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	meta := map[string]any{"resourceVersion": "1"}
	rest := found[from:]
	if r.URL.Query().Get("limit") != "" && len(rest) > page {
		rest = rest[:page]
		meta["continue"] = strconv.Itoa(from + page)
	}
	kubetest.Answer(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "List", "metadata": meta, "items": rest})
}
