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
// Both functions are asked at each handshake, so that new files take effect
// without a restart. Nothing is resumed, since a resumed session would be
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
			return &tls.Config{
				MinVersion:             tls.VersionTLS13,
				Certificates:           []tls.Certificate{pair()},
				ClientAuth:             tls.RequireAndVerifyClientCert,
				ClientCAs:              pool,
				NextProtos:             []string{"http/1.1"},
				SessionTicketsDisabled: true,
				VerifyConnection:       func(cs tls.ConnectionState) error { return checkName(cs, names) },
			}, nil
		},
	}
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
