// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"log"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// handshakes counts the TLS handshakes that failed. net/http tells of them in its
// log and nowhere else, and there in words; those of crypto/tls and of package
// certs are what causes looks for.
type handshakes struct {
	log    *slog.Logger
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

func newHandshakes(log *slog.Logger, reg prometheus.Registerer) handshakes {
	h := handshakes{log: log, failed: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "tls_handshake_failures_total",
		Help: "TLS handshakes of clients that failed, by reason.",
	}, []string{"reason"})}
	h.failed.WithLabelValues(otherCause) // an alert needs a zero to rise from
	for _, c := range causes {
		h.failed.WithLabelValues(c.reason)
	}
	return h
}

// errorLog is an [http.Server]'s ErrorLog.
func (h handshakes) errorLog() *log.Logger { return log.New(h, "", 0) }

func (h handshakes) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if _, failure, ok := strings.Cut(text, "TLS handshake error from "); ok {
		h.failed.WithLabelValues(causeOf(failure)).Inc()
	}
	h.log.LogAttrs(context.Background(), slog.LevelWarn, text)
	return len(line), nil
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
