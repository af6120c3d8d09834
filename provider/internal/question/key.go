// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package question

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
)

const (
	imageName     = "image"
	namespaceName = "namespace"
	signerName    = "signer"
)

// Parse reads a key. Its errors wrap [ErrKey], or, where the key is sound and
// only the image in it is not, [imageref.ErrSyntax] or [imageref.ErrNoDigest].
func Parse(key string) (Question, error) {
	switch {
	case key == "":
		return Question{}, fmt.Errorf("%w: it is empty", ErrKey)
	case len(key) > MaxKeyBytes:
		return Question{}, fmt.Errorf("%w: it has %d bytes, at most %d are possible", ErrKey, len(key), MaxKeyBytes)
	case strings.Contains(key, "="):
		return parseQuery(key)
	default:
		return parseBare(key)
	}
}

// parseBare reads an image reference. Other bytes than a reference's are
// refused as a bad key: they hint at a policy that forgot to encode.
func parseBare(key string) (Question, error) {
	for i := range len(key) {
		if !isReferenceByte(key[i]) {
			return Question{}, fmt.Errorf("%w: byte %d can be in no image reference; send a query", ErrKey, i)
		}
	}
	image, err := imageref.Parse(key)
	if err != nil {
		return Question{}, err
	}
	return Question{Image: image}, nil
}

func isReferenceByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("._:/@[]-", b) >= 0
}

func parseQuery(key string) (Question, error) {
	values, err := canonical(key)
	if err != nil {
		return Question{}, err
	}
	var q Question
	if values.Has(namespaceName) {
		q.Namespace = values.Get(namespaceName)
		if !ValidNamespace(q.Namespace) {
			return Question{}, fmt.Errorf("%w: %.80q is no Endor namespace", ErrKey, q.Namespace)
		}
	}
	if q.Signers, err = parseSigners(values); err != nil {
		return Question{}, err
	}
	if !values.Has(imageName) {
		return Question{}, fmt.Errorf("%w: it names no image", ErrKey)
	}
	if q.Image, err = imageref.Parse(values.Get(imageName)); err != nil {
		return Question{}, err
	}
	return q, nil
}

// canonical reads a query in the one form that [url.Values.Encode] prints,
// with no name but "signer" more than once. Two spellings of one question
// would be two entries in Gatekeeper's cache, and a spelling that some other
// reader takes for another question is how conditions get lost.
func canonical(query string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil || values.Encode() != query {
		return nil, fmt.Errorf("%w: it is not a query as url.Values.Encode prints it", ErrKey)
	}
	for name, all := range values {
		if len(all) > 1 && name != signerName {
			return nil, fmt.Errorf("%w: %.80q stands in it twice", ErrKey, name)
		}
		for _, v := range all {
			if !utf8.ValidString(v) {
				return nil, fmt.Errorf("%w: %.80q is not UTF-8", ErrKey, name)
			}
		}
	}
	return values, nil
}

func parseSigners(values url.Values) (Signers, error) {
	one, err := parseClaims(values)
	if err != nil {
		return Signers{}, err
	}
	switch several := values[signerName]; {
	case several == nil && one == (Claims{}):
		return Signers{}, nil
	case several == nil:
		return NewSigners(one)
	case one != (Claims{}):
		return Signers{}, fmt.Errorf("%w: it has claims beside signer", ErrKey)
	default:
		return parseSeveral(several)
	}
}

func parseSeveral(queries []string) (Signers, error) {
	var list []Claims
	for _, query := range queries {
		values, err := canonical(query)
		if err != nil {
			return Signers{}, err
		}
		for _, name := range []string{imageName, namespaceName, signerName} {
			if values.Has(name) {
				return Signers{}, fmt.Errorf("%w: %q in a signer", ErrKey, name)
			}
		}
		c, err := parseClaims(values)
		if err != nil {
			return Signers{}, err
		}
		list = append(list, c)
	}
	return NewSigners(list...)
}

// parseClaims reads every claim in values and refuses names that are neither
// claims nor part of a key.
func parseClaims(values url.Values) (Claims, error) {
	var c Claims
	for name := range values {
		switch name {
		case imageName, namespaceName, signerName:
			continue
		}
		f := field(&c, name)
		if f == nil {
			return Claims{}, fmt.Errorf("%w: %.80q is not known", ErrKey, name)
		}
		if *f = values.Get(name); *f == "" {
			return Claims{}, fmt.Errorf("%w: %s is empty", ErrKey, name)
		}
	}
	return c, nil
}

// Key prints q as the query that [Parse] reads back to q.
func (q Question) Key() string {
	values := url.Values{imageName: {q.Image.String()}}
	if q.Namespace != "" {
		values.Set(namespaceName, q.Namespace)
	}
	for _, c := range q.Signers.All() {
		if q.Signers.Len() == 1 {
			c.addTo(values)
			break
		}
		signer := url.Values{}
		c.addTo(signer)
		values.Add(signerName, signer.Encode())
	}
	return values.Encode()
}

func (c Claims) addTo(values url.Values) {
	for name, value := range c.All() {
		values.Set(name, value)
	}
}
