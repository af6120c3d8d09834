// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

// Lifetimes of what is made here. Each is replaced when a third of it is left.
const (
	caLifetime   = 365 * 24 * time.Hour
	pairLifetime = 90 * 24 * time.Hour
)

// Keys of the Secret. The names are those of kubernetes.io/tls, with the key of
// the authority.
const (
	dataCAs   = "ca.crt" // one authority or more, the issuing one last
	dataCAKey = "ca.key" // of the issuing one
	dataCert  = "tls.crt"
	dataKey   = "tls.key"
)

// material is what the Secret holds: a self-signed authority, the pair that the
// provider serves, and, while a rotation spreads, the authority before. What
// cannot be read is as if it were not there.
type material struct {
	cas    []*x509.Certificate // all that Gatekeeper is to trust
	issuer *certs.Authority    // the last of cas; nil if its key is missing
	pair   *tls.Certificate    // nil if there is none
	data   map[string][]byte
}

func readMaterial(data map[string][]byte) material {
	m := material{data: data}
	m.cas, _ = certs.ParsePEM(data[dataCAs])
	if len(m.cas) > 0 {
		m.issuer, _ = certs.ParseAuthority(certs.EncodePEM(m.cas[len(m.cas)-1]), data[dataCAKey])
	}
	if pair, err := tls.X509KeyPair(data[dataCert], data[dataKey]); err == nil {
		m.pair = &pair
	}
	return m
}

// rotation decides what comes after a material. It looks at nothing else than
// the material itself, the time, and what Gatekeeper trusts, so that every
// replica decides the same and none has to lead.
//
// A new authority is trusted first and issues later: it joins the others in the
// caBundle of the Provider object; once it is there and overlap old it issues the
// pair; and once that is overlap old the others leave. So at every moment whoever
// read the Secret or the Provider object within the last overlap gets along with
// whoever reads it now.
//
// To rotate the authority by hand, remove ca.key from the Secret; to rotate the
// pair, remove tls.crt. Where the key of the authority leaked, empty the Secret
// and delete the Provider object: otherwise the old authority stays trusted for an
// overlap.
type rotation struct {
	names     []string // DNS names of the pair
	overlap   time.Duration
	published func(*x509.Certificate) bool // whether the Provider object trusts an authority
}

// next gives the step that is due at now, in words for the log; "" if none is.
func (r rotation) next(m material, now time.Time) (material, string, error) {
	if m.issuer == nil || aged(m.issuer.Certificate(), now) {
		return r.newAuthority(m, now)
	}
	if !r.usable(m, now) {
		next, why, err := r.issue(m, "made a server certificate, since there was none that could be used")
		if err == nil && r.usable(next, now) {
			return next, why, nil
		}
		// What this authority issues nobody would accept: it is not valid yet, for
		// other names or uses, or may sign nothing.
		return r.newAuthority(m, now)
	}
	leaf, issuer := m.pair.Leaf, m.issuer.Certificate()
	switch {
	case leaf.CheckSignatureFrom(issuer) != nil:
		if now.Before(madeAt(issuer).Add(r.overlap)) || !r.published(issuer) {
			return m, "", nil
		}
		return r.issue(m, "made a server certificate of the new CA")
	case aged(leaf, now):
		return r.issue(m, "renewed the server certificate")
	case len(m.cas) > 1 && !now.Before(madeAt(leaf).Add(r.overlap)):
		m.cas = []*x509.Certificate{issuer}
		return m.write(), "dropped the CA before", nil
	}
	return m, "", nil
}

// newAuthority keeps the one that issued the pair, if Gatekeeper can go on with
// it.
func (r rotation) newAuthority(m material, now time.Time) (material, string, error) {
	issuer, err := certs.NewAuthority("endor-gatekeeper-provider-ca", caLifetime)
	if err != nil {
		return m, "", err
	}
	key, err := issuer.KeyPEM()
	if err != nil {
		return m, "", err
	}
	fresh := !r.usable(m, now)
	m.cas = slices.DeleteFunc(slices.Clone(m.cas), func(ca *x509.Certificate) bool {
		return fresh || m.pair.Leaf.CheckSignatureFrom(ca) != nil
	})
	m.cas = append(m.cas, issuer.Certificate())
	m.issuer = issuer
	m.data = with(m.data, dataCAKey, key)
	if fresh {
		return r.issue(m, "made a CA and a server certificate")
	}
	return m.write(), "made a new CA; it issues once Gatekeeper trusts it", nil
}

func (r rotation) issue(m material, why string) (material, string, error) {
	pair, err := m.issuer.Issue(pairLifetime, r.wanted(m)...)
	if err != nil {
		return m, "", err
	}
	loaded, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return m, "", err
	}
	m.pair = &loaded
	m.data = with(with(m.data, dataCert, pair.Cert), dataKey, pair.Key)
	return m.write(), why, nil
}

// wanted are our names and, where the pair lacks one of them, those that it has:
// replicas before and after an upgrade both find theirs. What nobody wants any more
// leaves when the pair is renewed.
func (r rotation) wanted(m material) []string {
	names := slices.Clone(r.names)
	if m.pair == nil || r.named(m) {
		return names
	}
	for _, name := range m.pair.Leaf.DNSNames {
		if !slices.Contains(names, name) && len(names) < maxNames {
			names = append(names, name)
		}
	}
	return names
}

// maxNames bounds what upgrades that never end could add.
const maxNames = 100

// named says that the pair has all our names; other ones do no harm.
func (r rotation) named(m material) bool {
	return !slices.ContainsFunc(r.names, func(name string) bool { return !slices.Contains(m.pair.Leaf.DNSNames, name) })
}

// usable says that the pair is for our names, of one of our authorities and in
// its time.
func (r rotation) usable(m material, now time.Time) bool {
	if m.pair == nil || !r.named(m) {
		return false
	}
	return Verify(m.pair, m.cas, r.names[0], now) == nil
}

// write puts cas into the data.
func (m material) write() material {
	m.data = with(m.data, dataCAs, certs.EncodePEM(m.cas...))
	return m
}

func with(data map[string][]byte, key string, value []byte) map[string][]byte {
	out := make(map[string][]byte, len(data)+1)
	for k, v := range data {
		out[k] = v
	}
	out[key] = value
	return out
}

// Verify says whether somebody who trusts authorities would accept pair as name.
func Verify(pair *tls.Certificate, authorities []*x509.Certificate, name string, now time.Time) error {
	if pair == nil || pair.Leaf == nil {
		return errors.New("there is no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(cert)
		}
	}
	_, err := pair.Leaf.Verify(x509.VerifyOptions{
		Roots: certs.Pool(authorities), Intermediates: intermediates, DNSName: name, CurrentTime: now,
	})
	return err
}

// aged says that less than a third of the certificate's life is left.
func aged(cert *x509.Certificate, now time.Time) bool {
	return cert.NotAfter.Sub(now) < cert.NotAfter.Sub(cert.NotBefore)/3
}

// madeAt is when a certificate of ours was made.
func madeAt(cert *x509.Certificate) time.Time { return cert.NotBefore.Add(certs.Backdate) }

// sameSet says that two lists hold the same certificates, in whatever order.
func sameSet(a, b []*x509.Certificate) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(c *x509.Certificate) bool { return !contains(b, c) })
}

// DecodeBundle reads a caBundle as the API server has it: base64 of PEM.
func DecodeBundle(encoded string) ([]*x509.Certificate, error) {
	pem, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	return certs.ParsePEM(pem)
}

func contains(list []*x509.Certificate, cert *x509.Certificate) bool {
	return slices.ContainsFunc(list, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, cert.Raw) })
}
