// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

const readOperation = "MGET"

// none is a span that forgets everything.
var none = trace.SpanFromContext(context.Background())

func (c *Cache) startRead(ctx context.Context, names int) (context.Context, trace.Span) {
	if c.cfg.Tracer == nil {
		return ctx, none
	}
	return c.cfg.Tracer.Start(ctx, readOperation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.DBSystemNameRedis, semconv.DBOperationName(readOperation), semconv.DBOperationBatchSize(names),
	))
}

func endRead(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		what := describe(err)
		span.SetAttributes(semconv.ErrorTypeOther)
		span.SetStatus(codes.Error, what)
	}
	span.End()
}
