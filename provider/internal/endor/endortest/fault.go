// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// FaultKind says what goes wrong.
type FaultKind string

// Faults that come before authentication, as a proxy or a broken network would.
const (
	FaultLatency   FaultKind = "latency"   // waits for Delay, then goes on to later faults or the real answer
	FaultHang      FaultKind = "hang"      // no answer until the client leaves or the faults are cleared or replaced; then the real answer
	FaultStatus    FaultKind = "status"    // Status, with RetryAfter and Body when given
	FaultReset     FaultKind = "reset"     // a 200 whose connection is reset in the middle of the body
	FaultHTML      FaultKind = "html"      // an HTML page with Status, default 200
	FaultEmpty     FaultKind = "empty"     // {} with Status, default 200
	FaultRedirect  FaultKind = "redirect"  // 307 to Location, default RedirectTarget of this server
	FaultOversized FaultKind = "oversized" // a 200 of valid JSON that is Size bytes long
)

// Faults of the answer to an operation that was authenticated.
const (
	FaultResult         FaultKind = "result"          // Result without carrying the operation out; or the real one when empty; with Status, default 200
	FaultNoResponse     FaultKind = "no-response"     // a 200 without response
	FaultLegacyUnsigned FaultKind = "legacy-unsigned" // NO_ARTIFACT and NO_SIGNATURE as HTTP 500 code 13
)

// Endpoint is where a fault applies.
type Endpoint string

// The endpoints that faults apply to.
const (
	EndpointBoth       Endpoint = "both" // the default
	EndpointAuth       Endpoint = "auth"
	EndpointOperations Endpoint = "operations"
)

// RedirectTarget is the path whose hits are counted, and which answers whatever would
// please a client that followed a redirect: a token, and a SUCCESS about anything.
const RedirectTarget = "/emulator/redirect-target"

// Sizes of FaultOversized.
const (
	defaultOversize = 16 << 20
	maxOversize     = 1 << 30
)

// Fault is one thing that goes wrong. Kind is required; fields that do not belong to
// the kind must be zero.
type Fault struct {
	Kind     FaultKind `json:"kind"`
	Endpoint Endpoint  `json:"endpoint,omitempty"` // default EndpointBoth; the faults of answers are EndpointOperations

	// Namespace and Artifact restrict the fault to operations in one namespace or about
	// one artifact_name, as sent. Empty: all.
	Namespace string `json:"namespace,omitempty"`
	Artifact  string `json:"artifact,omitempty"`

	// Times is how many requests it applies to before it is gone. Zero: until cleared.
	Times int `json:"times,omitempty"`

	Delay      time.Duration `json:"-"` // as "delay", such as "300ms"
	Status     int           `json:"status,omitempty"`
	RetryAfter string        `json:"retryAfter,omitempty"` // seconds or an HTTP date, sent as it is
	Body       string        `json:"body,omitempty"`       // default: google.rpc.Status
	Location   string        `json:"location,omitempty"`
	Result     Result        `json:"result,omitempty"` // sent as it is, documented or not
	Size       int           `json:"size,omitempty"`   // default 16 MiB
}

// ofAnswer reports whether the fault comes after authentication.
func (f Fault) ofAnswer() bool {
	switch f.Kind {
	case FaultResult, FaultNoResponse, FaultLegacyUnsigned:
		return true
	default:
		return false
	}
}

// fieldsOf are the fields that each kind may set besides those of every kind.
var fieldsOf = map[FaultKind][]string{
	FaultLatency:        {"delay"},
	FaultHang:           {},
	FaultStatus:         {"status", "retryAfter", "body"},
	FaultReset:          {},
	FaultHTML:           {"status", "body"},
	FaultEmpty:          {"status"},
	FaultRedirect:       {"location"},
	FaultOversized:      {"size"},
	FaultResult:         {"result", "status"},
	FaultNoResponse:     {},
	FaultLegacyUnsigned: {},
}

