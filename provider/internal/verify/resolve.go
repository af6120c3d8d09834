// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"slices"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// DefaultIssuer is the OIDC issuer of GitHub Actions.
const DefaultIssuer = "https://token.actions.githubusercontent.com"

// Resolver fills in what a key leaves to the provider.
type Resolver struct {
	// Namespace is the Endor namespace of questions that name none. Without
	// it such questions are undecided, as misconfigured.
	Namespace string

	// Allowed lists the Endor namespaces that a question may name; empty means
	// any. Namespace itself is always allowed.
	Allowed []string

	// Issuer is the OIDC issuer of signers that name none; default
	// [DefaultIssuer]. Endor Labs is always told one.
	Issuer string

	// Naming says under which name an image was signed.
	Naming imageref.Naming
}

const causeNoNamespace Cause = "no_namespace"

// Resolve gives q with every default filled in, so that two questions are
// equal exactly if Endor Labs is asked the same. Its errors wrap
// [question.ErrKey] or [imageref.ErrSyntax], or are an [*Undecided].
func (r Resolver) Resolve(q question.Question) (question.Question, error) {
	if q.Namespace == "" {
		q.Namespace = r.Namespace
	}
	switch {
	case q.Namespace == "":
		return question.Question{}, &Undecided{Code: Misconfigured, Cause: causeNoNamespace}
	case len(r.Allowed) > 0 && q.Namespace != r.Namespace && !slices.Contains(r.Allowed, q.Namespace):
		return question.Question{}, fmt.Errorf("%w: the Endor namespace %q is not allowed here", question.ErrKey, q.Namespace)
	}
	issuer := r.Issuer
	if issuer == "" {
		issuer = DefaultIssuer
	}
	var err error
	if q.Signers.Len() == 0 {
		q.Signers, err = question.NewSigners(question.Claims{CertificateOIDCIssuer: issuer})
	}
	if err != nil {
		return question.Question{}, err
	}
	q.Signers = q.Signers.Map(func(c question.Claims) question.Claims {
		if c.CertificateOIDCIssuer == "" {
			c.CertificateOIDCIssuer = issuer
		}
		return c
	})
	if q.Image, err = r.Naming.Resolve(q.Image); err != nil {
		return question.Question{}, err
	}
	return q, nil
}

// refusal is the code of an error of [question.Parse] or [Resolver.Resolve].
func refusal(err error) Code {
	switch {
	case errors.Is(err, imageref.ErrNoDigest):
		return NoDigest
	case errors.Is(err, imageref.ErrSyntax):
		return BadReference
	default:
		return BadKey
	}
}
