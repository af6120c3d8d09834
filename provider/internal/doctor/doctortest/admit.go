// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctortest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/kubetest"
)

// admit admits a Pod or refuses it, as the webhook and the constraints say that
// are there. No image is signed.
func (a *API) admit(w http.ResponseWriter, r *http.Request) {
	pod := &unstructured.Unstructured{}
	if err := json.NewDecoder(r.Body).Decode(&pod.Object); err != nil {
		kubetest.Fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if a.RefusePods != nil {
		kubetest.Answer(w, int(a.RefusePods.Code), a.RefusePods)
		return
	}
	namespace := a.namespace(pod.GetNamespace())
	hook := a.hook()
	if hook == nil || namespace == nil || !asked(hook, namespace) {
		kubetest.Answer(w, http.StatusCreated, pod)
		return
	}
	if a.GatekeeperDown {
		if hook.FailurePolicy != nil && *hook.FailurePolicy == admissionregistrationv1.Ignore {
			kubetest.Answer(w, http.StatusCreated, pod)
			return
		}
		kubetest.Fail(w, http.StatusInternalServerError, metav1.StatusReasonInternalError,
			`Internal error occurred: failed calling webhook "validation.gatekeeper.sh": failed to call webhook: connection refused`)
		return
	}
	denials := a.denials(pod, namespace)
	if len(denials) == 0 {
		kubetest.Answer(w, http.StatusCreated, pod)
		return
	}
	kubetest.Fail(w, http.StatusForbidden, metav1.StatusReasonForbidden, `admission webhook "validation.gatekeeper.sh" denied the request: `+strings.Join(denials, "\n"))
}

func (a *API) denials(pod *unstructured.Unstructured, namespace *corev1.Namespace) []string {
	var denials []string
	for _, o := range a.objects {
		action, found, _ := unstructured.NestedString(o.Object, "spec", "enforcementAction")
		if o.GroupVersionKind().Group != "constraints.gatekeeper.sh" || found && action != "deny" {
			continue
		}
		if ok, err := engine.Matches(o, pod, namespace); err == nil && ok {
			denials = append(denials, fmt.Sprintf(`[%s] [%s] container "probe": it is not signed.`, o.GetName(), cmp.Or(a.Verdict, "NOT_SIGNED")))
		}
	}
	return denials
}

// asked says whether the API server asks a webhook about new Pods of a namespace.
func asked(hook *admissionregistrationv1.ValidatingWebhook, namespace *corev1.Namespace) bool {
	selector, err := metav1.LabelSelectorAsSelector(hook.NamespaceSelector)
	if err != nil || !selector.Matches(labels.Set(namespace.Labels)) {
		return false
	}
	objects, err := metav1.LabelSelectorAsSelector(hook.ObjectSelector)
	if hook.ObjectSelector != nil && (err != nil || !objects.Matches(labels.Set{})) {
		return false
	}
	return slices.ContainsFunc(hook.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return slices.ContainsFunc(r.APIGroups, func(s string) bool { return s == "" || s == "*" }) &&
			slices.ContainsFunc(r.Resources, func(s string) bool { return s == "pods" || s == "*" }) &&
			(slices.Contains(r.Operations, admissionregistrationv1.Create) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll))
	})
}

func (a *API) namespace(name string) *corev1.Namespace {
	for _, o := range a.objects {
		if o.GetKind() == "Namespace" && o.GetName() == name {
			return typed[corev1.Namespace](o)
		}
	}
	return nil
}

func (a *API) hook() *admissionregistrationv1.ValidatingWebhook {
	for _, o := range a.objects {
		if o.GetKind() != "ValidatingWebhookConfiguration" {
			continue
		}
		all := typed[admissionregistrationv1.ValidatingWebhookConfiguration](o)
		for i := range all.Webhooks {
			if all.Webhooks[i].Name == "validation.gatekeeper.sh" {
				return &all.Webhooks[i]
			}
		}
	}
	return nil
}

// typed panics where an object is not what it says: then the test is wrong.
func typed[T any](o *unstructured.Unstructured) *T {
	out := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, out); err != nil {
		panic(err)
	}
	return out
}
