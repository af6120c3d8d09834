// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package policytest

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var line = regexp.MustCompile(`^\[[A-Z_]+\] [ -~]+$`)

func pod(images ...string) map[string]any {
	var containers []any
	for i, image := range images {
		containers = append(containers, map[string]any{"name": fmt.Sprintf("c%d", i), "image": image})
	}
	return map[string]any{
		"operation": "CREATE",
		"kind":      map[string]any{"group": "", "version": "v1", "kind": "Pod"},
		"object":    map[string]any{"spec": map[string]any{"containers": containers}},
	}
}

func anySigner() map[string]any { return map[string]any{"anySigner": true} }

// nearly generates any JSON, and often something close to an answer.
func nearly() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any](false), rapid.Just[any](0.0),
		rapid.SampledFrom([]any{"", "VERIFIED", "true", digest, "NOT_SIGNED: no", "UNAVAILABLE: no", "sha256:00"}),
		rapid.Custom(func(t *rapid.T) any { return hostile().Draw(t, "text") }),
	)
	field := func(good any) *rapid.Generator[any] { return rapid.OneOf(rapid.Just(good), rapid.Just(good), scalar) }
	value := rapid.Custom(func(t *rapid.T) any {
		v := map[string]any{}
		for name, good := range map[string]any{"verified": true, "code": "VERIFIED", "digest": digest, "stale": false} {
			if rapid.IntRange(0, 5).Draw(t, "has "+name) > 0 {
				v[name] = field(good).Draw(t, name)
			}
		}
		return v
	})
	return rapid.OneOf(value, value, value, scalar, rapid.Custom(func(t *rapid.T) any {
		return rapid.SliceOfN(scalar, 0, 3).Draw(t, "list")
	}))
}

// vouches is the rule that the policy has to keep, written down again.
func vouches(v any) bool {
	m, ok := v.(map[string]any)
	return ok && m["verified"] == true && m["code"] == "VERIFIED" && m["digest"] == digest
}

// Whatever Gatekeeper and the provider answer, an object is admitted only if
// each of its images has one value that vouches for it, and no error; and each
// image without has its line.
func TestOnlyProofAdmits(t *testing.T) {
	t.Parallel()
	policy, err := NewPolicy(t.Context(), "data.k8sendorsignedimages.violation")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		images := rapid.SliceOfN(rapid.SampledFrom([]string{"ghcr.io/a/a@" + digest, "ghcr.io/b/b@" + digest, "x@" + digest}), 1, 3).Draw(rt, "images")
		proofs := map[string][]any{}
		refused := map[string]bool{}
		answer := func(_ string, keys []string) any {
			pairs := func(name string, value *rapid.Generator[any], note func(string, any)) any {
				list := []any{}
				for range rapid.IntRange(0, 4).Draw(rt, name) {
					key := rapid.SampledFrom(append([]string{"image=other"}, keys...)).Draw(rt, "key")
					v := value.Draw(rt, "value")
					note(key, v)
					list = append(list, []any{key, v})
				}
				return rapid.OneOf(rapid.Just[any](list), rapid.Just[any](list), rapid.Just[any](append(list, nil, []any{}, "x"))).Draw(rt, name)
			}
			responses := pairs("responses", nearly(), func(key string, v any) { proofs[key] = append(proofs[key], v) })
			errors := any([]any{})
			if rapid.IntRange(0, 3).Draw(rt, "has errors") == 0 {
				errors = pairs("errors", nearly(), func(key string, _ any) { refused[key] = true })
			}
			return map[string]any{"responses": responses, "errors": errors, "status_code": 200, "system_error": nearly().Draw(rt, "system error")}
		}
		var got []Violation
		if err := policy.Eval(t.Context(), map[string]any{"review": pod(images...), "parameters": anySigner()}, answer, &got); err != nil {
			rt.Fatal(err)
		}
		for i, image := range images {
			key := "image=" + url.QueryEscape(image)
			values := proofs[key]
			proven := len(values) > 0 && !refused[key] && vouches(values[0]) &&
				!slices.ContainsFunc(values, func(v any) bool { return fmt.Sprint(v) != fmt.Sprint(values[0]) })
			name := fmt.Sprintf("c%d", i)
			denied := slices.ContainsFunc(got, func(v Violation) bool { return v.Details.Container == name })
			if denied == proven {
				rt.Fatalf("%s %s: refused is %v, proven is %v by %v", name, image, denied, proven, values)
			}
		}
		for _, v := range got {
			if len(v.Msg) > 200 || !line.MatchString(v.Msg) {
				rt.Fatalf("%q is no message", v.Msg)
			}
		}
	})
}

// Whatever stands for an image in a manifest, the policy asks in ASCII about
// what it can read, and refuses the rest in a sound line.
func TestHostileImages(t *testing.T) {
	t.Parallel()
	policy, err := NewPolicy(t.Context(), "data.k8sendorsignedimages.violation")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		evil := "ghcr.io/acme/unsigned@" + digest
		image := rapid.OneOf(
			hostile(),
			rapid.Custom(func(t *rapid.T) string { return hostile().Draw(t, "front") + evil }),
			rapid.Custom(func(t *rapid.T) string { return evil + hostile().Draw(t, "end") }),
		).Draw(rt, "image")
		asked := false
		answer := func(_ string, keys []string) any {
			asked = slices.Contains(keys, "image="+url.QueryEscape(evil))
			for _, key := range keys {
				if !regexp.MustCompile(`^[!-~]+$`).MatchString(key) {
					rt.Fatalf("the key %q is not ASCII", key)
				}
			}
			return map[string]any{"responses": []any{}, "errors": []any{}, "status_code": 200, "system_error": ""}
		}
		var got []Violation
		if err := policy.Eval(t.Context(), map[string]any{"review": pod(image, evil), "parameters": anySigner()}, answer, &got); err != nil {
			rt.Fatal(err)
		}
		if !asked {
			rt.Fatalf("%q hides the question about another image", image)
		}
		if len(got) != 2 {
			rt.Fatalf("%d refusals, want 2: %v", len(got), got)
		}
		for _, v := range got {
			if len(v.Msg) > 200 || !line.MatchString(v.Msg) {
				rt.Fatalf("%q is no message", v.Msg)
			}
		}
	})
}
