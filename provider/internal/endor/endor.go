// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package endor asks the Endor Labs API who signed an image.
//
// [Client.Verify] gives Endor's answer, whatever it is; an error means that
// there is none, and an [Error] says whether asking again can help. What an
// answer is worth is not decided here but in package verify.
//
// The client exchanges an API key for a token and keeps it fresh ([Client.Run]),
// retries what may pass, bounds every body, follows no redirect, and calls no
// host but that of [Config.BaseURL]. Nothing that it returns or logs holds a
// token, a secret, or a URL with user info.
package endor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

const (
	// DefaultBaseURL is the API of tenants in the United States; those in the
	// European Union use https://api.eu.endorlabs.com.
	DefaultBaseURL = "https://api.endorlabs.com"

	// DefaultTimeout is the default of [Config.Timeout].
	DefaultTimeout = 15 * time.Second

	// maxBody is more than any answer of the API needs.
	maxBody = 1 << 20
)

// Config configures a [Client]. Credentials are required.
type Config struct {
	// BaseURL is the API's address; default [DefaultBaseURL]. It must be https,
	// except on loopback, and have no user info, query or fragment.
	BaseURL string

	// RootCAs verify the API's certificate; nil means the system's.
	RootCAs *x509.CertPool

	Credentials Credentials

	// Timeout bounds one operation with all its retries; default [DefaultTimeout].
	Timeout time.Duration

	// Rate bounds attempts; nil means no bound. Retries and token exchanges
	// count too.
	Rate *rate.Limiter

	// DialContext finds the API's name and opens connections, as the field of
	// [http.Transport] does; default that of [http.DefaultTransport]. TLS comes
	// on top of it.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// UserAgent names the program; default "endor-gatekeeper-provider".
	UserAgent string

	// Tracer makes a span of each attempt; nil means that none are made.
	Tracer trace.Tracer

	// Registerer takes the client's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer

	// Now is the wall clock; default [time.Now].
	Now func() time.Time
}

// Client calls the Endor Labs API. It is safe for concurrent use.
type Client struct {
	base      string
	userAgent string
	timeout   time.Duration
	now       func() time.Time
	transport *http.Transport
	http      *http.Client // makes one attempt
	metrics   *metrics
	tokens    *tokens
}

// New makes a client. Its error names every field that is wrong.
func New(cfg Config) (*Client, error) {
	base, err := ParseBaseURL(cfg.BaseURL)
	if err = errors.Join(err, cfg.Credentials.validate()); err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "endor-gatekeeper-provider"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{
		base:      base,
		userAgent: cfg.UserAgent,
		timeout:   cfg.Timeout,
		now:       cfg.Now,
		transport: newTransport(cfg),
		metrics:   newMetrics(cfg.Registerer),
	}
	c.http = newHTTPClient(cfg, c.metrics, c.transport)
	c.tokens = &tokens{credentials: cfg.Credentials, exchange: c.exchange, now: cfg.Now, timeout: cfg.Timeout}
	c.tokens.register(cfg.Registerer)
	return c, nil
}

// ParseBaseURL checks the API's address and gives it without a trailing slash.
// Empty means [DefaultBaseURL]. The error does not repeat the address, which
// may hold a password.
func ParseBaseURL(s string) (string, error) {
	if s == "" {
		return DefaultBaseURL, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return "", errors.New("the address of the Endor API is not a URL; give one such as " + DefaultBaseURL)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("the address of the Endor API holds a user, query or fragment; give scheme and host only")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", errors.New("the address of the Endor API is http beyond loopback; use https, since tokens travel on it")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("the address of the Endor API has the scheme %q; use https", u.Scheme)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// BaseURL is the address that is called, without a trailing slash.
func (c *Client) BaseURL() string { return c.base }

// Run keeps a token fresh until ctx ends and returns nil then. After each
// attempt to get one, attempt is told how it went; it may be nil.
func (c *Client) Run(ctx context.Context, attempt func(error)) error {
	return c.tokens.run(ctx, attempt)
}

// Close drops the connections that nobody uses. Calls that are under way end
// with their contexts.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func newTransport(cfg Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
	if cfg.DialContext != nil {
		t.DialContext = cfg.DialContext
	}
	// A connection that a middlebox forgot would hold every call on it for the
	// whole of its time.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = 64
	t.MaxResponseHeaderBytes = 64 << 10
	return t
}
