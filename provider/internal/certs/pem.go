// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParsePEM reads one certificate or more, and nothing else. It is stricter than
// [x509.CertPool.AppendCertsFromPEM], which passes over what it cannot read:
// half a file would silently be half the pool.
func ParsePEM(content []byte) ([]*x509.Certificate, error) {
	rest := bytes.TrimSpace(content)
	if len(rest) == 0 {
		return nil, errors.New("it is empty; put the PEM of the certificate authority into it")
	}
	var found []*x509.Certificate
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("it ends in something that is no PEM")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %q beside certificates", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, cert)
		rest = bytes.TrimSpace(rest)
	}
	return found, nil
}

// EncodePEM is the reverse of [ParsePEM].
func EncodePEM(list ...*x509.Certificate) []byte {
	var out []byte
	for _, cert := range list {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}

// Pool trusts the authorities. Of none it trusts nobody, which a nil pool would
// not: crypto takes that for the authorities of the system.
func Pool(authorities []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range authorities {
		pool.AddCert(ca)
	}
	return pool
}
