// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

const mismatch = "CLAIMS_MISMATCH"

// signing are the checks that need signatures; the first makes them.
var signing = []check{
	{
		id: "sign", assumption: "A key that may VERIFY may also SIGN, with any claims", source: fromExample, expected: success, signs: true,
		otherwise: "Good: the provider's key cannot vouch for images. What needs signatures could not be tested.",
		look:      expect(success, func(ctx context.Context, w *world) (reply, error) { return w.signBoth(ctx) }),
	},
	{
		id: "exact", assumption: "Claims that equal the certificate's are a success", source: fromReference, expected: success, signs: true,
		otherwise: "Signed images are refused. Please report it.",
		look:      expect(success, func(ctx context.Context, w *world) (reply, error) { return w.verify(ctx, w.image, w.branch) }),
	},
	{
		id: "several", assumption: "Each of several signatures of a digest is found by its exact claims", source: inferred, expected: success, signs: true,
		otherwise: "Images signed by more than one build may be refused as WRONG_SIGNER: sign each digest once.",
		look:      expect(success, func(ctx context.Context, w *world) (reply, error) { return w.verify(ctx, w.image, w.tag) }),
	},
	{
		id: "several-by-issuer", assumption: "Of several signatures the issuer alone finds one, with its provenance", source: inferred, expected: "SUCCESS, one of both refs", signs: true,
		otherwise: "Claims with * do not match images that several builds signed.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.verify(ctx, w.image, question.Claims{CertificateOIDCIssuer: w.branch.CertificateOIDCIssuer})
			if err != nil || got.result != success || got.signature == nil {
				return got.String(), false, err
			}
			p := got.signature.Provenance
			return "SUCCESS, " + printable.Cut(p.SourceRepositoryRef, 40), p == w.branch || p == w.tag, nil
		},
	},
	{
		id: "client-signed", assumption: "The provider's own client reads a success, and what is signed", source: inferred, expected: "SUCCESS with a signature", signs: true,
		otherwise: "Signed images are refused. Please report it.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.ask(ctx, w.image, w.branch)
			return fmt.Sprintf("%s, signature %v", got.Result, got.Signature != nil), got.Result == endor.ResultSuccess && got.Signature != nil, err
		},
	},
	shows("name", "artifact_name is the name without its digest", "The provider takes name@digest too; any other name is refused as UNRECOGNIZED_RESULT.",
		func(w *world, s *signature) (string, string) { return s.ArtifactName, strings.Split(w.image, "@")[0] }),
	shows("digest", "artifact_digest begins with sha256:", "The provider takes both forms; anything else is refused as UNRECOGNIZED_RESULT.",
		func(w *world, s *signature) (string, string) { return s.ArtifactDigest, strings.Split(w.image, "@")[1] }),
	shows("provenance", "provenance holds what was signed", "Claims with * match no image, or the wrong ones until they are confirmed.",
		func(w *world, s *signature) (string, string) {
			return fmt.Sprint(s.Provenance), fmt.Sprint(w.branch)
		}),
	{
		id: "timestamp", assumption: "A signature's time is RFC 3339 and about now", source: fromReference, expected: "within 5m", signs: true,
		otherwise: "With maxAge, images are refused as TOO_OLD.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.verify(ctx, w.image, w.branch)
			if err != nil || got.signature == nil {
				return got.String(), false, err
			}
			at, err := time.Parse(time.RFC3339, got.signature.Timestamp)
			if err != nil {
				return printable.Cut(got.signature.Timestamp, 40), false, nil
			}
			off := at.Sub(w.signedBefore).Round(time.Second)
			return fmt.Sprintf("%v after SIGN", off), off.Abs() <= 5*time.Minute, nil
		},
	},
	{
		id: "claims", assumption: "Each of the nine claims is compared", source: fromReference, expected: mismatch + " for each", signs: true,
		otherwise: "SUCCESS is DANGEROUS: a constraint with such a claim admits what others signed; do not rely on it, and please report it. Any other result is refused, under another code.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			return tries(ctx, w, func(yield func(string, question.Claims)) {
				for name := range w.branch.All() {
					yield(name, w.branch.With(name, "https://other.invalid"))
				}
			})
		},
	},
	{
		id: "patterns", assumption: "Claims are compared by the letter: no glob, no regular expression, no prefix, no case", source: inferred, expected: mismatch + " for each", signs: true,
		otherwise: "SUCCESS is DANGEROUS: claims without * in a constraint admit more than they say; please report it. Any other result is refused, under another code.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			return tries(ctx, w, func(yield func(string, question.Claims)) {
				for _, ref := range []string{"refs/heads/*", "refs/heads/.*", "^refs/heads/main$", "refs/heads/", "REFS/HEADS/MAIN", "*"} {
					yield(ref, w.branch.With("source_repository_ref", ref))
				}
			})
		},
	},
	{
		id: "issuer-of-signed", assumption: "Without an issuer the others are compared", source: inferred, expected: success, signs: true, otherwise: harmless,
		look: expect(success, func(ctx context.Context, w *world) (reply, error) {
			return w.verify(ctx, w.image, question.Claims{SourceRepositoryRef: w.branch.SourceRepositoryRef})
		}),
	},
	{
		id: "other-name", assumption: "The same digest under another name is not signed", source: inferred, expected: "NO_ARTIFACT", signs: true,
		otherwise: "Signatures count under every name: a copy in another registry passes too.",
		look: expect("NO_ARTIFACT", func(ctx context.Context, w *world) (reply, error) {
			return w.verify(ctx, strings.Replace(w.image, "@", "-copy@", 1), w.branch)
		}),
	},
	{
		id: "other-digest", assumption: "Another digest under the same name is not signed", source: fromReference, expected: "NO_SIGNATURE", signs: true,
		otherwise: "SUCCESS is DANGEROUS: a signature counts for images that it is not about; please report it. Any other result is refused, under another code.",
		look: expect("NO_SIGNATURE", func(ctx context.Context, w *world) (reply, error) {
			return w.verify(ctx, strings.Split(w.image, "@")[0]+"@"+digestOf("other "+w.random), w.branch)
		}),
	},
	{
		id: "normalized", assumption: "library/x and docker.io/library/x are two names", source: inferred, expected: "NO_ARTIFACT", signs: true, otherwise: harmless,
		look: func(ctx context.Context, w *world) (string, bool, error) {
			short, ok := strings.CutPrefix(w.image, "docker.io/")
			if !ok {
				return "", false, untestable("the prefix is not one of docker.io")
			}
			got, err := w.verify(ctx, short, w.branch)
			return got.String(), got.result == "NO_ARTIFACT", err
		},
	},
	{
		id: "child", assumption: "A child namespace does not have its parent's signatures", source: inferred, expected: "NO_ARTIFACT", signs: true,
		otherwise: "Whoever may sign in a parent namespace vouches in its children too.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			if w.child == "" {
				return "", false, untestable("needs CONFORMANCE_CHILD_NAMESPACE")
			}
			got, err := w.api.operate(ctx, operation{namespace: w.child, command: commandVerify, artifact: w.image, claims: w.branch})
			return got.String(), got.result == "NO_ARTIFACT", err
		},
	},
	{
		id: "revoked", assumption: "What is revoked is no success, although another signature stands", source: fromReference, expected: "not " + success, signs: true,
		otherwise: "SUCCESS is DANGEROUS: a revoked image is still admitted; please report it.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			if _, err := w.revoke(ctx, w.branch); err != nil {
				return "", false, err
			}
			got, err := w.verify(ctx, w.image, w.branch)
			return got.String(), got.result != success && got.result != "", err
		},
	},
	{
		id: "other-stands", assumption: "To revoke one build's signature leaves the other's", source: fromReference, expected: success, signs: true,
		otherwise: "To revoke one signature of an image is to revoke all: sign again what should stay.",
		look:      expect(success, func(ctx context.Context, w *world) (reply, error) { return w.verify(ctx, w.image, w.tag) }),
	},
	{
		id: "all-revoked", assumption: "With all revoked the result says so", source: fromReference, expected: "REVOKED_SIGNATURE", signs: true,
		otherwise: "SUCCESS is DANGEROUS: a revoked image is still admitted; please report it. Any other result is refused, under another code than REVOKED.",
		look: expect("REVOKED_SIGNATURE", func(ctx context.Context, w *world) (reply, error) {
			if _, err := w.revoke(ctx, w.tag); err != nil {
				return reply{}, err
			}
			return w.verify(ctx, w.image, w.tag)
		}),
	},
}

