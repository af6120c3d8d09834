// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package certs keeps the server's certificate and the certificate authorities
// of its clients current while they are in use.
//
// Both are read from files that somebody else replaces: cert-manager, the
// kubelet, an operator. (What is read from the API of a cluster is package
// cluster's.) The rule it keeps: a file that is torn, empty, or does
// not fit its twin never takes effect; the last good content stays. And there
// is no state in which clients are verified against nothing, or against the
// certificate authorities of the system.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Source is a value that is read from files which may change. It is safe for
// concurrent use, except that [Source.Reload] has one caller at a time.
type Source[T any] struct {
	name  string
	files []string
	parse func(contents [][]byte) (parsed[T], error)

	current atomic.Pointer[parsed[T]]
	sum     [sha256.Size]byte // of what current was parsed from
}

type parsed[T any] struct {
	value  T
	expiry time.Time
}

// ServerPair reads the server's certificate chain and private key, both PEM.
// It fails if they cannot be read or do not belong together.
func ServerPair(certFile, keyFile string) (*Source[tls.Certificate], error) {
	return load("server certificate", []string{certFile, keyFile}, func(contents [][]byte) (parsed[tls.Certificate], error) {
		pair, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return parsed[tls.Certificate]{}, err
		}
		return parsed[tls.Certificate]{pair, pair.Leaf.NotAfter}, nil
	})
}

// ClientCAs reads the certificate authorities that may issue client
// certificates, one or more in PEM. It fails if a file cannot be read or holds
// anything that is no certificate.
func ClientCAs(file string) (*Source[*x509.CertPool], error) {
	return load("client CA", []string{file}, func(contents [][]byte) (parsed[*x509.CertPool], error) {
		cas, err := ParsePEM(contents[0])
		return parsed[*x509.CertPool]{Pool(cas), LastExpiry(cas)}, err
	})
}

// CAs reads certificate authorities that others are to trust, as [ClientCAs]
// does.
func CAs(file string) (*Source[[]*x509.Certificate], error) {
	return load("CA", []string{file}, func(contents [][]byte) (parsed[[]*x509.Certificate], error) {
		cas, err := ParsePEM(contents[0])
		return parsed[[]*x509.Certificate]{cas, LastExpiry(cas)}, err
	})
}

// LastExpiry is the time after which none of certificates is valid, zero if
// there are none. While authorities are rotated, one that expires first is no
// reason to worry: what counts is when the last one does.
func LastExpiry(certificates []*x509.Certificate) (last time.Time) {
	for _, c := range certificates {
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	return last
}

func load[T any](name string, files []string, parse func([][]byte) (parsed[T], error)) (*Source[T], error) {
	s := &Source[T]{name: name, files: files, parse: parse}
	_, err := s.Reload()
	return s, err
}

// Name says what the source is of, for logs and metrics.
func (s *Source[T]) Name() string { return s.name }

// Current is the last good value.
func (s *Source[T]) Current() T { return s.current.Load().value }

// Expiry is when the last good value is over: the server's certificate, or the
// last of several authorities.
func (s *Source[T]) Expiry() time.Time { return s.current.Load().expiry }

// Reload reads the files again and says whether the value changed. With an
// error, which names the files, the value is the one before.
func (s *Source[T]) Reload() (changed bool, err error) {
	var contents [][]byte
	var errs []error
	hash := sha256.New()
	for _, file := range s.files {
		content, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		contents = append(contents, content)
		fmt.Fprintf(hash, "%d:", len(content))
		hash.Write(content)
	}
	if err := errors.Join(errs...); err != nil {
		return false, err
	}
	var sum [sha256.Size]byte
	hash.Sum(sum[:0])
	if s.current.Load() != nil && sum == s.sum {
		return false, nil
	}
	value, err := s.parse(contents)
	if err != nil {
		return false, fmt.Errorf("%s in %s: %w", s.name, strings.Join(s.files, " and "), err)
	}
	s.current.Store(&value)
	s.sum = sum
	return true, nil
}
