// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// asker is the part of [*endor.Client] that is needed.
type asker interface {
	Verify(ctx context.Context, namespace string, image imageref.Ref, claims question.Claims) (endor.Answer, error)
}

// Endor decides by asking Endor Labs.
type Endor struct {
	client asker
	now    func() time.Time
}

var _ Verifier = (*Endor)(nil)

// NewEndor makes the core. now is the wall clock; nil means that of the
// system.
func NewEndor(client asker, now func() time.Time) *Endor {
	if now == nil {
		now = wallClock
	}
	return &Endor{client: client, now: now}
}

// Verify tries the signers in order. The first that signed decides, and so
// does any verdict but WRONG_SIGNER, which is about the signer and not about
// the image.
func (e *Endor) Verify(ctx context.Context, q question.Question) (Verdict, error) {
	asked := e.now()
	// What is asked of no signer is vouched for by nobody.
	verdict := Verdict{Code: UnrecognizedResult}
	var found question.Claims
	for _, signer := range q.Signers.All() {
		var err error
		verdict, err = e.signedBy(ctx, q, signer)
		if err != nil {
			return Verdict{}, undecided(err)
		}
		if verdict.Code != WrongSigner {
			break
		}
		// Not every refusal comes with who signed; what one told, all may say.
		if verdict.Signer == (question.Claims{}) {
			verdict.Signer = found
		}
		found = verdict.Signer
	}
	verdict.AskedAt = asked
	return verdict, nil
}

// signedBy asks about one signer. Endor Labs compares values with the
// certificate and knows no patterns: a `*` is matched with the provenance that
// comes back, a row beside the certificate, and then asked again as the value
// that matched, so that the last word is always about the certificate.
func (e *Endor) signedBy(ctx context.Context, q question.Question, signer question.Claims) (Verdict, error) {
	exact := withoutPatterns(signer)
	verdict, provenance, err := e.ask(ctx, q, exact)
	if err != nil || !verdict.Verified() || exact == signer {
		return verdict, err
	}
	for name, want := range signer.All() {
		if !question.IsPattern(want) {
			continue
		}
		got := provenance.Get(name)
		if question.IsPattern(got) || !question.Match(want, got) { // a star is no value
			return Verdict{Code: WrongSigner, Result: verdict.Result, Signer: provenance}, nil
		}
		exact = exact.With(name, got)
	}
	verdict, _, err = e.ask(ctx, q, exact)
	return verdict, err
}

func withoutPatterns(c question.Claims) question.Claims {
	for name, value := range c.All() {
		if question.IsPattern(value) {
			c = c.With(name, "")
		}
	}
	return c
}

// ask asks for exact claims and judges the answer.
func (e *Endor) ask(ctx context.Context, q question.Question, claims question.Claims) (Verdict, question.Claims, error) {
	answer, err := e.client.Verify(ctx, q.Namespace, q.Image, claims)
	if err != nil {
		if refused, ok := errors.AsType[*endor.Error](err); ok && refused.Kind == endor.KindRefused {
			return Verdict{Code: RefusedByAPI}, question.Claims{}, nil
		}
		return Verdict{}, question.Claims{}, err
	}
	verdict, provenance := judge(q.Image, claims, answer)
	return verdict, provenance, nil
}

// judge turns an answer to a question about image and claims into a verdict.
// A success is believed only if nothing in it is about something else.
func judge(image imageref.Ref, claims question.Claims, answer endor.Answer) (Verdict, question.Claims) {
	sig := answer.Signature
	if sig == nil {
		sig = &endor.Signature{}
	}
	verdict := Verdict{Code: codeOf(answer.Result), Result: string(answer.Result)}
	if verdict.Code == WrongSigner {
		verdict.Signer = sig.Provenance
	}
	if !verdict.Verified() {
		return verdict, question.Claims{}
	}
	switch {
	case !isAbout(sig, image):
		verdict.Code = UnrecognizedResult
	case sig.Revoked:
		verdict.Code = Revoked
	case contradicts(sig.Provenance, claims):
		verdict.Code, verdict.Signer = WrongSigner, sig.Provenance
	default:
		verdict.Signer, verdict.SignedAt = merge(sig.Provenance, claims), sig.Timestamp
	}
	return verdict, sig.Provenance
}

func codeOf(result endor.Result) Code {
	switch result {
	case endor.ResultSuccess:
		return Verified
	case endor.ResultNoArtifact, endor.ResultNoSignature:
		return NotSigned
	case endor.ResultRevokedSignature:
		return Revoked
	case endor.ResultClaimsMismatch:
		return WrongSigner
	case endor.ResultUnknownCA, endor.ResultBadCertificate, endor.ResultInvalidKeyType:
		return UntrustedCertificate
	case endor.ResultTimeMismatch:
		return SignedOutsideValidity
	case endor.ResultInvalidSignature, endor.ResultCorruptedSignature:
		return InvalidSignature
	case endor.ResultInvalidArtifactName:
		return BadReference
	default:
		return UnrecognizedResult
	}
}

// isAbout says whether what sig says of its artifact is about image. What it
// does not say is not held against it. Whether Endor's names end in the digest,
// and its digests begin with the algorithm, is not documented.
func isAbout(sig *endor.Signature, image imageref.Ref) bool {
	name, digest := sig.ArtifactName, sig.ArtifactDigest
	return (name == "" || name == image.Name() || name == image.Artifact()) &&
		(digest == "" || digest == image.Digest() || digest == strings.TrimPrefix(image.Digest(), "sha256:"))
}

// contradicts says whether provenance has another value for something that was
// asked for.
func contradicts(provenance, asked question.Claims) bool {
	for name, want := range asked.All() {
		if got := provenance.Get(name); got != "" && got != want {
			return true
		}
	}
	return false
}

func merge(provenance, asked question.Claims) question.Claims {
	for name, value := range asked.All() {
		provenance = provenance.With(name, value)
	}
	return provenance
}
