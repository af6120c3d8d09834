// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Damage names a change to what is stored about an image, so that a check that
// VERIFY really makes fails, or that a success says something it should not.
type Damage string

// Damages that fail a check of VERIFY. Everything the check does not look at stays sound.
const (
	// DamageEmptyCertificate removes the certificate: BAD_CERTIFICATE.
	DamageEmptyCertificate Damage = "empty-certificate"
	// DamageTruncatedCertificate cuts the certificate in half: BAD_CERTIFICATE.
	DamageTruncatedCertificate Damage = "truncated-certificate"
	// DamageOtherCA signs again under an authority of the same name that nobody trusts: UNKNOWN_CA.
	DamageOtherCA Damage = "other-ca"
	// DamageRSAKey signs again with an RSA key: INVALID_KEY_TYPE.
	DamageRSAKey Damage = "rsa-key"
	// DamageEd25519Key signs again with an Ed25519 key: INVALID_KEY_TYPE.
	DamageEd25519Key Damage = "ed25519-key"
	// DamageUndecodableSignature makes the signature something that is not base64: CORRUPTED_SIGNATURE.
	DamageUndecodableSignature Damage = "undecodable-signature"
	// DamageOtherKeySignature signs the same payload with a key that has no certificate: INVALID_SIGNATURE.
	DamageOtherKeySignature Damage = "other-key-signature"
	// DamageSwappedPayload stores a sound signature over another image's payload: INVALID_SIGNATURE.
	DamageSwappedPayload Damage = "swapped-payload"
	// DamageLateTimestamp moves the timestamp past the certificate's end: TIME_MISMATCH.
	DamageLateTimestamp Damage = "late-timestamp"
	// DamageOtherIssuer signs again as a build of another OIDC issuer: CLAIMS_MISMATCH once
	// the issuer is sent.
	DamageOtherIssuer Damage = "other-issuer"
)

// Damages for the bindings that a client checks itself. VERIFY answers SUCCESS.
const (
	// DamageProvenanceRow signs again as a stranger of the same issuer and leaves the provenance
	// row beside the certificate as it was: SUCCESS when asked by issuer alone,
	// CLAIMS_MISMATCH for the values that the row shows.
	DamageProvenanceRow Damage = "provenance-row"
	// DamageNoProvenance removes the provenance row.
	DamageNoProvenance Damage = "no-provenance"
	// DamageAnswerOtherDigest answers about another digest.
	DamageAnswerOtherDigest Damage = "answer-other-digest"
	// DamageAnswerOtherName answers about another name.
	DamageAnswerOtherName Damage = "answer-other-name"
	// DamageAnswerRevoked sets revoked in the answer of a success.
	DamageAnswerRevoked Damage = "answer-revoked"
	// DamageAnswerBareDigest leaves sha256: out of artifact_digest. Whether the API does is
	// not known, so this is an answer to accept.
	DamageAnswerBareDigest Damage = "answer-bare-digest"
	// DamageAnswerFullName answers name@digest as artifact_name. Whether the API does is not
	// known either, so this is an answer to accept.
	DamageAnswerFullName Damage = "answer-full-name"
	// DamageAnswerBare leaves name, digest and payload out of the answer.
	DamageAnswerBare Damage = "answer-bare"
	// DamageAnswerNoSignature leaves artifact_signature out of the answer.
	DamageAnswerNoSignature Damage = "answer-no-signature"
)

// Damages lists all damages, sorted.
func Damages() []Damage { return slices.Sorted(maps.Keys(damages)) }

// Damage applies a damage to every signature of an image. Sign again to undo it. An
// unknown damage and an image without signatures are errors.
func (e *Emulator) Damage(namespace, image string, d Damage) error {
	apply, ok := damages[d]
	if !ok {
		return fmt.Errorf("damage %q is not one of %v", d, Damages())
	}
	return e.change(namespace, image, func(r *record) error { return apply(e, r) })
}

// SetProvenance replaces the provenance row that is stored beside the certificates of an
// image and leaves the certificates as they are. nil removes the row.
func (e *Emulator) SetProvenance(namespace, image string, row *Claims) error {
	return e.change(namespace, image, func(r *record) error {
		r.provenance = nil
		if row != nil {
			r.provenance = new(*row)
		}
		return nil
	})
}

func (e *Emulator) change(namespace, image string, change func(*record) error) error {
	a, err := parseArtifactName(image)
	if err != nil {
		return err
	}
	n, err := e.store.update(e.namespaceOr(namespace), a, func(r *record) (bool, error) {
		return true, change(r)
	})
	if err != nil {
		return fmt.Errorf("change the signatures of %s: %w", image, err)
	}
	if n == 0 {
		return fmt.Errorf("%s has no signature in namespace %s: sign it first", image, e.namespaceOr(namespace))
	}
	return nil
}

