// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package policytest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
)

// reading is what the policy makes of an image and of patterns. Each is a list
// of one, or of none where Rego is undefined.
type reading struct {
	Ref []struct {
		Repository, Tag, Digest string

		Lower bool
	}
	Patterns []string // those that the policy takes
	Exempt   []bool
	InScope  []bool
}

const readingQuery = `{
	"ref": [r | r := data.lib.reference.parse({input.image})[input.image]],
	"patterns": [p | some p in input.patterns; data.lib.reference.patterns(input.patterns)[p]],
	"exempt": [true | some _ in data.lib.reference.exempt(data.lib.reference.exemptions(input.patterns), data.lib.reference.parse({input.image}))],
	"inScope": [true | some _ in data.lib.reference.in_scope(data.lib.reference.scope(input.patterns), data.lib.reference.parse({input.image}))],
}`

// kubelet is an image as the kubelet and container runtimes read it, in one
// spelling for what they pull from the same place.
type kubelet struct{ repository, tag, digest string }

func (k kubelet) String() string {
	s := k.repository
	if k.tag != "" {
		s += ":" + k.tag
	}
	if k.digest != "" {
		s += "@" + k.digest
	}
	return s
}

var (
	portOfHTTPS = regexp.MustCompile(`:0*443$`)

	// Docker Hub answers under these names, and has no repository without an
	// owner, so that library/ behind any of them is the only one there is.
	dockerHub = []string{"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)

// asKubelet reads an image with the parser of the kubelet and of containerd's
// CRI plugin; ok is false for what they refuse to pull.
func asKubelet(image string) (k kubelet, ok bool) {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return kubelet{}, false
	}
	domain := portOfHTTPS.ReplaceAllString(strings.ToLower(reference.Domain(named)), "")
	path := reference.Path(named)
	if slices.Contains(dockerHub, domain) {
		domain = "docker.io"
		if !strings.Contains(path, "/") {
			path = "library/" + path
		}
	}
	// What has no domain there, such as foo__bar.com/x, a runtime still splits
	// at its first slash.
	if domain == "" {
		k.repository = path
	} else {
		k.repository = domain + "/" + path
	}
	if digested, ok := named.(reference.Digested); ok {
		k.digest = string(digested.Digest())
	}
	// The tag matters only where there is no digest, and then "latest" may be
	// one that ParseDockerRef has added.
	if original, err := reference.ParseNormalizedNamed(image); err == nil {
		if tagged, ok := original.(reference.Tagged); ok {
			k.tag = tagged.Tag()
		}
	}
	return k, true
}

// covers says by the kubelet's reading alone whether a pattern may exempt an
// image: it is another implementation of the rule in the README.
func covers(pattern string, image kubelet) bool {
	withoutTag := image
	withoutTag.tag = ""
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	if !isPrefix {
		p, ok := asKubelet(pattern)
		return ok && (p == image || image.digest != "" && p == withoutTag)
	}
	ending := map[byte]string{'/': "a/a", ':': "a", '@': "sha256:" + strings.Repeat("0", 64)}[prefix[len(prefix)-1]]
	if strings.HasSuffix(prefix, "@sha256:") {
		ending = strings.Repeat("0", 64)
	}
	p, ok := asKubelet(prefix + ending)
	if !ok {
		return false
	}
	start := strings.TrimSuffix(p.String(), ending)
	return strings.HasPrefix(image.String(), start) || image.digest != "" && strings.HasPrefix(withoutTag.String(), start)
}

// inRepository says by the kubelet's reading alone whether an image belongs to
// a scope.
func inRepository(pattern string, image kubelet) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/*"); ok {
		p, ok := asKubelet(prefix + "/a/a")
		return ok && strings.HasPrefix(image.repository, strings.TrimSuffix(p.repository, "a/a"))
	}
	p, ok := asKubelet(strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(pattern, "*"), "sha256:"), ":@"))
	return ok && p.repository == image.repository
}

// oftenOf draws a good part four times out of five.
func oftenOf(good, bad []string) *rapid.Generator[string] {
	g := rapid.SampledFrom(good)
	return rapid.OneOf(g, g, g, g, rapid.SampledFrom(bad))
}

// references generates strings that are image references or nearly so, of the
// parts on which parsers are known to differ.
func references() *rapid.Generator[string] {
	host := oftenOf([]string{
		"", "ghcr.io/", "GHCR.IO/", "ghcr.io:443/", "ghcr.io:0443/", "ghcr.io:8443/", "docker.io/", "Docker.io/", "docker.io:443/",
		"index.docker.io/", "INDEX.docker.io/", "registry-1.docker.io/", "registry.hub.docker.com/", "localhost/", "LOCALHOST/", "localhost:5000/",
		"10.0.0.1/", "[::1]/", "[::1]:443/", "[2001:DB8::1]:5000/", "library/", "registry:5000/", "registry:443/", "xn--e1afmkfd.io/", "a.b/", "REGISTRY/",
	}, []string{
		"ghcr.io./", "localhost:/", "foo__bar.com/", "foo_bar.com/", "foo--bar.com/", "foo-bar/", "a..b/", "-a.io/", "a-.io/", "[::1/", "user@ghcr.io/",
		"ghcr.io:/", "ghcr.io:99999/", ":443/", "localhost.localdomain/", "a.b_c/", "1.2.3.4_5/",
	})
	path := rapid.OneOf(
		oftenOf([]string{
			"acme/api", "acme/api", "acme-evil/api", "api", "library/api", "acme/api/deep", "nginx", "a", "acme/a__b", "acme/a---b", "ghcr.io/acme/api",
			"localhost/api", "docker.io/api", "library/library/api", "a.b/c", "ghcr.io", "localhost", "library",
		}, []string{
			"Acme/api", "acme//api", "acme/../api", "acme/a___b", "acme/a.-b", "acme/-a", "acme/a-", "", "/",
			strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 248), "library/" + strings.Repeat("a", 247), strings.Repeat("f", 64),
		}),
		rapid.StringMatching(`[a-c]([._/-]?[a-c]){1,4}`),
	)
	tag := oftenOf([]string{"", "", ":v1", ":443", ":V1.2_3-rc", ":" + strings.Repeat("t", 128)}, []string{":", ":-a", ":v1:v2", ":v1/x", ":" + strings.Repeat("t", 129)})
	sum := oftenOf([]string{"", "@" + digest}, []string{
		"@" + strings.ToUpper(digest), "@" + digest + "0", "@" + digest[:70], "@sha512:" + strings.Repeat("0", 128),
		"@sha384:" + strings.Repeat("0", 96), "@", "@" + digest + ":v1", "@" + digest + "@" + digest, "@md5:" + strings.Repeat("0", 32),
	})
	noise := oftenOf([]string{"", "", ""}, []string{"", "", "", " ", "\n", "\x7f", "\u2028", "\u0130", "\u212a", "?", "#", "%"})
	return rapid.Custom(func(t *rapid.T) string {
		return noise.Draw(t, "before") + host.Draw(t, "host") + path.Draw(t, "path") + tag.Draw(t, "tag") + sum.Draw(t, "digest") + noise.Draw(t, "behind")
	})
}

// What the policy calls exempt, or out of scope, is so for the kubelet too, and
// what it asks the provider about is the image that the kubelet pulls. The other
// way round they may differ: what the policy does not read it refuses.
func TestThePolicyReadsImagesAsTheKubeletDoes(t *testing.T) {
	t.Parallel()
	policy, err := NewPolicy(t.Context(), readingQuery)
	if err != nil {
		t.Fatal(err)
	}
	ending := rapid.SampledFrom([]string{"", "/*", "/*", ":*", "@*", "@sha256:*", "*"})
	pattern := rapid.Custom(func(t *rapid.T) string { return references().Draw(t, "pattern") + ending.Draw(t, "ending") })
	var read, exempt, outside, asked int
	rapid.Check(t, func(rt *rapid.T) {
		for range 20 {
			image := references().Draw(rt, "image")
			// A beginning of the image, or matches are too rare.
			ends := []int{len(image)}
			for i, c := range image {
				if strings.ContainsRune("/:@", c) {
					ends = append(ends, i)
				}
			}
			nearby := rapid.Custom(func(t *rapid.T) string {
				return image[:rapid.SampledFrom(ends).Draw(t, "end")] + ending.Draw(t, "ending")
			})
			patterns := rapid.SliceOfN(rapid.OneOf(pattern, nearby), 1, 3).Draw(rt, "patterns")
			var got reading
			if err := policy.Eval(t.Context(), map[string]any{"image": image, "patterns": patterns}, nil, &got); err != nil {
				rt.Fatal(err)
			}
			if len(got.Ref) == 0 {
				if len(got.Exempt)+len(got.InScope) > 0 {
					rt.Fatalf("%q is not read, but exempt or in scope", image)
				}
				continue
			}
			ref := got.Ref[0]
			k, pulled := asKubelet(image)
			if !pulled {
				continue // whatever the policy thinks of it, it does not run
			}
			read++
			if want := (kubelet{ref.Repository, ref.Tag, ref.Digest}); want != k {
				rt.Fatalf("%q is %+v to the policy, and %+v to the kubelet", image, want, k)
			}
			if len(got.Exempt) > 0 {
				exempt++
				if !slices.ContainsFunc(got.Patterns, func(p string) bool { return covers(p, k) }) {
					rt.Fatalf("%q is exempt by %q, but not for the kubelet, which pulls %s", image, patterns, k)
				}
			}
			if len(got.InScope) == 0 {
				outside++
				if i := slices.IndexFunc(got.Patterns, func(p string) bool { return inRepository(p, k) }); i >= 0 {
					rt.Fatalf("%q is not in scope of %q, but the kubelet pulls %s", image, got.Patterns[i], k)
				}
			}
			if ref.Digest == "" || !ref.Lower {
				continue
			}
			// The image that the provider answers for is the one that is pulled.
			asked++
			r, err := imageref.Parse(image)
			if err != nil {
				continue // an error of this image, which refuses it
			}
			if r.Digest() != k.digest || r.Digest() != ref.Digest {
				rt.Fatalf("%q has the digest %s to the provider, %s to the kubelet and %s to the policy", image, r.Digest(), k.digest, ref.Digest)
			}
			signedFor, ok := asKubelet(r.Artifact())
			if !ok || signedFor.repository != k.repository {
				rt.Fatalf("%q is verified as %s, but %s is pulled", image, r.Artifact(), k)
			}
		}
	})
	t.Logf("read %d, exempt %d, out of scope %d, asked about %d", read, exempt, outside, asked)
	if read == 0 || exempt == 0 || outside == 0 || asked == 0 {
		t.Error("the generated images reach nothing that is tested")
	}
}

// A host that distribution/reference takes for a path, while a runtime asks it.
func TestAHostWithUnderscoresIsNobodysImage(t *testing.T) {
	t.Parallel()
	policy, err := NewPolicy(t.Context(), readingQuery)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"foo__bar.com/x@" + digest, "foo_bar.com/acme/x@" + digest, "docker_hub.io/library/x@" + digest} {
		named, err := reference.ParseDockerRef(image)
		if err != nil || reference.Domain(named) != "" {
			t.Errorf("%q has the domain %q by the kubelet's parser, %v: the premise of this test is gone", image, named, err)
		}
		var got reading
		err = policy.Eval(t.Context(), map[string]any{"image": image, "patterns": []string{"docker.io/*", "foo__bar.com/*", image}}, nil, &got)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Ref)+len(got.Exempt)+len(got.InScope) > 0 || len(got.Patterns) != 1 {
			t.Errorf("%q is read as %+v", image, got)
		}
	}
}
