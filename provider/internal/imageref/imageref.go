// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package imageref turns the image string of a manifest into a Ref: a value
// that names exactly one image and can be compared and used as a map key.
//
// It keeps two rules. A Ref always has a sha256 digest, since Endor Labs signs
// digests and a tag may move between the check and the pull. And nothing is
// accepted that a container runtime would read in another way: parsing is that
// of github.com/distribution/reference, which the kubelet uses, and a domain
// with upper-case letters, which pulls the same content under a name that no
// rule mentions, is refused.
//
// The name is kept as it was written, because Endor Labs finds signatures by
// the name that was signed. [Naming] maps it to another one on request.
package imageref

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

var (
	// ErrSyntax says that a string is no image reference, or one that this
	// package refuses: an upper-case domain, or a digest that is not sha256.
	ErrSyntax = errors.New("not a usable image reference")

	// ErrNoDigest says that a reference is well formed but names no digest.
	ErrNoDigest = errors.New("image reference without a digest")
)

const digestPrefix = "sha256:"

// digestAlgorithms are those with which an image id may begin.
var digestAlgorithms = []string{"sha256", "sha384", "sha512"}

// Ref is an image reference with a digest. It is comparable; the zero value
// names no image.
type Ref struct {
	name   string
	tag    string
	digest string
}

// Parse reads s, for example
//
//	ghcr.io/acme/api@sha256:<64 hex digits>
//	ghcr.io/acme/api:v1@sha256:<64 hex digits>
//
// Its errors wrap [ErrSyntax] or [ErrNoDigest].
func Parse(s string) (Ref, error) {
	normalized, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Ref{}, fmt.Errorf("%w: %.80q: %w", ErrSyntax, s, err)
	}
	if domain := reference.Domain(normalized); domain != strings.ToLower(domain) {
		return Ref{}, fmt.Errorf("%w: %.80q: write the domain in lower case", ErrSyntax, s)
	}
	if id, _, ok := strings.Cut(s, ":"); ok && slices.Contains(digestAlgorithms, id) {
		// A runtime runs the local image of that id, whatever its name.
		return Ref{}, fmt.Errorf("%w: %.80q: an id names no image that was signed", ErrSyntax, s)
	}
	digested, ok := normalized.(reference.Digested)
	if !ok {
		return Ref{}, fmt.Errorf("%w: %.80q", ErrNoDigest, s)
	}
	if !strings.HasPrefix(string(digested.Digest()), digestPrefix) {
		return Ref{}, fmt.Errorf("%w: %.80q: the digest must be sha256", ErrSyntax, s)
	}
	ref := Ref{digest: string(digested.Digest())}
	ref.name = strings.TrimSuffix(s, "@"+ref.digest)
	if tagged, ok := normalized.(reference.Tagged); ok {
		ref.tag = tagged.Tag()
		ref.name = strings.TrimSuffix(ref.name, ":"+ref.tag)
	}
	return ref, nil
}

// Name is the repository as it was written: registry (if any) and path,
// without tag and digest.
func (r Ref) Name() string { return r.name }

// Digest is "sha256:" and 64 lower-case hex digits.
func (r Ref) Digest() string { return r.digest }

// Artifact is name@digest: what Endor Labs signs, which has no tag.
func (r Ref) Artifact() string { return r.name + "@" + r.digest }

// String prints what Parse read.
func (r Ref) String() string {
	if r == (Ref{}) {
		return ""
	}
	if r.tag == "" {
		return r.Artifact()
	}
	return r.name + ":" + r.tag + "@" + r.digest
}

// MarshalText prints the reference, so that JSON and logs show one string.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