var damages = map[Damage]func(*Emulator, *record) error{
	DamageEmptyCertificate: func(_ *Emulator, r *record) error {
		r.certificate = ""
		return nil
	},
	DamageTruncatedCertificate: func(_ *Emulator, r *record) error {
		r.certificate = r.certificate[:len(r.certificate)/2]
		return nil
	},
	DamageOtherCA: func(e *Emulator, r *record) error {
		return r.signAgain(e.strangerCA, r.row(), r.artifact)
	},
	DamageRSAKey: func(e *Emulator, r *record) error {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return fmt.Errorf("generate RSA key: %w", err)
		}
		return r.seal(e.ca, key, r.row(), r.payload)
	},
	DamageEd25519Key: func(e *Emulator, r *record) error {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return fmt.Errorf("generate Ed25519 key: %w", err)
		}
		return r.seal(e.ca, key, r.row(), r.payload)
	},
	DamageUndecodableSignature: func(_ *Emulator, r *record) error {
		r.signature = "%%%" + r.signature
		return nil
	},
	DamageOtherKeySignature: func(_ *Emulator, r *record) error {
		key, err := newSigningKey()
		if err != nil {
			return err
		}
		r.signature, err = signWith(key, r.payload)
		return err
	},
	DamageSwappedPayload: func(e *Emulator, r *record) error {
		return r.signAgain(e.ca, r.row(), artifactName{name: r.artifact.name, digest: otherDigest(r.artifact.digest)})
	},
	DamageLateTimestamp: func(_ *Emulator, r *record) error {
		r.timestamp = r.timestamp.Add(certificateLifetime + time.Second)
		return nil
	},
	DamageOtherIssuer: func(e *Emulator, r *record) error {
		claims := r.row()
		claims.CertificateOIDCIssuer = "https://issuer.stranger.example"
		return r.signAgain(e.ca, claims, r.artifact)
	},
	DamageProvenanceRow: func(e *Emulator, r *record) error {
		claims := GitHubClaims("stranger", "project", "refs/heads/main")
		claims.CertificateOIDCIssuer = r.row().CertificateOIDCIssuer
		return r.signAgain(e.ca, claims, r.artifact)
	},
	DamageNoProvenance: func(_ *Emulator, r *record) error {
		r.provenance = nil
		return nil
	},
	DamageAnswerOtherDigest: altering(func(s *artifactSignature) *artifactSignature {
		s.Spec.ArtifactDigest = otherDigest(s.Spec.ArtifactDigest)
		s.Spec.SimpleContainerImage.Critical.Image.DockerManifestDigest = s.Spec.ArtifactDigest
		return s
	}),
	DamageAnswerOtherName: altering(func(s *artifactSignature) *artifactSignature {
		s.Spec.ArtifactName = "registry.example/stranger/" + s.Spec.ArtifactName
		s.Spec.SimpleContainerImage.Critical.Identity.DockerReference = "registry.example/stranger"
		return s
	}),
	DamageAnswerRevoked: altering(func(s *artifactSignature) *artifactSignature {
		s.Spec.Revoked = true
		return s
	}),
	DamageAnswerBareDigest: altering(func(s *artifactSignature) *artifactSignature {
		s.Spec.ArtifactDigest = strings.TrimPrefix(s.Spec.ArtifactDigest, "sha256:")
		return s
	}),
	DamageAnswerFullName: altering(func(s *artifactSignature) *artifactSignature {
		s.Spec.ArtifactName += "@" + s.Spec.ArtifactDigest
		return s
	}),
	DamageAnswerBare: altering(func(s *artifactSignature) *artifactSignature {
		s.Spec.ArtifactName, s.Spec.ArtifactDigest, s.Spec.SimpleContainerImage = "", "", nil
		return s
	}),
	DamageAnswerNoSignature: altering(func(*artifactSignature) *artifactSignature { return nil }),
}

// altering makes a damage of a change to the answer, which is built afresh for every request.
func altering(alter func(*artifactSignature) *artifactSignature) func(*Emulator, *record) error {
	return func(_ *Emulator, r *record) error {
		r.alter = alter
		return nil
	}
}

// signAgain certifies and signs with a fresh key.
func (r *record) signAgain(ca *authority, claims Claims, about artifactName) error {
	statement, err := statementAbout(about)
	if err != nil {
		return err
	}
	key, err := newSigningKey()
	if err != nil {
		return err
	}
	return r.seal(ca, key, claims, statement)
}

// row is the provenance row, the zero Claims when there is none.
func (r *record) row() Claims {
	if r.provenance == nil {
		return Claims{}
	}
	return *r.provenance
}

// otherDigest is a well-formed digest that is not d.
func otherDigest(d string) string {
	sum := sha256.Sum256([]byte(d))
	return "sha256:" + hex.EncodeToString(sum[:])
}
