// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// certificateLifetime is the documented one.
const certificateLifetime = 5 * time.Minute

// The authority's own certificate spans more than any test or demo signs in.
const (
	authorityPast   = 10 * 365 * 24 * time.Hour
	authorityFuture = 20 * 365 * 24 * time.Hour
)

// authority is a private certificate authority for code signing.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "endor-emulator artifact signing CA"},
		NotBefore:             now.Add(-authorityPast),
		NotAfter:              now.Add(authorityFuture),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign own certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse own certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key: key, cert: cert, pool: pool}, nil
}

// issue makes a certificate, as PEM, for a public key and the build that claims describe.
// It is valid from at, in whole seconds as X.509 has it, for certificateLifetime.
func (a *authority) issue(public crypto.PublicKey, claims Claims, at time.Time) (string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", fmt.Errorf("choose a serial number: %w", err)
	}
	exts, err := claims.extensions()
	if err != nil {
		return "", err
	}
	notBefore := at.Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber:    serial,
		Subject:         pkix.Name{CommonName: "artifact signing"},
		NotBefore:       notBefore,
		NotAfter:        notBefore.Add(certificateLifetime),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: exts,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return "", fmt.Errorf("sign certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// issued reports whether the authority signed the certificate for signing code.
// It does not judge when: that is a check, and a result, of its own.
func (a *authority) issued(cert *x509.Certificate) bool {
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:       a.pool,
		CurrentTime: cert.NotBefore,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	return err == nil
}
