// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

// Code is the outcome of a question, the same in answers, logs and metrics.
type Code string

// The codes. Class and meaning of each are in its [Class] and [Code.Sentence].
const (
	Verified Code = "VERIFIED"

	NotSigned             Code = "NOT_SIGNED"
	Revoked               Code = "REVOKED"
	WrongSigner           Code = "WRONG_SIGNER"
	UntrustedCertificate  Code = "UNTRUSTED_CERTIFICATE"
	SignedOutsideValidity Code = "SIGNED_OUTSIDE_VALIDITY"
	InvalidSignature      Code = "INVALID_SIGNATURE"
	UnrecognizedResult    Code = "UNRECOGNIZED_RESULT"
	NoDigest              Code = "NO_DIGEST"
	BadReference          Code = "BAD_REFERENCE"
	BadKey                Code = "BAD_KEY"
	RefusedByAPI          Code = "REFUSED_BY_API"
	BadRequest            Code = "BAD_REQUEST"

	Unavailable   Code = "UNAVAILABLE"
	Misconfigured Code = "MISCONFIGURED"
)

// Class groups codes by who can cause them, which is what a policy's failOn
// chooses by.
type Class string

// The classes.
const (
	ClassVerified Class = "verified"

	// ClassRejected is all that the author of a Pod can cause, and every code
	// that is not known.
	ClassRejected Class = "rejected"

	// ClassUnavailable: Endor could not be asked in time.
	ClassUnavailable Class = "unavailable"

	// ClassMisconfigured: Endor will not answer until the operator mends
	// something.
	ClassMisconfigured Class = "misconfigured"
)

// Codes are all codes, in the order of the documents.
func Codes() []Code {
	return []Code{
		Verified, NotSigned, Revoked, WrongSigner, UntrustedCertificate, SignedOutsideValidity, InvalidSignature,
		UnrecognizedResult, NoDigest, BadReference, BadKey, RefusedByAPI, BadRequest, Unavailable, Misconfigured,
	}
}

// Class is c's class; rejected for a code that is not known.
func (c Code) Class() Class {
	switch c {
	case Verified:
		return ClassVerified
	case Unavailable:
		return ClassUnavailable
	case Misconfigured:
		return ClassMisconfigured
	case NotSigned, Revoked, WrongSigner, UntrustedCertificate, SignedOutsideValidity, InvalidSignature,
		UnrecognizedResult, NoDigest, BadReference, BadKey, RefusedByAPI, BadRequest:
		return ClassRejected
	default:
		return ClassRejected
	}
}

// sentences say what happened and what to do. They hold nothing that differs
// between two answers of one cause, because Gatekeeper shows and caches them.
var sentences = map[Code]string{
	NotSigned:             "Endor Labs has no signature for this image under this name and digest; sign the digest that the manifest names (of a multi-arch image, the index) in CI with endorctl artifact sign",
	Revoked:               "its signature was revoked at Endor Labs; deploy a newer image",
	WrongSigner:           "it is signed, but by none of the accepted signers; build it where the policy expects, or accept its signer in the constraint",
	UntrustedCertificate:  "the certificate of its signature is not one that Endor Labs issued, or is broken; sign the image again",
	SignedOutsideValidity: "it was signed outside the validity of the signing certificate; sign the image again",
	InvalidSignature:      "its stored signature does not fit the image; sign the image again",
	UnrecognizedResult:    "Endor Labs gave an answer that this version does not know or that is about another image; upgrade endor-gatekeeper-provider or report it",
	NoDigest:              "the reference has no digest, so what it names can change; write name@sha256:DIGEST",
	BadReference:          "it is not an image reference with a lower-case domain and a sha256 digest; correct it in the manifest",
	BadKey:                "the key of the request is not one that this provider understands to its last byte; policy and provider may be of different releases, or the Endor namespace is not allowed",
	RefusedByAPI:          "Endor Labs refuses to look this image up; check its name",
	BadRequest:            "the provider could not read Gatekeeper's request as a whole; see the limits --max-keys and --max-body-bytes",
}

// Sentence says what c means and what to do about it, on one line and without
// the code. Undecided codes have a sentence by cause, see [Undecided].
func (c Code) Sentence() string { return sentences[c] }
