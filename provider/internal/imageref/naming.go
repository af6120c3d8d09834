// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package imageref

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Naming says under which name an image's signature is looked up. The zero
// value looks it up as written.
type Naming struct {
	// Canonical adds what Docker's short names leave out: "nginx" becomes
	// "docker.io/library/nginx". It comes before Rewrites.
	Canonical bool

	// Rewrites map a mirror's names back to those that were signed. Of several
	// that match, the one with the longest From is used, once.
	Rewrites []Rewrite
}

// Rewrite replaces a leading part of a name. Both parts are whole path
// segments and end in "/", so that "mirror.local/" never matches
// "mirror.local.example.com/".
type Rewrite struct {
	From, To string
}

// ParseRewrite reads "FROM/=TO/".
func ParseRewrite(s string) (Rewrite, error) {
	from, to, ok := strings.Cut(s, "=")
	if !ok {
		return Rewrite{}, fmt.Errorf("image name rewrite %q: want FROM/=TO/", s)
	}
	for _, part := range []string{from, to} {
		if !strings.HasSuffix(part, "/") {
			return Rewrite{}, fmt.Errorf("image name rewrite %q: %q must end in \"/\"", s, part)
		}
		// A name that begins so must be one: anything else could never match,
		// or would make every image it matches unreadable.
		if _, err := Parse(part + "x@" + digestPrefix + strings.Repeat("0", 64)); err != nil {
			return Rewrite{}, fmt.Errorf("image name rewrite %q: %q does not begin an image name", s, part)
		}
	}
	return Rewrite{From: from, To: to}, nil
}

// Resolve gives the reference under which r's signature is looked up, without
// a tag. Its errors wrap [ErrSyntax].
func (n Naming) Resolve(r Ref) (Ref, error) {
	name := r.name
	if n.Canonical {
		named, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return Ref{}, fmt.Errorf("%w: %.80q: %w", ErrSyntax, name, err)
		}
		name = named.Name()
	}
	if i := n.longest(name); i >= 0 {
		name = n.Rewrites[i].To + strings.TrimPrefix(name, n.Rewrites[i].From)
	}
	if name == r.name {
		return Ref{name: name, digest: r.digest}, nil
	}
	return Parse(name + "@" + r.digest)
}

func (n Naming) longest(name string) int {
	best := -1
	for i, rw := range n.Rewrites {
		if strings.HasPrefix(name, rw.From) && (best < 0 || len(rw.From) > len(n.Rewrites[best].From)) {
			best = i
		}
	}
	return best
}
