// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package externaldata

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// describe says on a request's span, if somebody made one, what became of it. Its
// HTTP status says nothing: that is always 200.
func describe(span trace.Span, keys int, worst *verify.Undecided) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.Int("endor.keys", keys))
	if worst != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(string(worst.Cause)))
		span.SetStatus(codes.Error, string(worst.Code))
	}
}

func refused(span trace.Span) {
	if span.IsRecording() {
		span.SetAttributes(semconv.ErrorTypeKey.String(string(badRequest)))
		span.SetStatus(codes.Error, string(verify.BadRequest))
	}
}
