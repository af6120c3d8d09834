// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// Secrets whose every part is recognized, and of which no part is a word.
const (
	secretKey    = "endr+Kq7ZxWvJ3mYbTfRd"
	secretSecret = "endr+Kq7ZxWvJ3mYbTfRdSx9PnGhLcQ2u" // begins with the key, so that cutting that out is not enough
	secretToken  = "eyT4wMzVs8NbXkCjHp6DgFr"
)

// leaked is the first run of eight characters of a secret that text holds.
func leaked(text string) string {
	for _, secret := range []string{secretKey, secretSecret, secretToken} {
		secret = strings.TrimPrefix(secret, "endr+")
		for i := range len(secret) - 7 {
			if strings.Contains(text, secret[i:i+8]) {
				return secret[i : i+8]
			}
		}
	}
	return ""
}

// What comes back of an API that repeats what it was sent: status line, headers and
// messages are text of others. Each is tried on the exchange and on the question.
func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	message := func(w http.ResponseWriter, status int, s string) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"code":3,"message":%q}`, s)
	}
	raw := func(w http.ResponseWriter, s string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, s)
		_ = conn.Close()
	}
	scenarios := []struct {
		name string
		do   func(w http.ResponseWriter, echo string)
	}{
		{"400 with the secrets in its message", func(w http.ResponseWriter, echo string) { message(w, 400, "you sent: "+echo) }},
		{"401", func(w http.ResponseWriter, echo string) { message(w, 401, "Invalid authorization header: "+echo) }},
		{"403", func(w http.ResponseWriter, echo string) { message(w, 403, echo) }},
		{"429", func(w http.ResponseWriter, echo string) { message(w, 429, echo) }},
		{"500", func(w http.ResponseWriter, echo string) { message(w, 500, echo) }},
		{"in upper case JSON names", func(w http.ResponseWriter, echo string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"MESSAGE":%q}`, echo)
		}},
		{"as HTML entities", func(w http.ResponseWriter, echo string) { message(w, 400, html.EscapeString(echo)) }},
		{"as JSON escapes", func(w http.ResponseWriter, echo string) {
			w.WriteHeader(http.StatusBadRequest)
			var b strings.Builder
			for _, r := range echo {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
			_, _ = fmt.Fprintf(w, `{"message":"%s"}`, b.String())
		}},
		{"cut by the bound on details", func(w http.ResponseWriter, echo string) { message(w, 400, strings.Repeat("x", 230)+echo) }},
		{"again and again", func(w http.ResponseWriter, echo string) { message(w, 400, strings.Repeat(echo, 20)) }},
		{"as a page", func(w http.ResponseWriter, echo string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "<html>"+echo)
		}},
		{"in a page beside 200", func(w http.ResponseWriter, echo string) { _, _ = io.WriteString(w, "<html>"+echo) }},
		{"in the address of a redirect", func(w http.ResponseWriter, echo string) {
			w.Header()["Location"] = []string{"https://login.example.com/?" + echo}
			w.WriteHeader(http.StatusFound)
		}},
		{"in the address of a redirect to no URL", func(w http.ResponseWriter, echo string) {
			w.Header()["Location"] = []string{"http://" + echo + "%zz"}
			w.WriteHeader(http.StatusTemporaryRedirect)
		}},
		{"in Retry-After", func(w http.ResponseWriter, echo string) {
			w.Header().Add("Retry-After", echo)
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		{"in the status line", func(w http.ResponseWriter, echo string) { raw(w, echo+" HTTP/1.1\r\n\r\n") }},
		{"in the status", func(w http.ResponseWriter, echo string) { raw(w, "HTTP/1.1 "+echo+"\r\n\r\n") }},
		{"in a header that is none", func(w http.ResponseWriter, echo string) { raw(w, "HTTP/1.1 200 OK\r\n"+echo+"\r\n\r\n") }},
		{"in the length", func(w http.ResponseWriter, echo string) {
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: "+echo+"\r\n\r\n")
		}},
		{"in the length of a chunk", func(w http.ResponseWriter, echo string) {
			raw(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+echo+"\r\n")
		}},
		{"in the encoding", func(w http.ResponseWriter, echo string) {
			raw(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+echo+"\r\n\r\n")
		}},
	}
	for _, endpoint := range []endortest.Endpoint{endortest.EndpointAuth, endortest.EndpointOperations} {
		for _, tc := range scenarios {
			t.Run(string(endpoint)+" "+tc.name, func(t *testing.T) {
				t.Parallel()
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					exchange := r.URL.Path == "/v1/auth/api-key"
					switch {
					case exchange && endpoint == endortest.EndpointAuth:
						tc.do(w, secretKey+"/"+secretSecret)
					case exchange:
						_, _ = io.WriteString(w, `{"token":"`+secretToken+`"}`)
					default:
						// The API knows which key the token was exchanged for.
						tc.do(w, r.Header.Get("Authorization")+"/"+secretKey+"/"+secretSecret)
					}
				}))
				s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
				s.Start()
				t.Cleanup(s.Close)
				wantNoSecrets(t, endor.Config{BaseURL: s.URL})
			})
		}
	}
}

