// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"encoding/json"
	"net/http"
)

// statusBody is google.rpc.Status, the body of every answer that is not a 200.
type statusBody struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Details []any  `json:"details"`
}

// httpErrorInfo is the detail that Endor's own errors carry.
type httpErrorInfo struct {
	Type        string  `json:"@type"`
	StatusCode  int     `json:"status_code"`
	RedirectURL *string `json:"redirect_url,omitempty"`
}

const httpErrorInfoType = "type.googleapis.com/internal.endor.ai.rpc.v1.HTTPErrorInfo"

// refusal is an error answer: handlers return it, one place writes it.
type refusal struct {
	status int
	body   statusBody
}

func refuse(status int, message string) *refusal {
	return &refusal{status, statusBody{Code: rpcCode(status), Message: message, Details: []any{}}}
}

// The documented answers to a token or a namespace that is not accepted.
func unauthenticated() *refusal {
	r := refuse(http.StatusUnauthorized, "Invalid authorization header: Bearer")
	r.body.Details = []any{httpErrorInfo{Type: httpErrorInfoType, StatusCode: http.StatusUnauthorized}}
	return r
}

func forbidden() *refusal {
	r := refuse(http.StatusForbidden, "Unauthorized request for given endpoint")
	r.body.Details = []any{httpErrorInfo{Type: httpErrorInfoType, StatusCode: http.StatusForbidden, RedirectURL: new("")}}
	return r
}

// noMatchingSignatures is what an image without signatures was answered before May 2024.
func noMatchingSignatures() *refusal {
	return refuse(http.StatusInternalServerError, "Unable to verify certificate: no matching signatures")
}

// rpcCode is the google.rpc.Code that belongs to an HTTP status, by Endor's own map
// where it is known and grpc-gateway's elsewhere.
func rpcCode(status int) int {
	switch status {
	case http.StatusRequestTimeout:
		return 1
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return 3
	case http.StatusGatewayTimeout:
		return 4
	case http.StatusNotFound:
		return 5
	case http.StatusConflict:
		return 6
	case http.StatusForbidden:
		return 7
	case http.StatusTooManyRequests:
		return 8
	case http.StatusPaymentRequired:
		return 9
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return 12
	case http.StatusInternalServerError:
		return 13
	case http.StatusServiceUnavailable, http.StatusBadGateway:
		return 14
	case http.StatusUnauthorized:
		return 16
	default:
		return 2
	}
}

func (r *refusal) write(w http.ResponseWriter) { writeJSON(w, r.status, r.body) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // not with the types of this package
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that left does not read an error either
}
