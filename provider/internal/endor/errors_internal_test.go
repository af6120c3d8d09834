// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestTransportError(t *testing.T) {
	t.Parallel()
	sent := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://user:hunter2@api.example.com/v1", Err: err}
	}
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{name: "nobody listens", err: sent(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}),
			want: "endor: verify artifact: network: dial tcp: connect: connection refused"},
		{name: "no such host", err: sent(&net.DNSError{Err: "no such host", Name: "api.example.com", IsNotFound: true}),
			want: "endor: verify artifact: network: lookup api.example.com: no such host"},
		{name: "nobody's authority", err: sent(x509.UnknownAuthorityError{}),
			want: "endor: verify artifact: network: x509: certificate signed by unknown authority"},
		{name: "a connection that takes too long", err: sent(&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}),
			want: "endor: verify artifact: timeout: dial tcp: i/o timeout"},
		{name: "the deadline", err: sent(context.DeadlineExceeded),
			want: "endor: verify artifact: timeout: context deadline exceeded"},
		{name: "the caller left", err: sent(fmt.Errorf("read response: %w", context.Canceled)),
			want: "endor: verify artifact: timeout: read response: context canceled"},
		{name: "one of the client's own", err: sent(&Error{Kind: KindUnavailable, Reason: ReasonBadResponse, Status: 200, Detail: "too long"}),
			want: "endor: verify artifact: bad_response: HTTP 200: too long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := call{op: "verify artifact"}.failed(transportError(tc.err))
			if got.Error() != tc.want {
				t.Errorf("error = %q, want %q", got, tc.want)
			}
			if got.Kind != KindUnavailable || !got.Temporary() {
				t.Errorf("kind = %s, temporary %t; want unavailable", got.Kind, got.Temporary())
			}
		})
	}
}

func TestDetailOfAnErrorsBody(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body, want string
		secrets          []string
	}{
		{name: "the API's message", body: `{"code":7,"message":"Unauthorized request","details":[]}`, want: "Unauthorized request"},
		{name: "with entities, as Endor sends them", body: `{"message":"no &#34;name&#34;"}`, want: `no "name"`},
		{name: "somebody's page is not repeated", body: `<html>hello</html>`},
		{name: "neither is JSON of another shape", body: `{"message":{"text":"hello"}}`},
		{name: "line breaks and terminal escapes", body: `{"message":"a\nb\u001b[31mc\u2028d\u202e"}`, want: "a?b?[31mc?d?"},
		{name: "entities of line breaks", body: `{"message":"a&#10;b"}`, want: "a?b"},
		{name: "at most 256 characters", body: `{"message":"` + strings.Repeat("x", 1000) + `"}`, want: strings.Repeat("x", 256)},
		{name: "a secret", body: `{"message":"key endr+abc is wrong"}`, secrets: []string{"endr+abc"}, want: "key [redacted] is wrong"},
		{name: "a secret in entities", body: `{"message":"key endr&#43;abc is wrong"}`, secrets: []string{"endr+abc"}, want: "key [redacted] is wrong"},
		{name: "a secret that begins with another", body: `{"message":"endr+abcdef endr+abc"}`, secrets: []string{"endr+abc", "endr+abcdef"}, want: "[redacted] [redacted]"},
		{name: "a secret that would be cut in two", body: `{"message":"` + strings.Repeat("x", 250) + `endr+abcdef"}`, secrets: []string{"endr+abcdef"}, want: strings.Repeat("x", 250) + "[redac"},
		{name: "a secret that is not ASCII", body: `{"message":"it is pässwörd"}`, secrets: []string{"pässwörd"}, want: "it is [redacted]"},
		{name: "an empty secret", body: `{"message":"abc"}`, secrets: []string{""}, want: "abc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := call{secrets: tc.secrets}.failed(statusError(http.StatusBadRequest, []byte(tc.body)))
			if got.Detail != tc.want {
				t.Errorf("detail = %q, want %q", got.Detail, tc.want)
			}
		})
	}
}

// What the client returns can be told apart by errors.As, however it is wrapped.
func TestErrorIsFoundInsideOthers(t *testing.T) {
	t.Parallel()
	in := &Error{Op: "verify artifact", Kind: KindRefused, Reason: ReasonRefused, Status: 409}
	out, ok := errors.AsType[*Error](fmt.Errorf("ask: %w", in))
	if !ok || out != in {
		t.Errorf("errors.AsType = %v, %t", out, ok)
	}
	if want := "endor: verify artifact: refused: HTTP 409"; in.Error() != want {
		t.Errorf("Error() = %q, want %q", in, want)
	}
}

func TestAnErrorHoldsNoPieceOfASecret(t *testing.T) {
	t.Parallel()
	for _, detail := range []string{"bad token 0123456789abcdef", "bad token 01234567…", "x89abcdefx"} {
		e := call{op: "verify artifact", secrets: []string{"0123456789abcdef"}}.failed(&Error{Detail: detail})
		if partOf("0123456789abcdef", e.Detail) {
			t.Errorf("%q became %q", detail, e.Detail)
		}
	}
}

func TestStatusesOfWhateverStandsBeforeTheAPIAreNoVerdicts(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]Kind{
		407: KindMisconfigured, 421: KindMisconfigured, 426: KindMisconfigured, 451: KindMisconfigured,
		425: KindUnavailable, 444: KindUnavailable, 460: KindUnavailable, 499: KindUnavailable,
		400: KindRefused, 409: KindRefused, 410: KindRefused, 413: KindRefused, 414: KindRefused, 422: KindRefused, 431: KindRefused,
	} {
		if e := statusError(status, nil); e.Kind != want {
			t.Errorf("HTTP %d is %s, want %s", status, e.Kind, want)
		}
	}
}
