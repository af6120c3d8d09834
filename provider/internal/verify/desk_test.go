// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// codes are the codes of answers, in order.
func codes(answers []verify.Answer) (list []verify.Code) {
	for _, a := range answers {
		list = append(list, a.Code())
	}
	return list
}

// newDesk puts the whole stack before a core.
func newDesk(t *testing.T, core verifierFunc, cfg verify.Config) *verify.Desk {
	t.Helper()
	desk, err := verify.New(core, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(desk.Close)
	return desk
}

func yes(context.Context, question.Question) (verify.Verdict, error) { return verified(), nil }

func TestEveryKeyIsAnsweredInItsPlace(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	desk := newDesk(t, func(_ context.Context, q question.Question) (verify.Verdict, error) {
		if strings.HasSuffix(q.Image.Name(), "down") {
			return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: "network"}
		}
		return verified(), nil
	}, verify.Config{Resolver: verify.Resolver{Namespace: "acme", Allowed: []string{"acme.prod"}}, Registerer: reg})
	query := func(image, rest string) string { return "image=" + url.QueryEscape(image) + rest }
	keys := []string{
		api,
		"ghcr.io/acme/api:v1",
		"GHCR.IO/acme/api@" + digest(1),
		"",
		"ghcr.io/acme/down@" + digest(1),
		query(api, "&namespace=acme.prod"),
		query(api, "&namespace=acme"),
		query(api, "&namespace=other"),
		query(api, "&unknown=1"),
		"x\x7f",
	}
	answers := desk.Answers(t.Context(), keys)
	for i, a := range answers {
		if a.Key != keys[i] {
			t.Errorf("answer %d is for key %q, want %q", i, a.Key, keys[i])
		}
	}
	want := []verify.Code{
		verify.Verified, verify.NoDigest, verify.BadReference, verify.BadKey, verify.Unavailable,
		verify.Verified, verify.Verified, verify.BadKey, verify.BadKey, verify.BadKey,
	}
	if diff := cmp.Diff(want, codes(answers)); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	// An alert needs a zero to rise from, so every pair is there.
	var counted strings.Builder
	counted.WriteString("# HELP undecided_total Keys that could not be answered, by code and cause.\n# TYPE undecided_total counter\n")
	for _, u := range verify.Undecidable() {
		n := 0
		if u.Cause == "network" {
			n = 1
		}
		fmt.Fprintf(&counted, "undecided_total{cause=%q,code=%q} %d\n", u.Cause, u.Code, n)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(counted.String()), "undecided_total"); err != nil {
		t.Error(err)
	}
}

func TestWithoutAnyNamespaceNothingIsAsked(t *testing.T) {
	t.Parallel()
	desk := newDesk(t, yes, verify.Config{})
	if got := desk.Answers(t.Context(), []string{api}); got[0].Code() != verify.Misconfigured || !strings.Contains(got[0].Sentence(), "--endor-namespace") {
		t.Errorf("answer = %s: %s", got[0].Code(), got[0].Sentence())
	}
}

func TestKeysOfARequestAreAskedAtTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		desk := newDesk(t, func(context.Context, question.Question) (verify.Verdict, error) {
			time.Sleep(50 * time.Millisecond)
			return verified(), nil
		}, verify.Config{Resolver: resolver})
		var keys []string
		for i := range 16 {
			keys = append(keys, "a@"+digest(i))
		}
		start := time.Now()
		desk.Answers(t.Context(), keys)
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("16 keys of 50ms took %v, want 50ms", took)
		}
	})
}

func TestAtTheEndOfTheBudgetWhatIsDecidedIsAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		desk := newDesk(t, func(ctx context.Context, q question.Question) (verify.Verdict, error) {
			v := verified()
			if strings.HasSuffix(q.Image.Name(), "slow") {
				select {
				case <-time.After(10 * time.Second):
				case <-ctx.Done():
					return verify.Verdict{}, ctx.Err()
				}
			}
			return v, nil
		}, verify.Config{Resolver: resolver})

		keys := []string{api, "ghcr.io/acme/slow@" + digest(1)}
		start := time.Now()
		answers := desk.Answers(t.Context(), keys)
		if took := time.Since(start); took != 1700*time.Millisecond {
			t.Errorf("answered after %v, want at the end of the budget of 1.7s", took)
		}
		if diff := cmp.Diff([]verify.Code{verify.Verified, verify.Unavailable}, codes(answers)); diff != "" {
			t.Fatalf("codes (-want +got):\n%s", diff)
		}
		time.Sleep(9 * time.Second)
		start = time.Now()
		answers = desk.Answers(t.Context(), keys)
		if answers[1].Code() != verify.Verified || !answers[1].Cached() || time.Since(start) != 0 {
			t.Errorf("after the call ended: %s, cached %v, in %v; want VERIFIED from the cache at once", answers[1].Code(), answers[1].Cached(), time.Since(start))
		}
	})
}

