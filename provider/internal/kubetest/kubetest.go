// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package kubetest is what the API servers of tests have in common: which object
// a path names, and how an API server says yes and no. What is in a cluster, and
// how it behaves, is theirs: see packages inventorytest and doctortest.
package kubetest

import (
	"encoding/json"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Target is what a path names. Without a Resource it is a version of an API
// group, without a Name all objects of the resource.
type Target struct {
	schema.GroupVersionResource
	Namespace, Name string
}

// Parse reads /api/v1/… and /apis/GROUP/VERSION/…; false for any other path.
func Parse(path string) (t Target, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) >= 2:
		t.Version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) >= 3:
		t.Group, t.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return t, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		t.Namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 0 {
		t.Resource = parts[0]
	}
	if len(parts) > 1 {
		t.Name = parts[1]
	}
	return t, true
}

// Answer answers with an object.
func Answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) // a client that left does not read it
}

// Fail answers with a Status that says why not.
func Fail(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	Answer(w, int(code), Failure(code, reason, message))
}

// Failure is the Status of [Fail].
func Failure(code int32, reason metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}
}
