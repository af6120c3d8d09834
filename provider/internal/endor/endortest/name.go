// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"fmt"
	"regexp"
)

// artifactName is an image as Endor Labs keys it: name and digest, both significant.
type artifactName struct {
	name   string // registry/repo
	digest string // sha256:<64 hex digits>
}

func (a artifactName) String() string { return a.name + "@" + a.digest }

// artifactSyntax is the grammar of image references with a sha256 digest and
// without a tag: a colon is only a port's, and a port needs a path behind it.
var artifactSyntax = regexp.MustCompile(
	`^((?:` + hostSyntax + `/)?` + pathSyntax + `(?:/` + pathSyntax + `)*)@(sha256:[0-9a-f]{64})$`)

const (
	hostSyntax = `(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?`
	pathSyntax = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
)

// nameLimit is what registries allow for the part before the digest.
const nameLimit = 255

// CheckArtifactName returns why s cannot be signed, nil when it can.
func CheckArtifactName(s string) error {
	_, err := parseArtifactName(s)
	return err
}

func parseArtifactName(s string) (artifactName, error) {
	m := artifactSyntax.FindStringSubmatch(s)
	if m == nil || len(m[1]) > nameLimit {
		return artifactName{}, fmt.Errorf("artifact name %q is not registry/repo@sha256:<64 hex digits> without a tag", s)
	}
	return artifactName{name: m[1], digest: m[2]}, nil
}
