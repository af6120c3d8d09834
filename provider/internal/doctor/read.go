// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/pager"
)

// What is read, besides what package cluster reads.
var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	pods        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	budgets     = schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}
	templates   = schema.GroupVersionResource{Group: "templates.gatekeeper.sh", Version: "v1", Resource: "constrainttemplates"}
	expansions  = schema.GroupVersionResource{Group: "expansion.gatekeeper.sh", Version: "v1beta1", Resource: "expansiontemplate"}
	configs     = schema.GroupVersionResource{Group: "config.gatekeeper.sh", Version: "v1alpha1", Resource: "configs"}
)

// reader reads a cluster. What is not there, or of a kind that the cluster does
// not know, is nil and no error.
type reader struct{ client dynamic.Interface }

func (r reader) in(gvr schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return r.client.Resource(gvr)
	}
	return r.client.Resource(gvr).Namespace(namespace)
}

func (r reader) get(ctx context.Context, gvr schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	found, err := r.in(gvr, namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, refused("get", gvr, namespace, err)
	}
	return found, nil
}

// list reads all of a kind, in pages, from one namespace or from all.
func (r reader) list(ctx context.Context, gvr schema.GroupVersionResource, namespace, labels string) ([]unstructured.Unstructured, error) {
	var found []unstructured.Unstructured
	p := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.in(gvr, namespace).List(ctx, o)
	})
	err := p.EachListItem(ctx, metav1.ListOptions{LabelSelector: labels}, func(o runtime.Object) error {
		u, ok := o.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("the list holds a %T", o)
		}
		found = append(found, *u)
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, refused("list", gvr, namespace, err)
	}
	return found, nil
}

// refused says what was tried and why it did not go, and for whom it is a
// matter of permission, which one.
func refused(verb string, gvr schema.GroupVersionResource, namespace string, err error) error {
	what := gvr.GroupResource().String()
	if namespace != "" {
		what += " in namespace " + namespace
	}
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return cannot{why: "you may not " + verb + " " + what, fix: "Run it as somebody with the verb " + verb + " on " + what + "."}
	}
	return cannot{why: fmt.Sprintf("%s %s: %s", verb, what, reason(err)), fix: "Look at the API server and at the kubeconfig, then run it again."}
}

// reason is an error without the address that was called.
func reason(err error) string {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return visible(status.ErrStatus.Message)
	}
	if meta.IsNoMatchError(err) {
		return "the cluster does not know this kind"
	}
	return visible(err.Error())
}

// as gives an object its type. Nil stays nil.
func as[T any](u *unstructured.Unstructured, err error) (*T, error) {
	if u == nil || err != nil {
		return nil, err
	}
	out := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out); err != nil {
		return nil, fmt.Errorf("%s %s cannot be read: %w", u.GetKind(), u.GetName(), err)
	}
	return out, nil
}

// each is as for a list.
func each[T any](list []unstructured.Unstructured, err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	out := make([]*T, 0, len(list))
	for i := range list {
		one, err := as[T](&list[i], nil)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// named says which object, for a finding.
func named(kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return kind + " " + visible(name)
}
