// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"
)

// Signing says what to sign, as whom.
type Signing struct {
	Namespace string    // default: the first of Config.Namespaces
	Image     string    // registry/repo@sha256:<hex>, required
	Claims    Claims    // the build, as its certificate will say
	At        time.Time // when; default: now
}

// Sign signs and stores, as the SIGN command does, without a token. Signing again
// for the same source_repository_ref replaces that signature, and so repairs a damage.
func (e *Emulator) Sign(s Signing) error {
	image, err := parseArtifactName(s.Image)
	if err != nil {
		return err
	}
	if s.At.IsZero() {
		s.At = e.now()
	}
	r, err := newRecord(e.ca, image, artifactTypeContainer, s.Claims, s.At)
	if err != nil {
		return fmt.Errorf("sign %s: %w", image, err)
	}
	e.store.put(e.namespaceOr(s.Namespace), r)
	return nil
}

// Revoke marks the signatures of an image revoked, those of one source_repository_digest
// or, when it is empty, all. That there is none to revoke is an error.
func (e *Emulator) Revoke(namespace, image, sourceDigest string) error {
	a, err := parseArtifactName(image)
	if err != nil {
		return err
	}
	if result := e.revoke(e.namespaceOr(namespace), a, sourceDigest); result != ResultSuccess {
		return fmt.Errorf("revoke %s: %s: sign it first", image, result)
	}
	return nil
}

func (e *Emulator) revoke(namespace string, image artifactName, sourceDigest string) Result {
	if _, named := e.store.find(namespace, image); !named {
		return ResultNoArtifact
	}
	// The change below has no error to return, so there is none to handle.
	n, _ := e.store.update(namespace, image, func(r *record) (bool, error) {
		if sourceDigest != "" && (r.provenance == nil || r.provenance.SourceRepositoryDigest != sourceDigest) {
			return false, nil
		}
		r.revoked = true
		return true, nil
	})
	if n == 0 {
		return ResultNoSignature
	}
	return ResultSuccess
}

func (e *Emulator) namespaceOr(namespace string) string {
	if namespace == "" {
		return e.defaultNamespace
	}
	return namespace
}

func newRecord(ca *authority, image artifactName, artifactType string, claims Claims, at time.Time) (record, error) {
	statement, err := statementAbout(image)
	if err != nil {
		return record{}, err
	}
	r := record{
		uuid:         newUUID(),
		artifact:     image,
		artifactType: artifactType,
		timestamp:    at.UTC(),
		sourceRef:    claims.SourceRepositoryRef,
		provenance:   &claims,
	}
	key, err := newSigningKey()
	if err != nil {
		return record{}, err
	}
	if err := r.seal(ca, key, claims, statement); err != nil {
		return record{}, err
	}
	return r, nil
}

// seal certifies the key for the claims and signs the statement with it. The key is
// forgotten: a signature is worth what its certificate says, for as long as it is stored.
func (r *record) seal(ca *authority, key crypto.Signer, claims Claims, statement []byte) error {
	certificate, err := ca.issue(key.Public(), claims, r.timestamp)
	if err != nil {
		return err
	}
	signature, err := signWith(key, statement)
	if err != nil {
		return err
	}
	r.certificate, r.signature, r.payload = certificate, signature, statement
	return nil
}

func newSigningKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate signing key: %w", err)
	}
	return key, nil
}

// signWith signs the SHA-256 of a message, or the message itself where the
// algorithm (Ed25519) hashes on its own.
func signWith(key crypto.Signer, message []byte) (string, error) {
	input, hash := message, crypto.Hash(0)
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		sum := sha256.Sum256(message)
		input, hash = sum[:], crypto.SHA256
	}
	signature, err := key.Sign(rand.Reader, input, hash)
	if err != nil {
		return "", fmt.Errorf("sign payload: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// newUUID has the shape of Endor's: 24 hex digits.
func newUUID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}
