// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

const userAgent = "endor-gatekeeper-provider-conformance"

// world is what the checks look at.
type world struct {
	settings

	api     *api
	client  *endor.Client // as the provider has it
	session session

	random  string // part of every name, so that none was ever used
	unknown string // an image that nobody signed

	// Two builds of one image: of the branch and of a tag.
	image        string
	branch, tag  question.Claims
	refused      error             // why they could not be signed
	mayBeSigned  []question.Claims // and are to be revoked
	signedBefore time.Time
}

// newWorld logs in, and signs if that is asked for.
func newWorld(ctx context.Context, s settings) (*world, error) {
	client, err := endor.New(endor.Config{
		BaseURL: s.base, Credentials: s.credentials(), Timeout: 5 * time.Second, UserAgent: userAgent,
	})
	if err != nil {
		return nil, err
	}
	random := strings.ToLower(rand.Text())
	w := &world{
		settings: s, api: newAPI(s.base), client: client, random: random,
		unknown: "conformance.invalid/" + random + "@" + digestOf(random),
		image:   s.prefix + "/endor-conformance-" + random + "@" + digestOf("image "+random),
		branch:  claimsOf(random, "refs/heads/main"),
		tag:     claimsOf(random, "refs/tags/v1.0.0"),
	}
	w.api.token = s.token
	if s.token == "" {
		if w.session, err = w.api.login(ctx, s.key, s.secret); err != nil {
			return nil, err
		}
		w.api.token = w.session.token
	}
	return w, nil
}

// claimsOf is a signer that no constraint accepts: its issuer can have no address.
func claimsOf(random, ref string) question.Claims {
	commit := digestOf(random + ref)[len("sha256:"):][:40]
	return question.Claims{
		CertificateOIDCIssuer:  "https://conformance.invalid",
		CertificateIdentity:    "repo:endor-conformance/" + random + ":ref:" + ref,
		SourceRepository:       "endor-conformance/" + random,
		SourceRepositoryOwner:  "endor-conformance",
		SourceRepositoryRef:    ref,
		SourceRepositoryDigest: commit,
		BuildConfigName:        "Conformance",
		BuildConfigDigest:      commit,
		RunnerEnvironment:      "none",
	}
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// verify asks in the namespace.
func (w *world) verify(ctx context.Context, artifact string, claims question.Claims) (reply, error) {
	return w.api.operate(ctx, operation{namespace: w.namespace, command: commandVerify, artifact: artifact, claims: claims})
}

// signBoth signs the image for both builds, the tag last. What is asked for is
// remembered before it is asked, since an answer may get lost.
func (w *world) signBoth(ctx context.Context) (reply, error) {
	var got reply
	w.signedBefore = time.Now()
	for _, claims := range []question.Claims{w.branch, w.tag} {
		w.mayBeSigned = append(w.mayBeSigned, claims)
		var err error
		got, err = w.api.operate(ctx, operation{namespace: w.namespace, command: commandSign, artifact: w.image, claims: claims})
		if err != nil {
			w.refused = err
			return got, err
		}
		if got.result != success {
			w.refused = fmt.Errorf("SIGN was answered with %v", got)
			return got, nil
		}
	}
	return got, nil
}

// revoke ends the signature of one build.
func (w *world) revoke(ctx context.Context, claims question.Claims) (reply, error) {
	got, err := w.api.operate(ctx, operation{
		namespace: w.namespace, command: commandRevoke, artifact: w.image, claims: claims, digest: claims.SourceRepositoryDigest,
	})
	return got, err
}

// revokeAll leaves nothing behind that vouches, whatever became of ctx. A
// signature is gone when VERIFY says so, not when REVOKE_SIGNATURE does.
func (w *world) revokeAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	for _, claims := range slices.Clone(w.mayBeSigned) {
		_, err := w.revoke(ctx, claims)
		got, verifyErr := w.verify(ctx, w.image, claims)
		switch {
		case verifyErr != nil:
			errs = append(errs, fmt.Errorf("whether the signature of %s for %s is revoked cannot be told: %w", w.image, claims.SourceRepositoryRef, errors.Join(err, verifyErr)))
		case got.result == success:
			errs = append(errs, fmt.Errorf("%s is still signed for %s: endorctl artifact revoke-signature --name %s --source-repository-ref %s",
				w.image, claims.SourceRepositoryRef, w.image, claims.SourceRepositoryRef))
		}
	}
	return errors.Join(errs...)
}