func (f Fault) withDefaults() Fault {
	if f.Endpoint == "" {
		f.Endpoint = EndpointBoth
		if f.ofAnswer() {
			f.Endpoint = EndpointOperations
		}
	}
	return f
}

// validate names every problem of a fault that has its defaults.
func (f Fault) validate() error {
	allowed, known := fieldsOf[f.Kind]
	if !known {
		return fmt.Errorf("kind %q is not one of latency, hang, status, reset, html, empty, redirect, oversized, "+
			"result, no-response, legacy-unsigned", string(f.Kind))
	}
	var errs []error
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"delay", f.Delay != 0},
		{"status", f.Status != 0},
		{"retryAfter", f.RetryAfter != ""},
		{"body", f.Body != ""},
		{"location", f.Location != ""},
		{"result", f.Result != ""},
		{"size", f.Size != 0},
	} {
		if field.set && !slices.Contains(allowed, field.name) {
			errs = append(errs, fmt.Errorf("%s does not belong to kind %s", field.name, f.Kind))
		}
	}
	switch {
	case f.Endpoint != EndpointBoth && f.Endpoint != EndpointAuth && f.Endpoint != EndpointOperations:
		errs = append(errs, fmt.Errorf("endpoint %q is not auth, operations or both", string(f.Endpoint)))
	case f.ofAnswer() && f.Endpoint != EndpointOperations:
		errs = append(errs, fmt.Errorf("kind %s belongs to endpoint operations alone", f.Kind))
	case f.Endpoint == EndpointAuth && (f.Namespace != "" || f.Artifact != ""):
		errs = append(errs, errors.New("namespace and artifact belong to endpoint operations"))
	}
	if f.Kind == FaultLatency && f.Delay <= 0 {
		errs = append(errs, errors.New("kind latency needs a delay of more than 0"))
	}
	if f.Kind == FaultStatus && f.Status == 0 {
		errs = append(errs, errors.New("kind status needs a status"))
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		errs = append(errs, fmt.Errorf("status %d is not 200 to 599", f.Status))
	}
	if f.RetryAfter != "" && !isRetryAfter(f.RetryAfter) {
		errs = append(errs, fmt.Errorf("retryAfter %q is neither seconds nor an HTTP date", f.RetryAfter))
	}
	if f.Size < 0 || f.Size > maxOversize {
		errs = append(errs, fmt.Errorf("size %d is not 0 to %d", f.Size, maxOversize))
	}
	if _, err := url.Parse(f.Location); err != nil {
		errs = append(errs, fmt.Errorf("location is not a URL: %w", err))
	}
	if f.Times < 0 {
		errs = append(errs, fmt.Errorf("times %d is negative", f.Times))
	}
	return errors.Join(errs...)
}

func isRetryAfter(s string) bool {
	if n, err := strconv.Atoi(s); err == nil {
		return n >= 0
	}
	_, err := http.ParseTime(s)
	return err == nil
}

// plainFault has the fields of Fault and none of its methods.
type plainFault Fault

type faultJSON struct {
	plainFault
	Delay string `json:"delay,omitempty"`
}

// MarshalJSON writes Delay as "delay" in the syntax of time.ParseDuration.
func (f Fault) MarshalJSON() ([]byte, error) {
	doc := faultJSON{plainFault: plainFault(f)}
	if f.Delay != 0 {
		doc.Delay = f.Delay.String()
	}
	return json.Marshal(doc)
}

// UnmarshalJSON reads what MarshalJSON writes and refuses unknown fields.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var doc faultJSON
	if err := decodeStrict(b, &doc); err != nil {
		return err
	}
	*f = Fault(doc.plainFault)
	if doc.Delay == "" {
		return nil
	}
	delay, err := time.ParseDuration(doc.Delay)
	if err != nil {
		return fmt.Errorf("delay %q is not a duration such as 300ms", doc.Delay)
	}
	f.Delay = delay
	return nil
}
