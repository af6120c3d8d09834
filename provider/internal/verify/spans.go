// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// spans makes the spans of a [Desk]: one for the look into the caches, and one
// for each key that they do not answer. Without a tracer it makes none, and
// costs nothing: what it gives then is a span that forgets everything.
type spans struct{ tracer trace.Tracer }

var none = trace.SpanFromContext(context.Background())

func (s spans) cache(ctx context.Context) (context.Context, trace.Span) {
	if s.tracer == nil {
		return ctx, none
	}
	return s.tracer.Start(ctx, "cache")
}

func endCache(span trace.Span, keys, missing int) {
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("endor.keys", keys), attribute.Int("endor.cache.misses", missing))
	}
	span.End()
}

// key begins the span of a question that has to be asked. What it says of the
// image was parsed, and so is bounded.
func (s spans) key(ctx context.Context, q question.Question) (context.Context, trace.Span) {
	if s.tracer == nil {
		return ctx, none
	}
	return s.tracer.Start(ctx, "key", trace.WithAttributes(
		semconv.ContainerImageName(q.Image.Name()),
		semconv.ContainerImageRepoDigests(q.Image.Artifact()),
		attribute.String("endor.namespace", q.Namespace),
	))
}

func endKey(span trace.Span, a *Answer) {
	if span.IsRecording() {
		span.SetAttributes(attribute.String("endor.code", string(a.Code())), attribute.Bool("endor.background", a.Background))
		// A refusal is an answer; to have none is an error.
		if a.Undecided == nil {
			span.SetAttributes(attribute.String("endor.source", string(a.Source)))
		} else {
			span.SetAttributes(semconv.ErrorTypeKey.String(string(a.Undecided.Cause)))
			span.SetStatus(codes.Error, string(a.Undecided.Cause))
		}
	}
	span.End()
}

// linkTo has the span of a question name the one in which the call that it shares
// was begun, and under which the attempts are.
func linkTo(ctx context.Context, began trace.SpanContext) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() && began.IsValid() && !began.Equal(span.SpanContext()) {
		span.AddLink(trace.Link{SpanContext: began})
	}
}
