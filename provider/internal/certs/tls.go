// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// ServerTLS configures a listener that only Gatekeeper can talk to: TLS 1.3,
// and a client certificate that some authority of clientCAs issued for one of
// names. Names are compared with the DNS names of the certificate letter by
// letter; its common name and wildcards count for nothing.
//
// Both functions are asked at each handshake, so that new certificates take
// effect without a restart. While one gives nothing, every handshake is refused. Nothing is resumed, since a resumed session would be
// judged by yesterday's authorities.
func ServerTLS(pair func() tls.Certificate, clientCAs func() *x509.CertPool, names []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			pool := clientCAs()
			if pool == nil {
				// With a nil pool crypto/tls would take the system's.
				return nil, errors.New("no client CA is known yet")
			}
			cfg, err := serverTLS(pair())
			if err != nil {
				return nil, err
			}
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
			cfg.ClientCAs = pool
			cfg.VerifyConnection = func(cs tls.ConnectionState) error { return checkName(cs, names) }
			return cfg, nil
		},
	}
}

// InsecureServerTLS configures a listener that asks for no client certificate:
// whoever reaches it can ask which images are signed, and by whom.
func InsecureServerTLS(pair func() tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return serverTLS(pair()) },
	}
}

func serverTLS(pair tls.Certificate) (*tls.Config, error) {
	if len(pair.Certificate) == 0 {
		return nil, errors.New("no server certificate is known yet")
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{pair},
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}, nil
}

func checkName(cs tls.ConnectionState, allowed []string) error {
	leaf := cs.PeerCertificates[0]
	for _, name := range leaf.DNSNames {
		if slices.Contains(allowed, name) {
			return nil
		}
	}
	return fmt.Errorf("the client certificate is for %q, and --client-names allows %q", leaf.DNSNames, allowed)
}
