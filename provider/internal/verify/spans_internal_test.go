// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

//nolint:paralleltest // it counts the allocations of all goroutines
func TestWithoutATracerSpansCostNothing(t *testing.T) {
	var s spans
	ctx := context.Background()
	q, err := question.Parse("ghcr.io/acme/api@sha256:1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b1a2b")
	if err != nil {
		t.Fatal(err)
	}
	a := &Answer{Undecided: &Undecided{Code: Unavailable, Cause: CauseBudget}}
	allocations := testing.AllocsPerRun(100, func() {
		looking, span := s.cache(ctx)
		endCache(span, 1, 1)
		asking, span := s.key(looking, q)
		linkTo(asking, trace.SpanContext{})
		endKey(span, a)
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}
