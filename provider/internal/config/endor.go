// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// Endor holds the settings of whoever asks Endor Labs, which are the same for
// the provider and at a desk. The text of each flag in [Endor.Bind] says what
// the field means.
type Endor struct {
	EndorAPI              string
	EndorCAFile           string
	EndorNamespace        string
	EndorAPIKeyFile       string
	EndorAPISecretFile    string
	CertificateOIDCIssuer string

	// Of the environment, or of endorctl's configuration, and never flags.
	EndorAPIKey    string
	EndorAPISecret string
	EndorToken     string

	ImageNames       string
	ImageNameRewrite []string
}

// The values of --image-names.
const (
	AsWritten = "as-written"
	Canonical = "canonical"
)

// The variables of endorctl.
const (
	VariableAPI       = "ENDOR_API"
	VariableNamespace = "ENDOR_NAMESPACE"
	VariableKey       = "ENDOR_API_CREDENTIALS_KEY"
	VariableSecret    = "ENDOR_API_CREDENTIALS_SECRET" //nolint:gosec // the name of a variable, not what it holds
	VariableToken     = "ENDOR_TOKEN"
)

// endorctlNames are the variables of endorctl that stand for flags.
var endorctlNames = map[string]string{
	"endor-api":       VariableAPI,
	"endor-namespace": VariableNamespace,
}

// Bind declares the flags, with their defaults.
func (c *Endor) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.EndorAPI, "endor-api", "https://api.endorlabs.com", "`URL` of the Endor Labs API (EU: https://api.eu.endorlabs.com)")
	fs.StringVar(&c.EndorCAFile, "endor-ca-file", "", "`file` with the CAs of the Endor Labs API or of a proxy before it (PEM); default: the system's")
	fs.StringVar(&c.EndorNamespace, "endor-namespace", "", "Endor `namespace` of constraints that name none")
	fs.StringVar(&c.EndorAPIKeyFile, "endor-api-key-file", "", "`file` with the Endor Labs API key, read again for each token")
	fs.StringVar(&c.EndorAPISecretFile, "endor-api-secret-file", "", "`file` with the secret of the API key, read again for each token")
	fs.StringVar(&c.CertificateOIDCIssuer, "certificate-oidc-issuer", "https://token.actions.githubusercontent.com", "OIDC `issuer` of signers that name none")
	fs.StringVar(&c.ImageNames, "image-names", AsWritten, "`how` names are looked up at Endor Labs: as-written, or canonical (nginx as docker.io/library/nginx)")
	fs.StringSliceVar(&c.ImageNameRewrite, "image-name-rewrite", nil, "`FROM/=TO/`: look images of a mirror up under the name that was signed; may be repeated, the longest FROM wins")
}

// ReadCredentials takes credentials from endorctl's variables, or from whatever
// else get looks names up in. As in files, a line break at the end is no part
// of a credential.
func (c *Endor) ReadCredentials(get func(string) string) {
	c.EndorAPIKey = strings.TrimSpace(get(VariableKey))
	c.EndorAPISecret = strings.TrimSpace(get(VariableSecret))
	c.EndorToken = strings.TrimSpace(get(VariableToken))
}

// Validate gives one error that lists everything that is wrong, by flag.
func (c *Endor) Validate() error { return all(c.validate) }

func (c *Endor) validate(refuse func(bad bool, flag, why string)) {
	refuse(c.CertificateOIDCIssuer == "", "certificate-oidc-issuer", "it is required")
	refuse(c.ImageNames != AsWritten && c.ImageNames != Canonical, "image-names", "it is as-written or canonical")
}
