// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache_test

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestAReadThatFailsIsASpanThatSaysSoWithoutTheURL(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	c := newCache(t, refusing(t), func(cfg *sharedcache.Config) {
		cfg.Tracer = sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test")
	})
	c.Get(t.Context(), []verify.ID{api, web})
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans, want one for both questions", len(ended))
	}
	got := ended[0]
	if got.Name() != "MGET" || got.SpanKind() != trace.SpanKindClient || got.Status().Code != codes.Error || got.Status().Description != "connection refused" {
		t.Errorf("%s, %v, %+v", got.Name(), got.SpanKind(), got.Status())
	}
	said := fmt.Sprint(got.Attributes())
	wantText(t, said, "db.system.name")
	wantText(t, said, "redis")
	for _, secret := range []string{"hunter2", "127.0.0.1"} {
		if strings.Contains(said, secret) {
			t.Errorf("attributes hold %q: %s", secret, said)
		}
	}
}
