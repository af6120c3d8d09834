// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"log/slog"
	"net/http"
)

// routes are the API's paths. A path that is known with another method is 501, as
// with Endor; any other is 404.
func (e *Emulator) routes(admin bool) http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path, endpoint string, h http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			e.counters.request(endpoint)
			w.Header().Set("Date", e.now().UTC().Format(http.TimeFormat))
			if method != "" && r.Method != method {
				refuse(http.StatusNotImplemented, "Method Not Allowed").write(w)
				return
			}
			h(w, r)
		})
	}
	handle(http.MethodPost, "/v1/auth/api-key", "auth", e.exchangeToken)
	handle(http.MethodGet, "/v1/auth", "user-info", e.userInfo)
	handle(http.MethodGet, "/v1/namespaces/{namespace}/auth", "user-info", e.userInfo)
	handle(http.MethodPost, "/v1/namespaces/{namespace}/artifact-operations", "operations", e.operate)
	handle(http.MethodGet, "/meta/version", "version", e.version)
	handle("", RedirectTarget, "redirect-target", redirectTarget)
	handle("", "/", "other", func(w http.ResponseWriter, _ *http.Request) {
		refuse(http.StatusNotFound, "Not Found").write(w)
	})
	if admin {
		e.adminRoutes(mux)
	}
	return e.logged(mux)
}

// logged writes one record per request: never a header, a query or a body.
func (e *Emulator) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w}
		defer func() {
			e.log.LogAttrs(r.Context(), slog.LevelDebug, "request",
				slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", seen.status))
		}()
		next.ServeHTTP(seen, r)
	})
}

// statusWriter remembers the status; 0 means that there was no answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// redirectTarget is what a client that follows a redirect falls for.
func redirectTarget(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"token": "endor-emulator-redirect-target"}
	if body, refused := readBody(w, r); refused == nil {
		// A token exchange has no spec; then there is nothing to vouch for.
		if req, _ := decodeOperation(body); req.Spec.ArtifactName != "" {
			answer["response"] = operationResponse{
				Result:            ResultSuccess,
				ArtifactSignature: &artifactSignature{Spec: signatureSpec{ArtifactName: req.Spec.ArtifactName}},
			}
		}
	}
	writeJSON(w, http.StatusOK, answer)
}
