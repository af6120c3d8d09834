// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// digest gives a digest for each number.
func digest(n int) string { return "sha256:" + fmt.Sprintf("%064x", n) }

var (
	api      = "ghcr.io/acme/api@" + digest(1)
	ofAPI    = endortest.GitHubClaims("acme", "api", "refs/heads/main")
	acmeOnly = question.Claims{SourceRepositoryOwner: "acme"}
)

// resolver has the defaults of a provider for the Endor namespace acme.
var resolver = verify.Resolver{Namespace: "acme"}

// ask makes a resolved question about image for signers.
func ask(t testing.TB, image string, signers ...question.Claims) question.Question {
	t.Helper()
	ref, err := imageref.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	list, err := question.NewSigners(signers...)
	if err != nil {
		t.Fatal(err)
	}
	q, err := resolver.Resolve(question.Question{Image: ref, Signers: list})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// newEndor is the core before an emulator that has signed api.
func newEndor(t *testing.T) (*verify.Endor, *endortest.Server) {
	t.Helper()
	server := endortest.Start(t, endortest.Config{})
	client, err := endor.New(endor.Config{
		BaseURL:     server.URL,
		Credentials: endor.Credentials{Key: server.APIKey, Secret: server.APISecret},
		Timeout:     5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	sign(t, server, api, ofAPI)
	return verify.NewEndor(client, nil), server
}

func sign(t testing.TB, server *endortest.Server, image string, claims endortest.Claims) {
	t.Helper()
	if err := server.Sign(endortest.Signing{Image: image, Claims: claims}); err != nil {
		t.Fatal(err)
	}
}

// verifierFunc is a Verifier for what the emulator cannot show: time.
type verifierFunc func(context.Context, question.Question) (verify.Verdict, error)

func (f verifierFunc) Verify(ctx context.Context, q question.Question) (verify.Verdict, error) {
	return f(ctx, q)
}

// verified is a verifierFunc's yes, asked for now.
func verified() verify.Verdict {
	return verify.Verdict{Code: verify.Verified, AskedAt: time.Now()}
}
