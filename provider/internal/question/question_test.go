// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package question_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

var (
	sum   = "sha256:" + strings.Repeat("1a2b", 16)
	image = "ghcr.io/acme/api@" + sum
	acme  = question.Claims{SourceRepository: "acme/api"}
)

func signers(q question.Question) (list []question.Claims) {
	for _, c := range q.Signers.All() {
		list = append(list, c)
	}
	return list
}

func TestParse(t *testing.T) {
	t.Parallel()
	enc := url.QueryEscape
	for _, tc := range []struct {
		name, key string
		namespace string
		signers   []question.Claims
	}{
		{name: "a bare reference asks for the default signer", key: image},
		{name: "so does a query with nothing but an image", key: "image=" + enc(image)},
		{name: "an Endor namespace", key: "image=" + enc(image) + "&namespace=acme.prod", namespace: "acme.prod"},
		{
			name:    "claims are one signer",
			key:     "certificate_oidc_issuer=" + enc("https://gitlab.com") + "&image=" + enc(image) + "&source_repository=" + enc("acme/api"),
			signers: []question.Claims{{CertificateOIDCIssuer: "https://gitlab.com", SourceRepository: "acme/api"}},
		},
		{
			name:    "every claim that Endor knows",
			key:     "build_config_digest=h&build_config_name=g&certificate_identity=b&certificate_oidc_issuer=a&image=" + enc(image) + "&runner_environment=i&source_repository=c&source_repository_digest=f&source_repository_owner=d&source_repository_ref=e",
			signers: []question.Claims{{"a", "b", "c", "d", "e", "f", "g", "h", "i"}},
		},
		{
			name:    "several signers keep their order",
			key:     "image=" + enc(image) + "&signer=" + enc("source_repository="+enc("b/b")) + "&signer=" + enc("source_repository="+enc("a/a")),
			signers: []question.Claims{{SourceRepository: "b/b"}, {SourceRepository: "a/a"}},
		},
		{
			name:    "one signer may be written as several are",
			key:     "image=" + enc(image) + "&signer=" + enc("source_repository="+enc("acme/api")),
			signers: []question.Claims{acme},
		},
		{
			name:    "a star after the first character",
			key:     "image=" + enc(image) + "&source_repository_ref=" + enc("refs/tags/*"),
			signers: []question.Claims{{SourceRepositoryRef: "refs/tags/*"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			q, err := question.Parse(tc.key)
			if err != nil {
				t.Fatalf("Parse(%q): %v", tc.key, err)
			}
			if q.Image.String() != image || q.Namespace != tc.namespace {
				t.Errorf("Parse(%q) = image %v, namespace %q", tc.key, q.Image, q.Namespace)
			}
			if diff := cmp.Diff(tc.signers, signers(q)); diff != "" {
				t.Errorf("signers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefusesWhatItDoesNotUnderstandToTheLastByte(t *testing.T) {
	t.Parallel()
	enc := url.QueryEscape
	img := "image=" + enc(image)
	nine := img + strings.Repeat("&signer="+enc("source_repository=a"), 9)
	for _, tc := range []struct {
		name, key string
		want      error
	}{
		{"empty", "", question.ErrKey},
		{"longer than 8 KiB", img + "&source_repository=" + strings.Repeat("a", question.MaxKeyBytes), question.ErrKey},
		{"unsorted", "namespace=acme&" + img, question.ErrKey},
		{"an unknown name", img + "&max_age=30d", question.ErrKey},
		{"a claim in camel case", img + "&sourceRepository=a", question.ErrKey},
		{"an empty name", "=a&" + img, question.ErrKey},
		{"a name without a value sign", img + "&namespace", question.ErrKey},
		{"an empty claim, which must not mean no claim", img + "&source_repository=", question.ErrKey},
		{"an empty namespace", img + "&namespace=", question.ErrKey},
		{"no image", "source_repository=a", question.ErrKey},
		{"an image twice", img + "&" + img, question.ErrKey},
		{"a claim twice", img + "&source_repository=a&source_repository=b", question.ErrKey},
		{"a namespace twice", img + "&namespace=a&namespace=b", question.ErrKey},
		{"claims beside a signer", img + "&signer=" + enc("source_repository=a") + "&source_repository=b", question.ErrKey},
		{"a signer that asks for nothing", img + "&signer=", question.ErrKey},
		{"a signer with an image", img + "&signer=" + enc(img), question.ErrKey},
		{"a signer within a signer", img + "&signer=" + enc("signer="+enc("source_repository=a")), question.ErrKey},
		{"a signer that is unsorted", img + "&signer=" + enc("source_repository=a&build_config_name=b"), question.ErrKey},
		{"a signer with an unknown name", img + "&signer=" + enc("owner=a"), question.ErrKey},
		{"nine signers", nine, question.ErrKey},
		{"an escape that Encode would not write", "image=" + enc(image) + "&source_repository=%61", question.ErrKey},
		{"a lower-case escape", strings.ToLower(img), question.ErrKey},
		{"%20 where Encode writes +", img + "&build_config_name=a%20b", question.ErrKey},
		{"a broken escape", img + "&source_repository=%zz", question.ErrKey},
		{"a semicolon", img + ";namespace=a", question.ErrKey},
		{"a trailing ampersand", img + "&", question.ErrKey},
		{"bytes that are not UTF-8", img + "&source_repository=%FF", question.ErrKey},
		{"bytes that are not UTF-8 in a signer", img + "&signer=" + enc("source_repository=%FF"), question.ErrKey},
		{"an issuer with a star", "certificate_oidc_issuer=" + enc("https://*") + "&" + img, question.ErrKey},
		{"a value that begins with a star", img + "&source_repository=" + enc("*/api"), question.ErrKey},
		{"an upper-case namespace", img + "&namespace=Acme", question.ErrKey},
		{"a namespace that walks a path", img + "&namespace=" + enc("../acme"), question.ErrKey},
		{"a namespace with a line break", img + "&namespace=" + enc("acme\n"), question.ErrKey},
		{"a segment of 33 characters", img + "&namespace=" + strings.Repeat("a", 33), question.ErrKey},
		{"a bare reference with a control character", "x\x7f@" + sum, question.ErrKey},
		{"a bare reference with an ampersand", image + "&a", question.ErrKey},
		{"a bare reference with a percent sign", "ghcr.io%2Facme", question.ErrKey},
		{"a bare tag", "ghcr.io/acme/api:v1", imageref.ErrNoDigest},
		{"a tag in a query", "image=" + enc("ghcr.io/acme/api:v1"), imageref.ErrNoDigest},
		{"a parameter injected into the image", "image=" + enc(image+"&namespace=evil"), imageref.ErrSyntax},
		{"an image of 5,000 bytes", "image=" + strings.Repeat("a", 5000), imageref.ErrSyntax},
		{"sha512", "image=" + enc("a@sha512:"+strings.Repeat("1a2b", 32)), imageref.ErrSyntax},
		{"an empty image", "image=", imageref.ErrSyntax},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			q, err := question.Parse(tc.key)
			if !errors.Is(err, tc.want) {
				t.Fatalf("Parse(%.200q) error = %v, want %v", tc.key, err, tc.want)
			}
			t.Logf("Got expected error: %v", err)
			if q != (question.Question{}) {
				t.Errorf("Parse gave a question beside an error: %+v", q)
			}
		})
	}
}

func TestNewSignersRefusesWhatAKeyCouldNotSay(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]question.Claims{
		"nine":              slices.Repeat([]question.Claims{acme}, 9),
		"one without claim": {acme, {}},
		"not UTF-8":         {{SourceRepository: "\xff"}},
		"leading star":      {{SourceRepositoryOwner: "*"}},
	} {
		if _, err := question.NewSigners(list...); !errors.Is(err, question.ErrKey) {
			t.Errorf("%s: error = %v, want ErrKey", name, err)
		}
	}
}

func TestClaimsByName(t *testing.T) {
	t.Parallel()
	c := question.Claims{}.With("source_repository", "a/b").With("no_such_claim", "x")
	if want := (question.Claims{SourceRepository: "a/b"}); c != want {
		t.Errorf("With = %+v, want %+v", c, want)
	}
	if c.Get("source_repository") != "a/b" || c.Get("no_such_claim") != "" {
		t.Errorf("Get = %q, %q", c.Get("source_repository"), c.Get("no_such_claim"))
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, value string
		want           bool
	}{
		{"acme/api", "acme/api", true},
		{"acme/api", "acme/apis", false},
		{"acme/*", "acme/api", true},
		{"acme/*", "acme/api/v2", true},
		{"acme/*", "acme-evil/api", false},
		{"acme/*", "evil/acme/api", false},
		{"acme*", "acme-evil", true},
		{"acme*", "acme-evil/x", false},
		{"acme*", "acme", true},
		{"acme/*/x", "acme/a/x", true},
		{"acme/*/x", "acme/a/b/x", false},
		{"refs/tags/v*", "refs/tags/v1.2.3", true},
		{"refs/tags/v*", "refs/tags/v1/x", false},
		{"refs/tags/*", "refs/heads/main", false},
		{"refs/tags/*", "refs/tags/", true},
		{"refs/tags/*", "refs/tags", false},
		{"refs/*/v*-rc*", "refs/tags/v1-rc2", true},
		{"refs/*/v*-rc*", "refs/tags/v1-beta", false},
		{"a*b*/*", "axbx/anything:at/all", true},
		{"a*b*/*", "ax/b/anything", false},
		{"repo:acme/api:*", "repo:acme/api:ref:refs/heads/main", true},
		{"repo:acme/*:ref", "repo:acme/api:ref", true},
		{"repo:acme/*:ref", "repo:acme/api:environment:ref", false},
		{"a**b", "axb", true},
		{"a*", "", false},
		{"", "", false},
		{"", "a", false},
	} {
		if got := question.Match(tc.pattern, tc.value); got != tc.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tc.pattern, tc.value, got, tc.want)
		}
	}
}
