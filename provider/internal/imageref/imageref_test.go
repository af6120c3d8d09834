// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package imageref_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
)

var sum = "sha256:" + strings.Repeat("1a2b", 16)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in, wantName string
		wantErr            error
	}{
		{name: "a registry, a path, a digest", in: "ghcr.io/acme/api@" + sum, wantName: "ghcr.io/acme/api"},
		{name: "a tag beside the digest is no part of the name", in: "ghcr.io/acme/api:v1@" + sum, wantName: "ghcr.io/acme/api"},
		{name: "a port is part of the name", in: "localhost:5000/api:v1@" + sum, wantName: "localhost:5000/api"},
		{name: "a short name stays as written", in: "nginx@" + sum, wantName: "nginx"},
		{name: "an alias of Docker Hub stays as written", in: "index.docker.io/library/nginx@" + sum, wantName: "index.docker.io/library/nginx"},
		{name: "an IPv6 registry", in: "[::1]:5000/api@" + sum, wantName: "[::1]:5000/api"},

		{name: "a tag alone", in: "ghcr.io/acme/api:v1", wantErr: imageref.ErrNoDigest},
		{name: "a bare name", in: "nginx", wantErr: imageref.ErrNoDigest},
		{name: "empty", in: "", wantErr: imageref.ErrSyntax},
		{name: "an upper-case domain pulls what its lower-case twin pulls", in: "GHCR.IO/acme/api@" + sum, wantErr: imageref.ErrSyntax},
		{name: "an upper-case path", in: "ghcr.io/Acme/api@" + sum, wantErr: imageref.ErrSyntax},
		{name: "an upper-case digest", in: "ghcr.io/acme/api@" + strings.ToUpper(sum), wantErr: imageref.ErrSyntax},
		{name: "an upper-case digest after sha256", in: "ghcr.io/acme/api@sha256:" + strings.Repeat("1A2B", 16), wantErr: imageref.ErrSyntax},
		{name: "sha512", in: "ghcr.io/acme/api@sha512:" + strings.Repeat("1a2b", 32), wantErr: imageref.ErrSyntax},
		{name: "a digest one digit short", in: "ghcr.io/acme/api@" + sum[:len(sum)-1], wantErr: imageref.ErrSyntax},
		{name: "a digest one digit long", in: "ghcr.io/acme/api@" + sum + "0", wantErr: imageref.ErrSyntax},
		{name: "two digests", in: "ghcr.io/acme/api@" + sum + "@" + sum, wantErr: imageref.ErrSyntax},
		{name: "a line break at the end", in: "ghcr.io/acme/api@" + sum + "\n", wantErr: imageref.ErrSyntax},
		{name: "a space in front", in: " ghcr.io/acme/api@" + sum, wantErr: imageref.ErrSyntax},
		{name: "a control character", in: "ghcr.io/acme/a\x7fpi@" + sum, wantErr: imageref.ErrSyntax},
		{name: "an injected parameter", in: "ghcr.io/acme/api@" + sum + "&namespace=evil", wantErr: imageref.ErrSyntax},
		{name: "a scheme", in: "https://ghcr.io/acme/api@" + sum, wantErr: imageref.ErrSyntax},
		{name: "a name of 5,000 bytes", in: "ghcr.io/" + strings.Repeat("a", 5000) + "@" + sum, wantErr: imageref.ErrSyntax},
		{name: "a bare digest, which runtimes read as an image id", in: sum, wantErr: imageref.ErrSyntax},
		{name: "a short image id", in: "sha256:1a2b", wantErr: imageref.ErrSyntax},
		{name: "an image id with a digest", in: "sha256:1a2b@" + sum, wantErr: imageref.ErrSyntax},
		{name: "64 hex digits, which runtimes read as an image id", in: strings.Repeat("1a2b", 16), wantErr: imageref.ErrSyntax},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := imageref.Parse(tc.in)
			if !errors.Is(err, tc.wantErr) {
				t.Fatalf("Parse(%q) error = %v, want %v", tc.in, err, tc.wantErr)
			}
			if tc.wantErr != nil {
				t.Logf("Got expected error: %v", err)
				if got != (imageref.Ref{}) {
					t.Errorf("Parse(%q) = %v beside an error, want the zero Ref", tc.in, got)
				}
				return
			}
			if got.Name() != tc.wantName || got.Digest() != sum || got.String() != tc.in || got.Artifact() != tc.wantName+"@"+sum {
				t.Errorf("Parse(%q) = name %q, digest %q, string %q, artifact %q", tc.in, got.Name(), got.Digest(), got, got.Artifact())
			}
		})
	}
}

