// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package upstream makes, of settings, what asks Endor Labs: a client of its
// API, and a resolver of questions. The provider in a cluster and kubectl endor
// at a desk read their settings from different places; what a setting means is
// said here, once.
//
// Errors begin with the flag that is wrong and hold no credential.
package upstream

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// NewClient makes a client as the settings say. rest has what is none of
// theirs: bounds, the program's name, metrics.
func NewClient(cfg config.Endor, rest endor.Config) (*endor.Client, error) {
	roots, rootsErr := CAs("endor-ca-file", cfg.EndorCAFile)
	rest.BaseURL = cfg.EndorAPI
	rest.RootCAs = roots
	rest.Credentials = endor.Credentials{
		KeyFile: cfg.EndorAPIKeyFile, SecretFile: cfg.EndorAPISecretFile,
		Key: cfg.EndorAPIKey, Secret: cfg.EndorAPISecret,
		Token: cfg.EndorToken,
	}
	client, err := endor.New(rest)
	return client, errors.Join(rootsErr, err)
}

// CAs reads the CAs of a flag; nil, for those of the system, if file is empty.
func CAs(flag, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--%s: %s holds no certificate", flag, file)
	}
	return pool, nil
}

// NewResolver makes a resolver as the settings say. allowed are the Endor
// namespaces that a question may name besides the default one; none means any.
func NewResolver(cfg config.Endor, allowed ...string) (verify.Resolver, error) {
	var errs []error
	if ns := cfg.EndorNamespace; ns != "" && !question.ValidNamespace(ns) {
		errs = append(errs, fmt.Errorf("--endor-namespace: %q is no Endor namespace; write it like acme.prod, not as a UUID", ns))
	}
	for _, ns := range allowed {
		if !question.ValidNamespace(ns) {
			errs = append(errs, fmt.Errorf("--allowed-endor-namespaces: %q is no Endor namespace; write it like acme.prod", ns))
		}
	}
	if err := (question.Claims{CertificateOIDCIssuer: cfg.CertificateOIDCIssuer}).Validate(); cfg.CertificateOIDCIssuer != "" && err != nil {
		errs = append(errs, fmt.Errorf("--certificate-oidc-issuer: %w", err))
	}
	naming := imageref.Naming{Canonical: cfg.ImageNames == config.Canonical}
	for _, s := range cfg.ImageNameRewrite {
		rw, err := imageref.ParseRewrite(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("--image-name-rewrite: %w", err))
		}
		naming.Rewrites = append(naming.Rewrites, rw)
	}
	return verify.Resolver{
		Namespace: cfg.EndorNamespace, Allowed: allowed,
		Issuer: cfg.CertificateOIDCIssuer, Naming: naming,
	}, errors.Join(errs...)
}
