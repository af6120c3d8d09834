// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package question_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// claimValue draws values that are hard to keep apart: separators, escapes and
// the names of other claims. Few letters, so that questions often nearly agree.
func claimValue() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[ab][ab/:&=%+ *;"]{0,6}`),
		rapid.SampledFrom([]string{"source_repository=a", "a&signer=b", "%26", "a\x00b", "é", "a\nb"}),
	)
}

func claims() *rapid.Generator[question.Claims] {
	return rapid.Custom(func(t *rapid.T) question.Claims {
		var c question.Claims
		for _, name := range []string{"certificate_identity", "source_repository", "source_repository_ref", "build_config_name"} {
			if rapid.Bool().Draw(t, "has "+name) {
				c = c.With(name, claimValue().Draw(t, name))
			}
		}
		if rapid.Bool().Draw(t, "has issuer") {
			c.CertificateOIDCIssuer = rapid.SampledFrom([]string{"https://gitlab.com", "a&b", "a=b"}).Draw(t, "issuer")
		}
		return c
	}).Filter(func(c question.Claims) bool { return c.Validate() == nil })
}

func anyQuestion() *rapid.Generator[question.Question] {
	return rapid.Custom(func(t *rapid.T) question.Question {
		ref, err := imageref.Parse(rapid.SampledFrom([]string{
			"a@" + sum, "a:b@" + sum, "ghcr.io/a/b@" + sum, "localhost:5000/a@sha256:" + strings.Repeat("0", 64),
		}).Draw(t, "image"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := question.NewSigners(rapid.SliceOfN(claims(), 0, 3).Draw(t, "signers")...)
		if err != nil {
			t.Fatal(err)
		}
		return question.Question{
			Image:     ref,
			Namespace: rapid.SampledFrom([]string{"", "acme", "acme.prod"}).Draw(t, "namespace"),
			Signers:   s,
		}
	})
}

func TestAPrintedQuestionReadsBackTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := anyQuestion().Draw(t, "question")
		got, err := question.Parse(q.Key())
		if err != nil || got != q {
			t.Fatalf("Parse(%q) = %+v, %v\nwant %+v", q.Key(), got, err, q)
		}
	})
}

func TestDifferentQuestionsNeverPrintTheSameKey(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyQuestion().Draw(t, "a"), anyQuestion().Draw(t, "b")
		if (a.Key() == b.Key()) != (a == b) {
			t.Fatalf("keys %q and %q of\n%+v\n%+v", a.Key(), b.Key(), a, b)
		}
	})
}

// The meaning of a star, said a second time as a regular expression.
func meaning(pattern string) *regexp.Regexp {
	expr := regexp.QuoteMeta(pattern)
	if rest := strings.TrimSuffix(expr, `\*`); rest != expr && (strings.HasSuffix(rest, "/") || strings.HasSuffix(rest, ":")) {
		expr = rest + `(?s:.*)`
	}
	return regexp.MustCompile(`^` + strings.ReplaceAll(expr, `\*`, `[^/:]*`) + `$`)
}

func TestMatchMeansWhatARegularExpressionSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`a[ab/:*]{0,8}`).Draw(t, "pattern")
		value := rapid.StringMatching(`a[ab/:]{0,10}`).Draw(t, "value")
		if got, want := question.Match(pattern, value), meaning(pattern).MatchString(value); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", pattern, value, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(image)
	f.Add("image=" + image)
	f.Add("image=ghcr.io%2Facme%2Fapi%40sha256%3A" + sum[7:] + "&namespace=acme&source_repository=acme%2Fapi")
	f.Add("image=ghcr.io%2Facme%2Fapi%40sha256%3A" + sum[7:] + "&signer=source_repository%3Da&signer=source_repository%3Db")
	f.Add("image=a%40" + sum + "&source_repository=%FF")
	f.Fuzz(func(t *testing.T, key string) {
		q, err := question.Parse(key)
		if err != nil {
			if q != (question.Question{}) {
				t.Fatalf("Parse(%q) gave a question beside an error", key)
			}
			return
		}
		again, err := question.Parse(q.Key())
		if err != nil || again != q {
			t.Fatalf("Parse(%q), which %q printed, = %+v, %v", q.Key(), key, again, err)
		}
	})
}
