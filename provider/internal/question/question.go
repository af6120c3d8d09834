// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package question reads and prints the keys that policies send: one key asks
// one question about one image, with everything in it that decides the answer,
// because Gatekeeper caches answers by key and by nothing else.
//
// A key is an image reference, or a query in exactly the form that
// [net/url.Values.Encode] prints:
//
//	ghcr.io/acme/api@sha256:…
//	image=ghcr.io%2Facme%2Fapi%40sha256%3A…&source_repository=acme%2Fapi
//	image=…&namespace=acme.prod&signer=source_repository%3Dacme%252Fapi&signer=…
//
// The rule it keeps: a key that is not understood to its last byte is refused.
// A provider that ignored a name it does not know would answer a question
// weaker than the one that was asked.
//
// Defaults (namespace, issuer, name of the image at Endor Labs) are not filled
// in here; that is package verify's work.
package question

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"unique"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
)

const (
	// MaxKeyBytes is the longest key that is read.
	MaxKeyBytes = 8 << 10

	// MaxSigners is how many signers one question may accept.
	MaxSigners = 8
)

// ErrKey says that a key asks no question: it is malformed, holds a name that
// is not known, or is not in canonical form.
var ErrKey = errors.New("not a usable key")

// Question asks whether an image was signed by one of several signers. It is
// comparable; the zero value asks nothing.
type Question struct {
	Image imageref.Ref

	// Namespace is the Endor namespace to ask in; empty means the provider's.
	Namespace string

	// Signers are tried in order. Zero signers mean the provider's default
	// one: anyone in the namespace, with the default issuer.
	Signers Signers
}

// Signers is an ordered, comparable list of up to [MaxSigners] signers. It is
// small: equal lists, of which a cluster has few, are kept once.
type Signers struct {
	count int
	list  unique.Handle[[MaxSigners]Claims] // zero if count is
}

// NewSigners makes a list. It refuses more than [MaxSigners] signers and
// signers that [Claims.Validate] refuses, with an error that wraps [ErrKey].
func NewSigners(signers ...Claims) (Signers, error) {
	if len(signers) > MaxSigners {
		return Signers{}, fmt.Errorf("%w: %d signers, at most %d are possible", ErrKey, len(signers), MaxSigners)
	}
	for _, c := range signers {
		if err := c.Validate(); err != nil {
			return Signers{}, err
		}
	}
	return intern(signers), nil
}

func intern(signers []Claims) Signers {
	if len(signers) == 0 {
		return Signers{}
	}
	var list [MaxSigners]Claims
	copy(list[:], signers)
	return Signers{count: len(signers), list: unique.Make(list)}
}

// Len is the number of signers.
func (s Signers) Len() int { return s.count }

// All gives the signers with their positions, in order.
func (s Signers) All() iter.Seq2[int, Claims] {
	if s.count == 0 {
		return func(func(int, Claims) bool) {}
	}
	list := s.list.Value()
	return slices.All(list[:s.count])
}

// Map gives the list with f applied to each signer. f must keep a signer valid.
func (s Signers) Map(f func(Claims) Claims) Signers {
	var list []Claims
	for _, c := range s.All() {
		list = append(list, f(c))
	}
	return intern(list)
}

var namespacePattern = regexp.MustCompile(`^[a-z0-9_-]{1,32}(\.[a-z0-9_-]{1,32})*$`)

// ValidNamespace says whether s can be the name of an Endor namespace, for
// example "acme.prod". Only such a name may become part of a URL's path.
func ValidNamespace(s string) bool { return namespacePattern.MatchString(s) }
