// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// ownImages are images of the provider, from the refs of its repository that they
// were signed for.
var ownImages = map[string]string{
	"ghcr.io/endorlabs/endor-gatekeeper-provider":      "refs/tags/v1.2.3",
	"ghcr.io/endorlabs/endor-gatekeeper-provider-main": "refs/heads/main",
}

// ownSignatures are what the release workflow's signatures say.
func ownSignatures() string {
	var b strings.Builder
	for repository, signedFor := range ownImages {
		fmt.Fprintf(&b, `
- image: %s
  claims:
    certificateOidcIssuer: https://token.actions.githubusercontent.com
    certificateIdentity: repo:endorlabs/endor-gatekeeper-provider:ref:%s
    sourceRepository: endorlabs/endor-gatekeeper-provider
    sourceRepositoryOwner: endorlabs
    sourceRepositoryRef: %[2]s
    buildConfigName: Release
    runnerEnvironment: github-hosted
`, ref(repository), signedFor)
	}
	return b.String()
}

// What a release signs passes the constraint that is shown for it, and what does
// not is only told: denied, the provider could not be started again.
func TestTheProviderPassesItsOwnPolicy(t *testing.T) {
	e, err := stage.Engine(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.AddTemplate(t.Context(), readObject(t, filepath.Join(root, "policies", "library", "k8sendorsignedimages", "template.yaml"))); err != nil {
		t.Fatal(err)
	}
	if err := e.AddConstraint(t.Context(), readObject(t, filepath.Join(root, "examples", "self", "constraint.yaml"))); err != nil {
		t.Fatal(err)
	}
	released := ref("ghcr.io/endorlabs/endor-gatekeeper-provider")
	for _, tc := range []struct{ name, namespace, image, want string }{
		{"released", "endor-gatekeeper-provider", released, ""},
		{"released, with its tag", "endor-gatekeeper-provider", strings.Replace(released, "@", ":1.2.3@", 1), ""},
		{"of a branch", "endor-gatekeeper-provider", ref("ghcr.io/endorlabs/endor-gatekeeper-provider-main"), "WRONG_SIGNER"},
		{"of nobody", "endor-gatekeeper-provider", ref("ghcr.io/mallory/endor-gatekeeper-provider"), "NOT_SIGNED"},
		{"of nobody, elsewhere", "production", ref("ghcr.io/mallory/endor-gatekeeper-provider"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			violations, err := e.Review(t.Context(), engine.Request{Object: podIn(tc.namespace, tc.image)})
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, v := range violations {
				codes = append(codes, fmt.Sprint(v.Details["code"]))
				if v.EnforcementAction != "dryrun" {
					t.Errorf("the constraint would %s", v.EnforcementAction)
				}
			}
			if got := strings.Join(codes, " "); got != tc.want {
				t.Errorf("refused as %q, want %q", got, tc.want)
			}
		})
	}
}

func podIn(namespace, image string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata":   map[string]any{"name": "provider", "namespace": namespace},
		"spec":       map[string]any{"containers": []any{map[string]any{"name": "provider", "image": image}}},
	}}
}
