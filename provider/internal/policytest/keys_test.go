// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package policytest

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// claimNames are the claims of a signer as constraints and as keys spell them.
var claimNames = map[string]string{
	"certificateOidcIssuer":  "certificate_oidc_issuer",
	"certificateIdentity":    "certificate_identity",
	"sourceRepository":       "source_repository",
	"sourceRepositoryOwner":  "source_repository_owner",
	"sourceRepositoryRef":    "source_repository_ref",
	"sourceRepositoryDigest": "source_repository_digest",
	"buildConfigName":        "build_config_name",
	"buildConfigDigest":      "build_config_digest",
	"runnerEnvironment":      "runner_environment",
}

// A policy must not send a name that the previous release's provider refuses.
func TestKeysHoldOnlyReleasedNames(t *testing.T) {
	t.Parallel()
	released := releasedNames(t)
	key := keyOf(t)
	everything := map[string]any{}
	for name := range claimNames {
		everything[name] = "x"
	}
	for _, tc := range []struct {
		name    string
		signers []any
	}{
		{"one signer", []any{everything}},
		{"two signers", []any{everything, everything}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			values := parse(t, key(t, "ghcr.io/acme/api@"+digest, map[string]any{"namespace": "acme", "signers": tc.signers}))
			names := slices.Collect(maps.Keys(values))
			for _, signer := range values["signer"] {
				names = slices.AppendSeq(names, maps.Keys(parse(t, signer)))
			}
			for _, name := range names {
				if !slices.Contains(released, name) {
					t.Errorf("the policy sends %q, which the previous release does not know", name)
				}
			}
			if want := len(claimNames) + 2; len(names) < want {
				t.Errorf("the key has %d names, want at least %d: %v", len(names), want, names)
			}
		})
	}
}

func releasedNames(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Root, "src", "lib", "keys.released"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	release := strings.Fields(lines[len(lines)-1])
	if len(release) < 2 || strings.HasPrefix(release[0], "#") {
		t.Fatalf("keys.released has no release in its last line")
	}
	return release[1:]
}

// keyOf gives the policy's own function for keys.
func keyOf(t *testing.T) func(t interface{ Fatal(...any) }, image string, parameters any) string {
	t.Helper()
	policy, err := NewPolicy(t.Context(), "data.lib.parameters.key(input.image)")
	if err != nil {
		t.Fatal(err)
	}
	return func(tb interface{ Fatal(...any) }, image string, parameters any) string {
		var key string
		err := policy.Eval(t.Context(), map[string]any{"image": image, "parameters": parameters}, nil, &key)
		if err != nil {
			tb.Fatal(err)
		}
		return key
	}
}

func parse(t *testing.T, query string) url.Values {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// hostile generates text as manifests may hold it: JSON strings, which are
// Unicode, with what quoting, escaping and parsing trip over.
func hostile() *rapid.Generator[string] {
	return rapid.StringOf(rapid.OneOf(
		rapid.SampledFrom([]rune("&=%+;#?/:@*,~\"'\\ \t\n\x00\x01\a\v\x7f\u0085\u2028\ufeff\ufffd\U000e0001😀éa")),
		rapid.Rune(),
	))
}

// What Rego's encode_object prints is what Go's Values.Encode prints. The
// provider refuses any other spelling, so a difference would refuse images.
func TestEncodeObjectPrintsLikeValuesEncode(t *testing.T) {
	t.Parallel()
	policy, err := NewPolicy(t.Context(), "urlquery.encode_object(input)")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		values := url.Values(rapid.MapOf(hostile(), rapid.SliceOfN(hostile(), 1, 4)).Draw(rt, "values"))
		var got string
		if err := policy.Eval(t.Context(), values, nil, &got); err != nil {
			rt.Fatal(err)
		}
		if want := values.Encode(); got != want {
			rt.Fatalf("encode_object(%q) = %q, want %q", values, got, want)
		}
	})
}

// The provider reads each key back to what the constraint says.
func TestProviderReadsWhatThePolicyAsks(t *testing.T) {
	t.Parallel()
	key := keyOf(t)
	claim := rapid.Custom(func(rt *rapid.T) string {
		return rapid.StringMatching(`[a-zA-Z0-9/:.@&=%+ é-]{1,40}`).Draw(rt, "claim")
	})
	signer := rapid.Custom(func(rt *rapid.T) map[string]any {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(claimNames))), 1, 9, rapid.ID).Draw(rt, "names")
		s := map[string]any{}
		for _, name := range names {
			s[name] = claim.Draw(rt, name)
		}
		return s
	})
	rapid.Check(t, func(rt *rapid.T) {
		image := rapid.StringMatching(`[a-z0-9]{1,9}\.io(:[0-9]{1,4})?/[a-z0-9]{1,9}(:[a-zA-Z0-9]{1,9})?`).Draw(rt, "image") + "@" + digest
		signers := rapid.SliceOfN(signer, 1, 8).Draw(rt, "signers")
		asked := key(rt, image, map[string]any{"namespace": "acme.prod", "signers": signers})
		q, err := question.Parse(asked)
		if err != nil {
			rt.Fatalf("the provider refuses %q: %v", asked, err)
		}
		if q.Image.String() != image || q.Namespace != "acme.prod" || q.Key() != asked {
			rt.Fatalf("the provider reads %q as %+v", asked, q)
		}
		var want, got []map[string]string
		for _, s := range signers {
			claims := map[string]string{}
			for name, value := range s {
				claims[claimNames[name]] = value.(string)
			}
			want = append(want, claims)
		}
		for _, c := range q.Signers.All() {
			got = append(got, maps.Collect(c.All()))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("signers differ (-asked +read):\n%s", diff)
		}
	})
}