// Everything else that goes wrong.
func TestFailuresHoldNoSecrets(t *testing.T) {
	t.Parallel()
	for _, fault := range []endortest.Fault{
		{Kind: endortest.FaultHang},
		{Kind: endortest.FaultReset},
		{Kind: endortest.FaultHTML},
		{Kind: endortest.FaultEmpty},
		{Kind: endortest.FaultRedirect},
		{Kind: endortest.FaultOversized},
		{Kind: endortest.FaultStatus, Status: 401},
		{Kind: endortest.FaultStatus, Status: 503},
	} {
		for _, endpoint := range []endortest.Endpoint{endortest.EndpointAuth, endortest.EndpointOperations} {
			name := string(endpoint) + " " + string(fault.Kind)
			if fault.Status != 0 {
				name += " " + http.StatusText(fault.Status)
			}
			at := fault
			at.Endpoint = endpoint
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := endortest.Start(t, endortest.Config{APIKey: secretKey, APISecret: secretSecret})
				inject(t, s, at)
				wantNoSecrets(t, endor.Config{BaseURL: s.URL})
			})
		}
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		s := endortest.Start(t, endortest.Config{})
		s.Close()
		wantNoSecrets(t, endor.Config{BaseURL: s.URL})
	})
	t.Run("nobody's authority", func(t *testing.T) {
		t.Parallel()
		wantNoSecrets(t, endor.Config{BaseURL: signedTLS(t).URL, RootCAs: x509.NewCertPool()})
	})
	t.Run("credentials that are wrong", func(t *testing.T) {
		t.Parallel()
		wantNoSecrets(t, endor.Config{BaseURL: endortest.Start(t, endortest.Config{}).URL})
	})
	t.Run("a static token that is wrong", func(t *testing.T) {
		t.Parallel()
		wantNoSecrets(t, endor.Config{BaseURL: endortest.Start(t, endortest.Config{}).URL, Credentials: endor.Credentials{Token: secretToken}})
	})
	t.Run("too many calls", func(t *testing.T) {
		t.Parallel()
		s := endortest.Start(t, endortest.Config{APIKey: secretKey, APISecret: secretSecret})
		wantNoSecrets(t, endor.Config{BaseURL: s.URL, Rate: rate.NewLimiter(rate.Every(time.Hour), 1)})
	})
}

// wantNoSecrets asks a question that fails, and looks for secrets in what is left of it.
func wantNoSecrets(t *testing.T, cfg endor.Config) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	cfg.Registerer = registry
	if cfg.Credentials.Token == "" {
		cfg.Credentials = endor.Credentials{Key: secretKey, Secret: secretSecret}
	}
	cfg.Timeout = 300 * time.Millisecond // for what is tried again until then
	c, err := endor.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = ask(t, c)
	e := expected(t, err)
	for how, text := range map[string]string{
		"error":   err.Error(),
		"details": fmt.Sprintf("%+v %#v", *e, *e),
		"metrics": metricsText(t, registry),
		"client":  fmt.Sprintf("%+v %#v", c, c),
	} {
		if part := leaked(text); part != "" {
			t.Errorf("%s hold %q of a secret: %s", how, part, text)
		}
	}
	if errors.Unwrap(err) != nil {
		t.Errorf("the error wraps another, which may hold anything: %#v", errors.Unwrap(err))
	}
}
