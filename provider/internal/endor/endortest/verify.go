// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
)

// Result is the outcome of an artifact operation, in the API's words.
type Result string

// The results that the API documents.
const (
	ResultUnspecified         Result = "ARTIFACT_OPERATION_RESULT_UNSPECIFIED"
	ResultSuccess             Result = "ARTIFACT_OPERATION_RESULT_SUCCESS"
	ResultNoArtifact          Result = "ARTIFACT_OPERATION_RESULT_NO_ARTIFACT"
	ResultNoSignature         Result = "ARTIFACT_OPERATION_RESULT_NO_SIGNATURE"
	ResultTimeMismatch        Result = "ARTIFACT_OPERATION_RESULT_TIME_MISMATCH"
	ResultInvalidSignature    Result = "ARTIFACT_OPERATION_RESULT_INVALID_SIGNATURE"
	ResultUnknownCA           Result = "ARTIFACT_OPERATION_RESULT_UNKNOWN_CA"
	ResultRevokedSignature    Result = "ARTIFACT_OPERATION_RESULT_REVOKED_SIGNATURE"
	ResultClaimsMismatch      Result = "ARTIFACT_OPERATION_RESULT_CLAIMS_MISMATCH"
	ResultBadCertificate      Result = "ARTIFACT_OPERATION_RESULT_BAD_CERTIFICATE"
	ResultInvalidKeyType      Result = "ARTIFACT_OPERATION_RESULT_INVALID_KEY_TYPE"
	ResultCorruptedSignature  Result = "ARTIFACT_OPERATION_RESULT_CORRUPTED_SIGNATURE"
	ResultKeyGenFailure       Result = "ARTIFACT_OPERATION_RESULT_KEY_GEN_FAILURE"
	ResultCSRGenFailure       Result = "ARTIFACT_OPERATION_RESULT_CSR_GEN_FAILURE"
	ResultSignFailure         Result = "ARTIFACT_OPERATION_RESULT_SIGN_FAILURE"
	ResultInvalidArtifactName Result = "ARTIFACT_OPERATION_RESULT_INVALID_ARTIFACT_NAME"
)

// verify looks the image up and checks each of its signatures. Any that passes
// everything is a success; otherwise the result is that of the signature that got
// furthest, the newest of them on a tie.
func (e *Emulator) verify(namespace string, image artifactName, want Claims) (Result, *record) {
	records, named := e.store.find(namespace, image)
	if !named {
		return ResultNoArtifact, nil
	}
	best := -1
	for i := range records {
		passed := (&examination{ca: e.ca, record: records[i], image: image, want: want}).run()
		if passed == len(checks) {
			return ResultSuccess, &records[i]
		}
		best = max(best, passed)
	}
	if best < 0 {
		return ResultNoSignature, nil
	}
	return checks[best].failure, nil
}

// checks are done in this order; the first that fails names the result.
var checks = []struct {
	failure Result
	passes  func(*examination) bool
}{
	{ResultRevokedSignature, (*examination).standsUnrevoked},
	{ResultBadCertificate, (*examination).hasCertificate},
	{ResultUnknownCA, (*examination).isFromTheAuthority},
	{ResultInvalidKeyType, (*examination).hasKeyOfTheRightType},
	{ResultCorruptedSignature, (*examination).hasSignature},
	{ResultInvalidSignature, (*examination).isSigned},
	{ResultTimeMismatch, (*examination).wasSignedInTime},
	{ResultClaimsMismatch, (*examination).claimsMatch},
}

// examination is the state of checking one stored record; later checks use
// what earlier ones decoded.
type examination struct {
	ca     *authority
	record record
	image  artifactName
	want   Claims

	cert      *x509.Certificate
	claims    Claims
	key       *ecdsa.PublicKey
	signature []byte
}

// run returns how many checks passed before one failed.
func (x *examination) run() int {
	for i, check := range checks {
		if !check.passes(x) {
			return i
		}
	}
	return len(checks)
}

func (x *examination) standsUnrevoked() bool { return !x.record.revoked }

func (x *examination) hasCertificate() bool {
	block, rest := pem.Decode([]byte(x.record.certificate))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		return false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false
	}
	claims, err := claimsIn(cert.Extensions)
	if err != nil {
		return false
	}
	x.cert, x.claims = cert, claims
	return true
}

func (x *examination) isFromTheAuthority() bool { return x.ca.issued(x.cert) }

func (x *examination) hasKeyOfTheRightType() bool {
	key, ok := x.cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return false
	}
	x.key = key
	return true
}

func (x *examination) hasSignature() bool {
	der, err := base64.StdEncoding.DecodeString(x.record.signature)
	if err != nil {
		return false
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) > 0 {
		return false
	}
	x.signature = der
	return true
}

func (x *examination) isSigned() bool {
	sum := sha256.Sum256(x.record.payload)
	return ecdsa.VerifyASN1(x.key, sum[:], x.signature) && isAbout(x.record.payload, x.image)
}

func (x *examination) wasSignedInTime() bool {
	at := x.record.timestamp
	return !at.Before(x.cert.NotBefore) && !at.After(x.cert.NotAfter)
}

func (x *examination) claimsMatch() bool { return x.want.satisfiedBy(x.claims) }
