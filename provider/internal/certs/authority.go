// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Backdate is how long before they are made the certificates of an [Authority]
// are valid, for clocks that are behind.
const Backdate = 5 * time.Minute

// Authority is a certificate authority made here, with an ECDSA P-256 key.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Pair is a certificate with its key, both PEM.
type Pair struct {
	Cert, Key []byte
}

// NewAuthority makes an authority that may issue certificates for lifetime.
func NewAuthority(name string, lifetime time.Duration) (*Authority, error) {
	template, err := newTemplate(name, lifetime)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	cert, err := sign(template, template, key.Public(), key)
	return &Authority{cert: cert, key: key}, err
}

// ParseAuthority reads what [Authority.CertPEM] and [Authority.KeyPEM] gave. It
// fails if they do not belong together or the certificate may issue none.
func ParseAuthority(cert, key []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("the certificate of %s may issue no others", pair.Leaf.Subject.CommonName)
	}
	return &Authority{cert: pair.Leaf, key: signer}, nil
}

// KeyPEM is the authority's private key. Whoever has it can issue certificates.
func (a *Authority) KeyPEM() ([]byte, error) { return keyPEM(a.cert.Subject.CommonName, a.key) }

// CertPEM is the authority's certificate, to be trusted by others.
func (a *Authority) CertPEM() []byte { return EncodePEM(a.cert) }

// Certificate is the authority's certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Issue makes a certificate for names, each a DNS name or an IP address; the
// first is its common name. It serves servers and clients alike, as
// Gatekeeper's own does.
func (a *Authority) Issue(lifetime time.Duration, names ...string) (Pair, error) {
	template, err := newTemplate(names[0], lifetime)
	if err != nil {
		return Pair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make the key of %s: %w", names[0], err)
	}
	private, keyErr := keyPEM(names[0], key)
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err := errors.Join(keyErr, err); err != nil {
		return Pair{}, err
	}
	return Pair{Cert: EncodePEM(cert), Key: private}, nil
}

func newTemplate(name string, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"endor-gatekeeper-provider"}},
		NotBefore:    now.Add(-Backdate),
		NotAfter:     now.Add(lifetime),
	}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

func keyPEM(name string, key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of %s: %w", name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
