// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// Claims are what a certificate says about the build that signed. An empty value
// means that the certificate does not say. The JSON names are the API's
// (v1CertificateExtensions).
type Claims struct {
	CertificateOIDCIssuer  string `json:"certificate_oidc_issuer"`
	CertificateIdentity    string `json:"certificate_identity"`
	SourceRepository       string `json:"source_repository"`
	SourceRepositoryOwner  string `json:"source_repository_owner"`
	SourceRepositoryRef    string `json:"source_repository_ref"`
	SourceRepositoryDigest string `json:"source_repository_digest"`
	BuildConfigName        string `json:"build_config_name"`
	BuildConfigDigest      string `json:"build_config_digest"`
	RunnerEnvironment      string `json:"runner_environment"`
}

// GitHubIssuer is the OIDC issuer of GitHub Actions.
const GitHubIssuer = "https://token.actions.githubusercontent.com"

// GitHubClaims are all nine claims as GitHub Actions would give them to a workflow
// of owner/name at a ref such as refs/heads/main.
func GitHubClaims(owner, name, ref string) Claims {
	repository := owner + "/" + name
	return Claims{
		CertificateOIDCIssuer:  GitHubIssuer,
		CertificateIdentity:    "repo:" + repository + ":ref:" + ref,
		SourceRepository:       repository,
		SourceRepositoryOwner:  owner,
		SourceRepositoryRef:    ref,
		SourceRepositoryDigest: "6f1ed002ab5595859014ebf0951522d9a2a4c1f3",
		BuildConfigName:        "Release",
		BuildConfigDigest:      "6f1ed002ab5595859014ebf0951522d9a2a4c1f3",
		RunnerEnvironment:      "github-hosted",
	}
}

// claimsArc is below the enterprise number that RFC 5612 reserves for examples.
// Endor Labs' own object identifiers are not published.
var claimsArc = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}

// fields are the claims in the order of their object identifiers, counted from 1.
func (c *Claims) fields() []*string {
	return []*string{
		&c.CertificateOIDCIssuer,
		&c.CertificateIdentity,
		&c.SourceRepository,
		&c.SourceRepositoryOwner,
		&c.SourceRepositoryRef,
		&c.SourceRepositoryDigest,
		&c.BuildConfigName,
		&c.BuildConfigDigest,
		&c.RunnerEnvironment,
	}
}

// satisfiedBy reports whether every claim that is given equals that of have.
func (c Claims) satisfiedBy(have Claims) bool {
	got := have.fields()
	for i, want := range c.fields() {
		if *want != "" && *want != *got[i] {
			return false
		}
	}
	return true
}

// extensions are the claims as X.509 extensions, each an ASN.1 UTF8String.
func (c Claims) extensions() ([]pkix.Extension, error) {
	var exts []pkix.Extension
	for i, value := range c.fields() {
		if *value == "" {
			continue
		}
		der, err := asn1.MarshalWithParams(*value, "utf8")
		if err != nil {
			return nil, fmt.Errorf("encode claim %d: %w", i+1, err)
		}
		exts = append(exts, pkix.Extension{Id: claimID(i), Value: der})
	}
	return exts, nil
}

// claimsIn reads the claims out of a certificate's extensions and ignores all other extensions.
func claimsIn(exts []pkix.Extension) (Claims, error) {
	var c Claims
	for i, value := range c.fields() {
		for _, ext := range exts {
			if !ext.Id.Equal(claimID(i)) {
				continue
			}
			if _, err := asn1.UnmarshalWithParams(ext.Value, value, "utf8"); err != nil {
				return Claims{}, fmt.Errorf("decode claim %d: %w", i+1, err)
			}
		}
	}
	return c, nil
}

func claimID(i int) asn1.ObjectIdentifier {
	return append(append(asn1.ObjectIdentifier{}, claimsArc...), i+1)
}
