// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// handshakes counts the TLS handshakes that failed. net/http tells of them in its
// log and nowhere else, and there in words; those of crypto/tls and of package
// certs are what causes looks for. It is the handler of that log.
type handshakes struct {
	slog.Handler
	failed *prometheus.CounterVec
}

// otherCause is counted where nothing of causes fits.
const otherCause = "other"

// causes are why a handshake fails, with words that tell. The first that fits
// counts.
var causes = []struct {
	reason string
	words  []string
}{
	{"no_client_ca", []string{"no client CA is known yet"}},
	{"no_server_certificate", []string{"no server certificate is known yet"}},
	{"no_client_certificate", []string{"client didn't provide a certificate"}},
	{"wrong_name", []string{"the client certificate is for"}},
	{"expired", []string{"certificate has expired or is not yet valid"}},
	{"unknown_ca", []string{"signed by unknown authority"}},
	{"bad_client_certificate", []string{"failed to verify certificate", "failed to parse client certificate", "invalid signature by the client certificate"}},
	// The client says so: it does not trust the server's certificate.
	{"server_certificate_refused", []string{"remote error: tls: bad certificate", "remote error: tls: unknown certificate", "remote error: tls: expired certificate"}},
	{"version", []string{"unsupported versions", "protocol version not supported"}},
	{"not_tls", []string{"does not look like a TLS handshake", "sent an HTTP request to an HTTPS server"}},
	{"timeout", []string{"i/o timeout", "deadline exceeded"}},
	{"disconnected", []string{"EOF", "connection reset", "broken pipe", "use of closed"}},
}

func newHandshakes(next slog.Handler, reg prometheus.Registerer) handshakes {
	h := handshakes{Handler: next, failed: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "tls_handshake_failures_total",
		Help: "TLS handshakes of clients that failed, by reason.",
	}, []string{"reason"})}
	h.failed.WithLabelValues(otherCause) // an alert needs a zero to rise from
	for _, c := range causes {
		h.failed.WithLabelValues(c.reason)
	}
	return h
}

// Enabled is true: what is not logged is counted.
func (handshakes) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts, and logs what is to be logged.
func (h handshakes) Handle(ctx context.Context, r slog.Record) error {
	if _, failure, ok := strings.Cut(r.Message, "TLS handshake error from "); ok {
		h.failed.WithLabelValues(causeOf(failure)).Inc()
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func causeOf(failure string) string {
	for _, c := range causes {
		for _, words := range c.words {
			if strings.Contains(failure, words) {
				return c.reason
			}
		}
	}
	return otherCause
}
