// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor/doctortest"
)

// set sets a field of an object; nil removes it.
func set(o map[string]any, value any, fields ...string) {
	if value == nil {
		unstructured.RemoveNestedField(o, fields...)
		return
	}
	if err := unstructured.SetNestedField(o, value, fields...); err != nil {
		panic(err)
	}
}

func hook(field string, value any) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.ChangeWebhook(func(h map[string]any) { set(h, value, field) })
	}
}

// rules changes the rule of the webhook that is about Pods.
func rules(resources, operations []any) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.ChangeWebhook(func(h map[string]any) {
			list, _, _ := unstructured.NestedSlice(h, "rules")
			list[0].(map[string]any)["resources"], list[0].(map[string]any)["operations"] = resources, operations
			h["rules"] = list
		})
	}
}

func theConstraint(value any, fields ...string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.Change(doctortest.Kind, "", doctortest.Constraint, func(o map[string]any) { set(o, value, fields...) })
	}
}

func theProvider(value any, fields ...string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.Change("Provider", "", doctortest.Release, func(o map[string]any) { set(o, value, fields...) })
	}
}

func theTemplate(value any, fields ...string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.Change("ConstraintTemplate", "", doctortest.Template, func(o map[string]any) { set(o, value, fields...) })
	}
}

func theDeployment(value any, fields ...string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.Change("Deployment", doctortest.Release, doctortest.Release, func(o map[string]any) { set(o, value, fields...) })
	}
}

func gatekeeperArgs(args ...string) func(*doctortest.API) {
	return func(a *doctortest.API) { a.AddArgs(doctortest.Controller, args...) }
}

func providerArgs(args ...string) func(*doctortest.API) {
	return func(a *doctortest.API) { a.AddProviderArgs(args...) }
}

func gatekeeperImage(image string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.ChangeContainer(doctortest.Gatekeeper, doctortest.Controller, func(c map[string]any) { c["image"] = image })
	}
}

func label(namespace, key, value string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.Change("Namespace", "", namespace, func(o map[string]any) { set(o, value, "metadata", "labels", key) })
	}
}

func put(texts ...string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		for _, text := range texts {
			a.Put(doctortest.Object(text))
		}
	}
}

func all(fs ...func(*doctortest.API)) func(*doctortest.API) {
	return func(a *doctortest.API) {
		for _, f := range fs {
			f(a)
		}
	}
}

func later(d time.Duration) func(*doctor.Config) {
	return func(cfg *doctor.Config) {
		cfg.Now = func() time.Time { return time.Now().Add(d) }
		cfg.Clock = nil
	}
}

// another is a constraint like the one that is there, with changes.
func another(name string, value any, fields ...string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		var copied *unstructured.Unstructured
		a.Change(doctortest.Kind, "", doctortest.Constraint, func(o map[string]any) {
			copied = (&unstructured.Unstructured{Object: o}).DeepCopy()
		})
		copied.SetName(name)
		set(copied.Object, value, fields...)
		a.Put(copied)
	}
}

func signers(n int) func(*doctortest.API) {
	return func(a *doctortest.API) {
		for i := range n {
			another(fmt.Sprintf("more-%d", i), []any{map[string]any{"sourceRepository": fmt.Sprintf("acme/%d", i)}}, "spec", "parameters", "signers")(a)
		}
	}
}

const (
	podsOnly = "kinds: [{apiGroups: [\"\"], kinds: [Pod]}]"
	expandTo = `{apiVersion: expansion.gatekeeper.sh/v1beta1, kind: ExpansionTemplate, metadata: {name: expand-%s},
		spec: {applyTo: [{groups: [%s], versions: [v1], kinds: [%s]}], templateSource: "spec.template", generatedGVK: {group: "%s", version: v1, kind: %s}}}`
)

// stranger is an authority that nobody here knows.
var stranger = func() *certs.Authority {
	ca, err := certs.NewAuthority("stranger", doctortest.Lifetime)
	if err != nil {
		panic(err)
	}
	return ca
}()

func strangerBundle() string { return doctortest.Bundle(stranger) }

// mountClientCA has the provider read Gatekeeper's CA from a ConfigMap.
func mountClientCA(a *doctortest.API) {
	a.AddProviderArgs("--client-ca-from-webhook=", "--client-ca-file=/etc/client-ca/ca.crt")
	a.ChangeContainer(doctortest.Release, doctortest.Release, func(c map[string]any) {
		mounts, _, _ := unstructured.NestedSlice(c, "volumeMounts")
		c["volumeMounts"] = append(mounts, map[string]any{"name": "client-ca", "mountPath": "/etc/client-ca"})
	})
	a.Change("Deployment", doctortest.Release, doctortest.Release, func(o map[string]any) {
		volumes, _, _ := unstructured.NestedSlice(o, "spec", "template", "spec", "volumes")
		volumes = append(volumes, map[string]any{"name": "client-ca", "configMap": map[string]any{"name": "gatekeeper-ca"}})
		if err := unstructured.SetNestedSlice(o, volumes, "spec", "template", "spec", "volumes"); err != nil {
			panic(err)
		}
	})
}

// clientNames replaces the argument, which adds up.
func clientNames(name string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.ChangeContainer(doctortest.Release, doctortest.Release, func(c map[string]any) {
			args, _, _ := unstructured.NestedSlice(c, "args")
			c["args"] = append(slices.DeleteFunc(args, func(arg any) bool {
				return strings.HasPrefix(arg.(string), "--client-names=")
			}), "--client-names="+name)
		})
	}
}

func refusePods(message string) func(*doctortest.API) {
	return func(a *doctortest.API) {
		a.RefusePods = &metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure, Code: 403, Reason: metav1.StatusReasonForbidden, Message: message,
		}
	}
}

func clockOff(d time.Duration) func(*doctor.Config) {
	return func(cfg *doctor.Config) { cfg.Clock = at(time.Now().Add(d)) }
}