// shows is a check of one field of a success.
func shows(id, assumption, otherwise string, field func(*world, *signature) (got, want string)) check {
	return check{
		id: id, assumption: assumption, source: inferred, expected: "equal", otherwise: otherwise, signs: true,
		look: func(ctx context.Context, w *world) (string, bool, error) {
			reply, err := w.verify(ctx, w.image, w.branch)
			if err != nil || reply.signature == nil {
				return reply.String(), false, err
			}
			got, want := field(w, reply.signature)
			if got == want {
				return "equal", true, nil
			}
			return fmt.Sprintf("%q", printable.Cut(got, 60)), false, nil
		},
	}
}

// tries asks with claims of which none is the certificate's, and tells for which
// the answer is another one.
func tries(ctx context.Context, w *world, all func(yield func(what string, claims question.Claims))) (string, bool, error) {
	var wrong []string
	var failed error
	n := 0
	all(func(what string, claims question.Claims) {
		if failed != nil {
			return
		}
		n++
		got, err := w.verify(ctx, w.image, claims)
		failed = err
		if got.result != mismatch {
			wrong = append(wrong, fmt.Sprintf("%s: %v", what, got))
		}
	})
	if failed != nil || len(wrong) > 0 {
		return strings.Join(wrong, "; "), false, failed
	}
	return fmt.Sprintf("%s, %d times", mismatch, n), true, nil
}
