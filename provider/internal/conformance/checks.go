// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

const harmless = "Nothing: the provider does not depend on it."

// checks are all, in the order in which they are done: first what only asks, then
// what looks at signatures, which it revokes in the end.
var checks = slices.Concat(reading, signing, []check{{
	id: "redirect", assumption: "No call is redirected", source: inferred, expected: "none",
	otherwise: "The provider follows no redirect and says MISCONFIGURED; set ENDOR_API to the address that answers itself.",
	look: func(_ context.Context, w *world) (string, bool, error) {
		if len(w.api.redirects) == 0 {
			return "none", true, nil
		}
		return strings.Join(slices.Compact(w.api.redirects), ", "), false, nil
	},
}})

var reading = []check{
	{
		id: "expiry", assumption: "The answer to an API key tells when its token ends", source: fromExample,
		expected:  "expirationTime or expiration_time, RFC 3339",
		otherwise: "The provider renews the token by the clock, sooner than it would have to, and on HTTP 401.",
		look: func(_ context.Context, w *world) (string, bool, error) {
			if w.token != "" {
				return "", false, untestable("ENDOR_TOKEN is not exchanged")
			}
			if w.session.spoken == "" {
				return "neither", false, nil
			}
			return fmt.Sprintf("%s, in %v", w.session.spoken, w.session.lasts.Round(time.Second)), w.session.lasts > 0, nil
		},
	},
	{
		id: "clock", assumption: "Endor's clock and this machine's agree", source: inferred, expected: "Date within 5s",
		otherwise: "Times of signatures (maxAge) and ends of tokens are judged by another clock than the one that set them: look at NTP.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.verify(ctx, w.unknown, w.branch)
			if err != nil {
				return "", false, err
			}
			date, err := http.ParseTime(got.header.Get("Date"))
			if err != nil {
				return "no Date", false, nil
			}
			// Date has whole seconds, cut.
			ahead := date.Add(time.Second / 2).Sub(got.at).Round(time.Second)
			return fmt.Sprintf("%v ahead", ahead), ahead.Abs() <= 5*time.Second, nil
		},
	},
	{
		id: "unknown-artifact", assumption: "An image that nobody signed gets a verdict, not HTTP 404", source: fromExample, expected: "NO_ARTIFACT",
		otherwise: "Unless it is NO_SIGNATURE or HTTP 500 with code 13, unsigned images are not shown as NOT_SIGNED. They are refused all the same, if failOn has misconfigured and unavailable.",
		look:      expect("NO_ARTIFACT", func(ctx context.Context, w *world) (reply, error) { return w.verify(ctx, w.unknown, w.branch) }),
	},
	{
		id: "code-13", assumption: "HTTP 500 with code 13 for \"not signed\" is of the past", source: fromExample, expected: "not HTTP 500, code 13",
		otherwise: "Nothing: the provider reads it as NOT_SIGNED too.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.verify(ctx, w.unknown, w.branch)
			return got.String(), !got.legacy, err
		},
	},
	{
		id: "client-unsigned", assumption: "The provider's own client reads that answer", source: inferred, expected: "NO_ARTIFACT or NO_SIGNATURE",
		otherwise: "Unsigned images are shown as something else than NOT_SIGNED. Please report it.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.ask(ctx, w.unknown, w.branch)
			return string(got.Result), got.Result == endor.ResultNoArtifact || got.Result == endor.ResultNoSignature, err
		},
	},
	{
		id: "issuer-omitted", assumption: "A question without an issuer is answered", source: inferred, expected: "NO_ARTIFACT", otherwise: harmless,
		look: expect("NO_ARTIFACT", func(ctx context.Context, w *world) (reply, error) {
			return w.verify(ctx, w.unknown, question.Claims{})
		}),
	},
	{
		id: "long-meta-name", assumption: "meta.name has at most 63 characters", source: fromReference, expected: "HTTP 400", otherwise: harmless,
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.api.operate(ctx, operation{
				namespace: w.namespace, command: commandVerify, artifact: w.unknown, claims: w.branch, name: strings.Repeat("n", 64),
			})
			return got.String(), got.status == http.StatusBadRequest, err
		},
	},
	{
		id: "tag-alone", assumption: "A name with a tag instead of a digest is none", source: fromReference, expected: "INVALID_ARTIFACT_NAME", otherwise: harmless,
		look: expect("INVALID_ARTIFACT_NAME", func(ctx context.Context, w *world) (reply, error) {
			return w.verify(ctx, "conformance.invalid/"+w.random+":v1", w.branch)
		}),
	},
	{
		id: "tag-beside-digest", assumption: "A name with a tag beside its digest is none", source: inferred, expected: "INVALID_ARTIFACT_NAME", otherwise: harmless,
		look: expect("INVALID_ARTIFACT_NAME", func(ctx context.Context, w *world) (reply, error) {
			return w.verify(ctx, withTag(w.unknown), w.branch)
		}),
	},
	{
		id: "other-namespace", assumption: "A namespace that does not exist is refused", source: fromReference, expected: "HTTP 403",
		otherwise: "A mistyped namespace in a constraint may be shown as NOT_SIGNED instead of MISCONFIGURED.",
		look: func(ctx context.Context, w *world) (string, bool, error) {
			got, err := w.api.operate(ctx, operation{
				namespace: w.namespace + "." + w.random[:16], command: commandVerify, artifact: w.unknown, claims: w.branch,
			})
			return got.String(), got.status == http.StatusForbidden, err
		},
	},
	{
		id: "read-only", assumption: "A key with the role Read-Only may not VERIFY", source: inferred, expected: "HTTP 403", otherwise: harmless,
		look: never("needs a second key, of another role"),
	},
	{
		id: "create-only", assumption: "A key that may only create artifact operations may VERIFY", source: inferred, expected: "a verdict", otherwise: harmless,
		look: never("needs a second key, of another role"),
	},
	{
		id: "keyless", assumption: "Keyless signing in a GitHub Action fills in the claims of its token: repository, ref, workflow, sub", source: inferred,
		expected:  "as the samples write them",
		otherwise: "Write what Endor Labs shows of a signature into the constraint.",
		look:      never("needs a GitHub Action; sign in one, and see what kubectl endor verify says of it"),
	},
	{
		id: "statuses", assumption: "A tenant's limit is HTTP 429, and what is not there HTTP 501", source: inferred, expected: "HTTP 429, HTTP 501", otherwise: harmless,
		look: never("cannot be provoked without harm"),
	},
	{
		id: "license", assumption: "A tenant without artifact signing is told so", source: inferred, expected: "HTTP 402 or 403", otherwise: harmless,
		look: never("needs a tenant without it"),
	},
	{
		id: "retry-after", assumption: "HTTP 429 says how long to wait", source: inferred, expected: "Retry-After", otherwise: harmless,
		look: never("would exceed your tenant's limit"),
	},
}

// ask asks as the provider does.
func (w *world) ask(ctx context.Context, artifact string, claims question.Claims) (endor.Answer, error) {
	ref, err := imageref.Parse(artifact)
	if err != nil {
		return endor.Answer{}, err
	}
	return w.client.Verify(ctx, w.namespace, ref, claims)
}

// withTag puts a tag into name@digest.
func withTag(artifact string) string { return strings.Replace(artifact, "@", ":v1@", 1) }
