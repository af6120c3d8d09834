// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package answers keeps what Endor Labs answered in a file, and answers from it
// later: without a network, without credentials, and the same each time.
//
// A [Recorder] is a [verify.Verifier] that remembers every verdict of the one it
// holds; a [Player] is one that knows only what a file says. Both stand where
// Endor Labs is asked, below everything that turns a verdict into a decision,
// so that a replay decides as the recording did. What could not be asked is
// never recorded, and what is not in the file is undecided, never unsigned.
//
// The file is YAML, sorted, with one entry for each resolved question in the
// form of [question.Question.Key]:
//
//	schema: endor-gatekeeper-provider/answers/v1
//	recordedAt: 2026-11-27T05:34:14Z
//	settings:
//	  endorNamespace: acme
//	answers:
//	  # ghcr.io/acme/api@sha256:…
//	  - question: certificate_oidc_issuer=…&image=…&namespace=acme
//	    code: VERIFIED
//	    result: ARTIFACT_OPERATION_RESULT_SUCCESS
//	    signer:
//	      source_repository: acme/api
//	    signedAt: 2026-11-20T10:00:00Z
//
// Whoever may edit the file decides what a replay says. It is a fixture for
// tests of policies and proves nothing about an image.
package answers

import (
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Schema is the version of the file. Another one, and a field that is not
// known, is an error.
const Schema = "endor-gatekeeper-provider/answers/v1"

// Settings are those that turn an image into a resolved question. A replay
// needs the same ones.
type Settings struct {
	EndorNamespace        string   `yaml:"endorNamespace,omitempty"`
	CertificateOIDCIssuer string   `yaml:"certificateOidcIssuer,omitempty"`
	ImageNames            string   `yaml:"imageNames,omitempty"`
	ImageNameRewrite      []string `yaml:"imageNameRewrite,omitempty"`
}

// file is the form on disk.
type file struct {
	Schema string `yaml:"schema"`

	// RecordedAt is when the recording ended.
	RecordedAt time.Time `yaml:"recordedAt"`

	Settings Settings `yaml:"settings"`
	Answers  []answer `yaml:"answers"`
}

type answer struct {
	Question string            `yaml:"question"`
	Code     verify.Code       `yaml:"code"`
	Result   string            `yaml:"result,omitempty"`
	Signer   map[string]string `yaml:"signer,omitempty"`
	SignedAt *time.Time        `yaml:"signedAt,omitempty"`
}

func toAnswer(q question.Question, v verify.Verdict) answer {
	a := answer{Question: q.Key(), Code: v.Code, Result: v.Result, Signer: map[string]string{}}
	for name, value := range v.Signer.All() {
		a.Signer[name] = value
	}
	if !v.SignedAt.IsZero() {
		signed := v.SignedAt.UTC()
		a.SignedAt = &signed
	}
	return a
}
