// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Handler gives next, with a span for each request. It gives next itself if no
// spans are made.
func (t *Tracing) Handler(route string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), parentOf(r))
		ctx, span := t.tracer.Start(ctx, nameOf(r)+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(methodOf(r)), semconv.HTTPRoute(route), semconv.URLPath(route), semconv.URLScheme("https"),
		))
		defer span.End()
		recorded := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorded, r.WithContext(ctx))
		span.SetAttributes(semconv.HTTPResponseStatusCode(recorded.status))
		if recorded.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

// parentOf is what is read of a request's headers. A tracestate is not: nobody gets
// it from here, and the SDK would keep the whole header with each span that waits
// for the collector.
func parentOf(r *http.Request) propagation.TextMapCarrier {
	return propagation.MapCarrier{"traceparent": r.Header.Get("traceparent")}
}

// nameOf begins the name of a span.
func nameOf(r *http.Request) string {
	if method := methodOf(r); method != otherMethod {
		return method
	}
	return "HTTP"
}

const otherMethod = "_OTHER"

// methodOf is of a closed set, as the conventions want it.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodPost, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return r.Method
	default:
		return otherMethod
	}
}

// statusRecorder remembers the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets an [http.ResponseController] reach the server's own.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
