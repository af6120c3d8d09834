// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package question

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// Claims is what a certificate says, or has to say, about who signed. The
// names are those of Endor Labs' CertificateExtensions, in keys, in the API
// and in answers alike. An empty field asks for nothing.
type Claims struct {
	CertificateOIDCIssuer  string `json:"certificate_oidc_issuer,omitempty"`
	CertificateIdentity    string `json:"certificate_identity,omitempty"`
	SourceRepository       string `json:"source_repository,omitempty"`
	SourceRepositoryOwner  string `json:"source_repository_owner,omitempty"`
	SourceRepositoryRef    string `json:"source_repository_ref,omitempty"`
	SourceRepositoryDigest string `json:"source_repository_digest,omitempty"`
	BuildConfigName        string `json:"build_config_name,omitempty"`
	BuildConfigDigest      string `json:"build_config_digest,omitempty"`
	RunnerEnvironment      string `json:"runner_environment,omitempty"`
}

// claim is the name of one claim and where it is kept.
type claim struct {
	name  string
	field func(*Claims) *string
}

const issuerName = "certificate_oidc_issuer"

var claims = [...]claim{
	{issuerName, func(c *Claims) *string { return &c.CertificateOIDCIssuer }},
	{"certificate_identity", func(c *Claims) *string { return &c.CertificateIdentity }},
	{"source_repository", func(c *Claims) *string { return &c.SourceRepository }},
	{"source_repository_owner", func(c *Claims) *string { return &c.SourceRepositoryOwner }},
	{"source_repository_ref", func(c *Claims) *string { return &c.SourceRepositoryRef }},
	{"source_repository_digest", func(c *Claims) *string { return &c.SourceRepositoryDigest }},
	{"build_config_name", func(c *Claims) *string { return &c.BuildConfigName }},
	{"build_config_digest", func(c *Claims) *string { return &c.BuildConfigDigest }},
	{"runner_environment", func(c *Claims) *string { return &c.RunnerEnvironment }},
}

// All gives name and value of every claim that is set, always in one order.
func (c Claims) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, k := range claims {
			if v := *k.field(&c); v != "" && !yield(k.name, v) {
				return
			}
		}
	}
}

// Get gives the value of the claim called name, empty if it is not set or if
// there is no such claim.
func (c Claims) Get(name string) string {
	if f := field(&c, name); f != nil {
		return *f
	}
	return ""
}

// With gives c with one claim set. An unknown name changes nothing.
func (c Claims) With(name, value string) Claims {
	if f := field(&c, name); f != nil {
		*f = value
	}
	return c
}

func field(c *Claims, name string) *string {
	for _, k := range claims {
		if k.name == name {
			return k.field(c)
		}
	}
	return nil
}

// Validate says why c cannot be a signer: it asks for nothing, holds bytes
// that are not UTF-8, or a `*` where none may be (see [IsPattern]). Its errors
// wrap [ErrKey].
func (c Claims) Validate() error {
	if c == (Claims{}) {
		return fmt.Errorf("%w: a signer without claims", ErrKey)
	}
	for name, value := range c.All() {
		switch {
		case !utf8.ValidString(value):
			return fmt.Errorf("%w: %s is not UTF-8", ErrKey, name)
		case !IsPattern(value):
		case name == issuerName:
			return fmt.Errorf("%w: %s takes no *", ErrKey, name)
		case strings.HasPrefix(value, "*"):
			return fmt.Errorf("%w: %s begins with *, which would match any owner", ErrKey, name)
		}
	}
	return nil
}
