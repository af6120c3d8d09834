// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"pgregory.net/rapid"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// anyJSON generates every shape that JSON allows, with the words of an answer in it.
func anyJSON(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.SampledFrom([]any{
			nil, true, false, 0.0, 1.0, -1e300, "", "true", "VERIFIED", "NOT_SIGNED: no", "UNAVAILABLE: no", "MISCONFIGURED: no", "sha256:00",
			"\u0000\u007f\u2028", `{"verified":true}`, "image=x",
		}),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Float64Range(-1e9, 1e9), func(f float64) any { return f }),
	)
	if depth == 0 {
		return scalar
	}
	inner := anyJSON(depth - 1)
	name := rapid.OneOf(rapid.SampledFrom([]string{"verified", "code", "digest", "stale", "signed_at", "key", "value", "error", "items", "VERIFIED"}), rapid.String())
	return rapid.OneOf(
		scalar,
		rapid.Map(rapid.SliceOfN(inner, 0, 3), func(list []any) any { return list }),
		rapid.Map(rapid.MapOfN(name, inner, 0, 4), func(object map[string]any) any { return object }),
	)
}

// maybe draws good in most cases, else any JSON, else nothing.
func maybe(t *rapid.T, into map[string]any, name string, good any) {
	switch n := rapid.IntRange(0, 19).Draw(t, "about "+name); {
	case n < 17:
		into[name] = good
	case n < 19:
		into[name] = anyJSON(2).Draw(t, name)
	}
}

// answers generates the items about some keys: most of them nearly right.
func answers(t *rapid.T, keys []string) []any {
	var items []any
	for _, key := range keys {
		for range rapid.SampledFrom([]int{0, 1, 1, 1, 1, 1, 1, 2, 3}).Draw(t, "items") {
			if rapid.IntRange(0, 9).Draw(t, "odd item") == 0 {
				items = append(items, anyJSON(2).Draw(t, "item"))
				continue
			}
			good := vouched(imageOf(key))
			value := map[string]any{}
			for _, name := range []string{"verified", "code", "digest", "stale"} {
				maybe(t, value, name, good[name])
			}
			item := map[string]any{}
			maybe(t, item, "value", value)
			item["key"] = key
			switch rapid.IntRange(0, 19).Draw(t, "odd key or error") {
			case 0:
				item["key"] = rapid.SampledFrom(append(keys, "image=x", "")).Draw(t, "key")
			case 1:
				item["error"] = anyJSON(0).Draw(t, "error")
			case 2:
				delete(item, "key")
				item["KEY"] = key // Go reads it all the same
			}
			items = append(items, item)
		}
	}
	return items
}

// proofs reads an answer as Gatekeeper does and gives the images that it
// proves by the rule that the policy has to keep, written down again: a value
// with verified true, code VERIFIED and the image's digest, and nothing under
// the same key that says otherwise.
func proofs(body []byte, keys []string) map[string]bool {
	proven := map[string]bool{}
	var answer wire.ProviderResponse
	if err := json.Unmarshal(body, &answer); err != nil {
		return proven
	}
	for _, key := range keys {
		image := imageOf(key)
		said := slices.DeleteFunc(slices.Clone(answer.Response.Items), func(i wire.Item) bool { return i.Key != key })
		for _, item := range said {
			value, _ := item.Value.(map[string]any)
			if value["verified"] == true && value["code"] == "VERIFIED" && value["digest"] == vouched(image)["digest"] {
				proven[image] = true
			}
		}
		for _, item := range said {
			if item.Error != "" || mustJSON(item.Value) != mustJSON(said[0].Value) {
				delete(proven, image)
			}
		}
	}
	return proven
}

// Whatever the provider puts on the wire, an object is admitted only if each of
// its images is proven, and each image that is not has its refusal.
func TestOnlyProofAdmitsOverTheWire(t *testing.T) {
	// What the server does next; a nil pointer would be a call too many.
	var next atomic.Pointer[answerer]
	server := newTLSServer(t, answerer(func(keys []string) (int, string) { return (*next.Load())(keys) }), nil)
	court := newCourt(t, 0, []engine.Provider{{Name: "scripted", URL: server.URL, CABundle: stage.Certificates.ServerCA.CertPEM(), Timeout: 30}})
	given := with(strict(), "provider", "scripted")

	var admitted, refused int
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			var images []any
			for i := range rapid.IntRange(1, 6).Draw(rt, "images") {
				images = append(images, ref(fmt.Sprintf("ghcr.io/acme/any-%d", i)))
			}
			var proven map[string]bool
			play := answerer(func(keys []string) (int, string) {
				response := map[string]any{"idempotent": true}
				maybe(rt, response, "items", answers(rt, keys))
				if rapid.IntRange(0, 3).Draw(rt, "system error") == 0 {
					response["systemError"] = anyJSON(0).Draw(rt, "text")
				}
				document := map[string]any{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderResponse"}
				document["response"] = response
				if rapid.IntRange(0, 29).Draw(rt, "odd response") == 0 {
					document["response"] = anyJSON(3).Draw(rt, "response")
				}
				body := mustJSON(document)
				proven = proofs([]byte(body), keys)
				return rapid.SampledFrom([]int{200, 200, 200, 400, 500, 503}).Draw(rt, "status"), body
			})
			next.Store(&play)
			got := court.judge(t, given, false, create(pod(images...)))
			for i, image := range images {
				name := fmt.Sprintf("c%d", i)
				denied := slices.ContainsFunc(got, func(r string) bool { return strings.HasSuffix(r, fmt.Sprintf(" container %q", name)) })
				if denied == proven[image.(string)] {
					rt.Fatalf("%s is refused: %v, proven: %v (all refusals: %v)", image, denied, proven[image.(string)], got)
				}
			}
			if len(got) == 0 {
				admitted++
			} else {
				refused++
			}
		}
	})
	t.Logf("%d objects admitted, %d refused", admitted, refused)
	if admitted == 0 || refused == 0 {
		t.Error("the generated answers do not reach both sides")
	}
}
