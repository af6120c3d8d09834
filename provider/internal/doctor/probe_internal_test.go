// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// An image that the constraint does not check, or exempts, would be admitted
// rightly, and the probe would cry wolf.
func TestTheProbesImageIsCheckedAndNotExempt(t *testing.T) {
	t.Parallel()
	list := func(s ...any) []any { return s }
	for _, tc := range []struct {
		name   string
		images []any
		exempt []any
		want   string // the name; empty if there is none
	}{
		{name: "all images", want: "registry.invalid/endor-doctor/probe"},
		{name: "a prefix", images: list("ghcr.io/acme/*"), want: "ghcr.io/acme/endor-doctor/probe"},
		{name: "one image", images: list("ghcr.io/acme/api"), want: "ghcr.io/acme/api"},
		{name: "one image with any tag", images: list("ghcr.io/acme/api:*"), want: "ghcr.io/acme/api"},
		{name: "one image with any digest", images: list("ghcr.io/acme/api@sha256:*"), want: "ghcr.io/acme/api"},
		{name: "one of Docker Hub", images: list("nginx"), want: "docker.io/library/nginx"},
		{name: "the first is exempt", images: list("ghcr.io/acme/*", "quay.io/acme/*"), exempt: list("ghcr.io/*"), want: "quay.io/acme/endor-doctor/probe"},
		{name: "a name of ours is exempt", exempt: list("registry.invalid/*"), want: "endor-doctor.invalid/probe"},
		{name: "others are exempt", exempt: list("docker.io/istio/proxyv2:*", "ghcr.io/other/*"), want: "registry.invalid/endor-doctor/probe"},
		{name: "the official ones are exempt", images: list("nginx"), exempt: list("docker.io/library/*")},
		{name: "it is exempt in another spelling", images: list("ghcr.io/acme/*"), exempt: list("GHCR.IO:443/acme/*")},
		{name: "it is exempt by its name", images: list("ghcr.io/acme/api"), exempt: list("ghcr.io/acme/api@*")},
		{name: "what cannot be read may be an exemption", exempt: list("a b/*")},
		{name: "what cannot be read is no scope", images: list("a b/*")},
	} {
		parameters := map[string]any{}
		if tc.images != nil {
			parameters["images"] = tc.images
		}
		if tc.exempt != nil {
			parameters["exemptImages"] = tc.exempt
		}
		c := constraint{Unstructured: &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"parameters": parameters}}}}
		image, _ := unsigned([]constraint{c})
		name, digest, _ := strings.Cut(image, "@sha256:")
		if name != tc.want || tc.want != "" && len(digest) != 64 {
			t.Errorf("%s: %q, want %q with a digest", tc.name, image, tc.want)
		}
	}
}
