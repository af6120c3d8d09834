// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Where spans go and for how long that is tried, if nobody says.
const (
	defaultEndpoint = "http://localhost:4318"
	defaultTimeout  = 10 * time.Second
)

// The most that the SDK may be told: spans in a queue or batch, for which it makes
// room at once, and which take about a KiB each while the collector is away; and a
// time, of 24 days.
const (
	mostSpans        = 1 << 16
	mostMilliseconds = 1<<31 - 1
)

// settings are those of the exporter. What concerns sampling, batches, limits and
// the resource is read by the SDK itself, and sampler and batches looked at before.
// Every number is good as a limit of spans: below zero it is none.
type settings struct {
	endpoint string // the whole address
	headers  http.Header
	timeout  time.Duration // of one batch with all attempts
	gzip     bool
	tls      *tls.Config
}

// read reads the variables. on says whether spans are wanted at all.
func read(getenv func(string) string) (s settings, on bool, err error) {
	// The variable of the signal wins over that of all signals.
	of := func(name string) string {
		return strings.TrimSpace(cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), getenv("OTEL_EXPORTER_OTLP_"+name)))
	}
	exporter := getenv("OTEL_TRACES_EXPORTER")
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || exporter == "none" || exporter == "" && of("ENDPOINT") == "" {
		return settings{}, false, nil
	}
	var errs []error
	if exporter != "" && exporter != "otlp" {
		errs = append(errs, fmt.Errorf("OTEL_TRACES_EXPORTER is %q; only otlp and none are known here", exporter))
	}
	if p := of("PROTOCOL"); p != "" && p != "http/protobuf" {
		errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; only http/protobuf is spoken here, which collectors take on port 4318", p))
	}
	if s.endpoint, err = endpoint(getenv); err != nil {
		errs = append(errs, err)
	}
	if s.headers, err = headers(of("HEADERS")); err != nil {
		errs = append(errs, err)
	}
	s.timeout = defaultTimeout
	if t := of("TIMEOUT"); t != "" {
		ms, err := number("OTEL_EXPORTER_OTLP_TIMEOUT", t, "milliseconds", mostMilliseconds)
		if err != nil {
			errs = append(errs, err)
		}
		s.timeout = time.Duration(ms) * time.Millisecond
	}
	switch c := of("COMPRESSION"); c {
	case "", "none":
	case "gzip":
		s.gzip = true
	default:
		errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION is %q; it is gzip or none", c))
	}
	if s.tls, err = certificates(of("CERTIFICATE"), of("CLIENT_CERTIFICATE"), of("CLIENT_KEY")); err != nil {
		errs = append(errs, err)
	}
	return s, true, errors.Join(append(errs, sampler(getenv), batches(getenv))...)
}

// number reads one from 1 to most. Its error says of what.
func number(name, value, what string, most int64) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s is %q; it is a number of %s, from 1 to %d", name, value, what, most)
	}
	return n, nil
}

// batches says what is wrong with their sizes and times. The SDK would panic, look
// for spans without a pause, or say nothing and take its default.
func batches(getenv func(string) string) error {
	var errs []error
	for _, v := range []struct {
		name, what string
		most       int64
	}{
		{"OTEL_BSP_MAX_QUEUE_SIZE", "spans", mostSpans},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "spans", mostSpans},
		{"OTEL_BSP_SCHEDULE_DELAY", "milliseconds", mostMilliseconds},
		{"OTEL_BSP_EXPORT_TIMEOUT", "milliseconds", mostMilliseconds},
	} {
		if value := getenv(v.name); value != "" {
			_, err := number(v.name, value, v.what, v.most)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sampler says what is wrong with it. The SDK would only log that, and trace
// everything.
func sampler(getenv func(string) string) error {
	switch s := strings.ToLower(strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER"))); s {
	case "", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off":
		return nil
	case "traceidratio", "parentbased_traceidratio":
		arg := strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER_ARG"))
		if share, err := strconv.ParseFloat(arg, 64); arg != "" && (err != nil || !(share >= 0 && share <= 1)) {
			return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q; it is a share, from 0 to 1", arg)
		}
		return nil
	default:
		return fmt.Errorf("OTEL_TRACES_SAMPLER is %q; it is always_on, always_off, traceidratio, or one of these after parentbased_", s)
	}
}

// endpoint is that of traces as it is, or that of all signals with the path of
// traces. Its error does not repeat the address, which may hold a password.
func endpoint(getenv func(string) string) (string, error) {
	name, path := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""
	address := strings.TrimSpace(getenv(name))
	if address == "" {
		name, path = "OTEL_EXPORTER_OTLP_ENDPOINT", "v1/traces"
		address = cmp.Or(strings.TrimSpace(getenv(name)), defaultEndpoint)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New(name + " is no address; write it as http://HOST:4318")
	}
	if path == "" {
		return u.String(), nil
	}
	return u.JoinPath(path).String(), nil
}

// headers reads NAME=VALUE,NAME=VALUE with percent-encoded values. Its error does
// not repeat them: they are credentials.
func headers(list string) (http.Header, error) {
	h := http.Header{}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		name = strings.TrimSpace(name)
		// net/http would look at both no sooner than with the first batch, and repeat
		// a name that is none.
		if !ok || err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS cannot be read; write it as NAME=VALUE,NAME=VALUE")
		}
		h.Set(name, value)
	}
	return h, nil
}

// certificates are nil if the system's are to be used and none is shown.
func certificates(caFile, certFile, keyFile string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := readFile("OTEL_EXPORTER_OTLP_CERTIFICATE", caFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s holds no certificate", caFile)
		}
	}
	if certFile+keyFile != "" {
		cert, err := readFile("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certFile)
		if err != nil {
			return nil, err
		}
		key, err := readFile("OTEL_EXPORTER_OTLP_CLIENT_KEY", keyFile)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