func TestWhenTheCallerHangsUpTheRequestEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		desk := newDesk(t, func(ctx context.Context, _ question.Question) (verify.Verdict, error) {
			<-ctx.Done()
			return verify.Verdict{}, ctx.Err()
		}, verify.Config{Resolver: resolver})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		if got := desk.Answers(ctx, []string{api}); got[0].Code() != verify.Unavailable || time.Since(start) != 300*time.Millisecond {
			t.Errorf("%s after %v, want UNAVAILABLE after 300ms", got[0].Code(), time.Since(start))
		}
	})
}

func TestEveryCodeHasAClassAndASentence(t *testing.T) {
	t.Parallel()
	for _, code := range verify.Codes() {
		switch code.Class() {
		case verify.ClassRejected:
			if s := code.Sentence(); s == "" || strings.ContainsAny(s, "\n\"") || len(s) > 250 {
				t.Errorf("%s: sentence %q, want one line of up to 250 bytes", code, s)
			}
		case verify.ClassVerified, verify.ClassUnavailable, verify.ClassMisconfigured:
			if code.Sentence() != "" {
				t.Errorf("%s has a sentence of its own; its causes have them", code)
			}
		}
	}
	if got := verify.Code("NEW").Class(); got != verify.ClassRejected {
		t.Errorf("an unknown code is of class %s, want rejected", got)
	}
}

func TestAWrongSignerIsToldAndWhatWasExpectedOfTheClosest(t *testing.T) {
	t.Parallel()
	main := question.Claims{CertificateOIDCIssuer: verify.DefaultIssuer, SourceRepository: "evil/api", SourceRepositoryRef: "refs/heads/main"}
	for _, tc := range []struct {
		name    string
		found   question.Claims
		signers []question.Claims
		want    string
	}{
		{"one claim differs", main, []question.Claims{{SourceRepository: "acme/*", SourceRepositoryRef: "refs/heads/main"}},
			"it is signed with source_repository evil/api, not acme/*; "},
		{"the closest of several", main, []question.Claims{
			{SourceRepository: "acme/api", SourceRepositoryRef: "refs/tags/*"}, {SourceRepository: "evil/api", SourceRepositoryRef: "refs/tags/*"},
		}, "it is signed with source_repository_ref refs/heads/main, not refs/tags/*; "},
		{"the first of those equally close", main, []question.Claims{{SourceRepository: "acme/api"}, {SourceRepository: "acme/web"}},
			"it is signed with source_repository evil/api, not acme/api; "},
		{"what was found has no such claim", main, []question.Claims{{BuildConfigName: "Release"}},
			"it is signed with build_config_name (none), not Release; "},
		{"nobody knows who signed", question.Claims{}, []question.Claims{{CertificateOIDCIssuer: "https://gitlab.com", SourceRepository: "acme/api"}},
			"it is signed, but not with source_repository acme/api; "},
		{"nobody knows who signed, and only an issuer was asked for", question.Claims{}, []question.Claims{{CertificateOIDCIssuer: "https://gitlab.com"}},
			"it is signed, but not with certificate_oidc_issuer https://gitlab.com; "},
		{"only Endor knows what differs", main, []question.Claims{{SourceRepository: "evil/api"}},
			"it is signed, but by none of the accepted signers; "},
		{"text that drives a terminal", question.Claims{SourceRepository: "evil\x1b[31m" + strings.Repeat("x", 200)}, []question.Claims{{SourceRepository: "acme/api"}},
			"it is signed with certificate_oidc_issuer (none), not " + verify.DefaultIssuer + ", source_repository evil?[31m" + strings.Repeat("x", 91) + ", not acme/api; "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			desk := newDesk(t, func(context.Context, question.Question) (verify.Verdict, error) {
				return verify.Verdict{Code: verify.WrongSigner, Signer: tc.found, AskedAt: time.Now()}, nil
			}, verify.Config{Resolver: resolver})
			key := question.Question{Image: mustParse(t, api), Signers: mustSigners(t, tc.signers...)}.Key()
			if got := desk.Answers(t.Context(), []string{key})[0].Sentence(); !strings.HasPrefix(got, tc.want) {
				t.Errorf("sentence = %q\nwant     %q…", got, tc.want)
			}
		})
	}
}

func mustParse(t *testing.T, image string) imageref.Ref {
	t.Helper()
	ref, err := imageref.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func mustSigners(t *testing.T, list ...question.Claims) question.Signers {
	t.Helper()
	s, err := question.NewSigners(list...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestResolve(t *testing.T) {
	t.Parallel()
	mirror, err := imageref.ParseRewrite("mirror.local/=ghcr.io/")
	if err != nil {
		t.Fatal(err)
	}
	r := verify.Resolver{Namespace: "acme", Issuer: "https://gitlab.com", Naming: imageref.Naming{Rewrites: []imageref.Rewrite{mirror}}}
	got, err := r.Resolve(question.Question{Image: mustParse(t, "mirror.local/acme/api:v1@"+digest(1)), Signers: mustSigners(t, acmeOnly)})
	if err != nil {
		t.Fatal(err)
	}
	want := question.Question{
		Image: mustParse(t, api), Namespace: "acme",
		Signers: mustSigners(t, question.Claims{CertificateOIDCIssuer: "https://gitlab.com", SourceRepositoryOwner: "acme"}),
	}
	if got != want {
		t.Errorf("Resolve = %+v\nwant %+v", got, want)
	}
}
