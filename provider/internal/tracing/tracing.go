// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package tracing sends OpenTelemetry spans of requests to a collector, by OTLP
// over HTTP.
//
// It is set up by the standard variables alone, and does nothing unless
// OTEL_TRACES_EXPORTER or an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is among them: then [New] gives nil, and
// whoever would make spans gets no tracer. Those of the exporter are read here
// (_PROTOCOL, _HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE, _CLIENT_CERTIFICATE,
// _CLIENT_KEY), those of the sampler, of batches and of limits by the SDK, and so
// are OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES. A traceparent that comes with
// a request is honored, a tracestate is not read, and neither is sent to Endor Labs.
//
// Spans are sent behind answers. A collector that is slow or away costs spans.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Config configures [New].
type Config struct {
	// Service and Version name the program, unless OTEL_SERVICE_NAME does.
	Service, Version string

	Getenv     func(string) string   // of this program's environment
	Log        *slog.Logger          // hears that spans cannot be sent
	Registerer prometheus.Registerer // nil means that nobody reads the metrics
}

// Tracing makes spans. A nil one makes none.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// flushing is how long the last spans may take at the end.
const flushing = 5 * time.Second

// New gives nil if spans are not wanted. Its error names each variable that is
// wrong.
func New(cfg Config) (*Tracing, error) {
	sent := promauto.With(cfg.Registerer).NewCounterVec(prometheus.CounterOpts{
		Name: "trace_exports_total",
		Help: "Batches of spans for the collector, by result (ok, or error if it did not take them in time).",
	}, []string{"result"})
	for _, result := range []string{sendOK, sendError} {
		sent.WithLabelValues(result)
	}
	settings, on, err := read(cfg.Getenv)
	if err != nil || !on {
		return nil, err
	}
	ctx := context.Background()
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(cfg.Service), semconv.ServiceVersion(cfg.Version)),
		resource.WithFromEnv(), // the last one wins
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	exporter, err := otlptrace.New(ctx, newClient(settings, sent))
	if err != nil {
		return nil, err
	}
	// What the SDK cannot tell a caller goes to a handler of the process.
	otel.SetErrorHandler(&complaints{log: cfg.Log})
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Tracing{provider: provider, tracer: provider.Tracer(cfg.Service, trace.WithInstrumentationVersion(cfg.Version))}, nil
}

// Tracer is nil if no spans are made.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// Close sends what is left, for some seconds at most.
func (t *Tracing) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushing)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return errors.New("traces: the last spans are lost, since the collector does not take them")
	}
	return nil
}

// complaints logs what the SDK says, once as long as it repeats itself.
type complaints struct {
	log  *slog.Logger
	last atomic.Pointer[string]
}

// Handle is an [otel.ErrorHandler]'s.
func (c *complaints) Handle(err error) {
	text := err.Error()
	if last := c.last.Swap(&text); last == nil || *last != text {
		c.log.LogAttrs(context.Background(), slog.LevelWarn, "traces", slog.String("error", text))
	}
}