func TestNaming(t *testing.T) {
	t.Parallel()
	rewrites := func(t *testing.T, ss ...string) (out []imageref.Rewrite) {
		t.Helper()
		for _, s := range ss {
			rw, err := imageref.ParseRewrite(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, rw)
		}
		return out
	}
	for _, tc := range []struct {
		name      string
		canonical bool
		rewrites  []string
		in, want  string
	}{
		{name: "as written, the tag is dropped", in: "nginx:1", want: "nginx"},
		{name: "canonical adds registry and library", canonical: true, in: "nginx", want: "docker.io/library/nginx"},
		{name: "canonical maps the alias", canonical: true, in: "index.docker.io/acme/api", want: "docker.io/acme/api"},
		{name: "canonical leaves others", canonical: true, in: "ghcr.io/acme/api", want: "ghcr.io/acme/api"},
		{name: "a mirror", rewrites: []string{"mirror.local/ghcr/=ghcr.io/"}, in: "mirror.local/ghcr/acme/api", want: "ghcr.io/acme/api"},
		{name: "the longest wins whatever the order", rewrites: []string{"m.local/=docker.io/", "m.local/ghcr/=ghcr.io/"}, in: "m.local/ghcr/a/b", want: "ghcr.io/a/b"},
		{name: "once only", rewrites: []string{"a.io/=b.io/", "b.io/=c.io/"}, in: "a.io/x", want: "b.io/x"},
		{name: "whole segments only", rewrites: []string{"mirror.local/=ghcr.io/"}, in: "mirror.local.evil.io/acme/api", want: "mirror.local.evil.io/acme/api"},
		{name: "canonical comes first", canonical: true, rewrites: []string{"docker.io/library/=ghcr.io/acme/"}, in: "nginx", want: "ghcr.io/acme/nginx"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ref, err := imageref.Parse(tc.in + "@" + sum)
			if err != nil {
				t.Fatal(err)
			}
			got, err := imageref.Naming{Canonical: tc.canonical, Rewrites: rewrites(t, tc.rewrites...)}.Resolve(ref)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tc.want+"@"+sum {
				t.Errorf("Resolve(%v) = %v, want %s@…", ref, got, tc.want)
			}
		})
	}
}

func TestNamingRefusesARewriteThatMakesNoName(t *testing.T) {
	t.Parallel()
	ref, err := imageref.Parse("m.local/" + strings.Repeat("a", 250) + "@" + sum)
	if err != nil {
		t.Fatal(err)
	}
	_, err = imageref.Naming{Rewrites: []imageref.Rewrite{{From: "m.local/", To: "ghcr.io/a-long-prefix/"}}}.Resolve(ref)
	if !errors.Is(err, imageref.ErrSyntax) {
		t.Errorf("Resolve to a path of over 255 bytes: error = %v, want ErrSyntax", err)
	}
}

func TestParseRewriteRefusesWhatCouldMatchPartOfASegment(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a.io/", "a.io=b.io/", "a.io/=b.io", "=/", "/=/", "A.io/=b.io/", "a b/=c/", "a.io/x:v1/=b.io/"} {
		if rw, err := imageref.ParseRewrite(s); err == nil {
			t.Errorf("ParseRewrite(%q) = %+v, want an error", s, rw)
		}
	}
}

func TestRefInJSONIsOneString(t *testing.T) {
	t.Parallel()
	ref, err := imageref.Parse("nginx:1@" + sum)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(ref)
	if err != nil || string(got) != `"nginx:1@`+sum+`"` {
		t.Errorf("json.Marshal = %s, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ghcr.io/acme/api:v1@" + sum, "nginx@" + sum, "[::1]:5000/a@" + sum, "A.b/c@" + sum, "x\x7f@" + sum, ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := imageref.Parse(s)
		if err != nil {
			if ref != (imageref.Ref{}) {
				t.Fatalf("Parse(%q) = %v beside an error", s, ref)
			}
			return
		}
		if ref.String() != s {
			t.Fatalf("Parse(%q).String() = %q", s, ref)
		}
		if again, err := imageref.Parse(ref.Artifact()); err != nil || again.Name() != ref.Name() || again.Digest() != ref.Digest() {
			t.Fatalf("Parse(%q) = %v, %v: the artifact names another image", ref.Artifact(), again, err)
		}
		kubelet, err := reference.ParseDockerRef(s)
		if err != nil {
			t.Fatalf("the kubelet refuses %q: %v", s, err)
		}
		canonical, err := imageref.Naming{Canonical: true}.Resolve(ref)
		if err != nil || canonical.String() != kubelet.String() {
			t.Fatalf("Resolve(%q) = %v, %v; the kubelet pulls %v", s, canonical, err, kubelet)
		}
	})
}

func ExampleParse() {
	ref, err := imageref.Parse("ghcr.io/acme/api:v1@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
	fmt.Println(ref.Name(), err)
	_, err = imageref.Parse("ghcr.io/acme/api:v1")
	fmt.Println(errors.Is(err, imageref.ErrNoDigest))
	// Output:
	// ghcr.io/acme/api <nil>
	// true
}
