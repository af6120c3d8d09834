// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// client sends batches of spans by OTLP over HTTP.
//
// OpenTelemetry's own, otlptracehttp, links all of gRPC even so, for settings that
// it shares with its twin. What it would do besides is what retryablehttp does.
type client struct {
	settings settings
	http     *retryablehttp.Client
	sent     *prometheus.CounterVec
}

var _ otlptrace.Client = (*client)(nil)

// Results of sending a batch, as a label.
const (
	sendOK    = "ok"
	sendError = "error"
)

// maxReply is as much as is read of what a collector says.
const maxReply = 64 << 10

func newClient(s settings, sent *prometheus.CounterVec) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = s.tls
	retrying := retryablehttp.NewClient()
	retrying.Logger = nil
	retrying.HTTPClient = &http.Client{
		Transport: transport,
		// A redirect would take the headers, which are credentials, elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	retrying.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return &client{settings: s, http: retrying, sent: sent}
}

// Start connects to nothing: the first batch does.
func (*client) Start(context.Context) error { return nil }

// Stop drops the connections that nobody uses.
func (c *client) Stop(context.Context) error {
	c.http.HTTPClient.CloseIdleConnections()
	return nil
}

// UploadTraces sends a batch, and tries again what may pass.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, c.settings.timeout)
	defer cancel()
	err := c.upload(ctx, spans)
	result := sendOK
	if err != nil {
		result = sendError
	}
	c.sent.WithLabelValues(result).Inc()
	return err
}

func (c *client) upload(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := c.encode(spans)
	if err != nil {
		return err
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.settings.endpoint, body)
	if err != nil {
		return withoutURL(err)
	}
	req.Header = c.settings.headers.Clone()
	req.Header.Set("Content-Type", "application/x-protobuf")
	if c.settings.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxReply)) // so that the connection is used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers HTTP %d", resp.StatusCode)
	}
	return nil
}

// encode writes an ExportTraceServiceRequest, which on the wire is a TracesData;
// the package that has the former imports gRPC.
func (c *client) encode(spans []*tracepb.ResourceSpans) ([]byte, error) {
	raw, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil || !c.settings.gzip {
		return raw, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(raw)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// withoutURL takes off the address that net/http puts in front, since it may hold
// a password.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("the collector cannot be reached: %w", err)
}
