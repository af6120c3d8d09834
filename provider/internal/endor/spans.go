// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// traced makes a span of each attempt, from its turn until all of the response is
// there. Errors are told by their reason alone: their words may be anybody's.
type traced struct {
	next   http.RoundTripper
	tracer trace.Tracer
}

func (rt traced) RoundTrip(req *http.Request) (*http.Response, error) {
	// The address holds neither user nor query, see [ParseBaseURL].
	ctx, span := rt.tracer.Start(req.Context(), req.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(req.Method), semconv.URLFull(req.URL.String()),
		semconv.ServerAddress(req.URL.Hostname()), semconv.ServerPort(portOf(req.URL)),
	))
	defer span.End()
	resp, err := rt.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		reason := string(transportError(err).Reason)
		span.SetAttributes(semconv.ErrorTypeKey.String(reason))
		span.SetStatus(codes.Error, reason)
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(resp.StatusCode)))
		span.SetStatus(codes.Error, "")
	}
	return resp, nil
}

func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}
