// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package policytest

import (
	"fmt"
	"testing"
)

// BenchmarkReview is what the policy costs for a Pod whose images are all
// vouched for at once, without a network.
func BenchmarkReview(b *testing.B) {
	policy, err := NewPolicy(b.Context(), "data.k8sendorsignedimages.violation")
	if err != nil {
		b.Fatal(err)
	}
	vouch := func(_ string, keys []string) any {
		responses := make([]any, len(keys))
		for i, key := range keys {
			responses[i] = []any{key, map[string]any{"verified": true, "code": "VERIFIED", "digest": digest, "stale": false}}
		}
		return map[string]any{"responses": responses, "errors": []any{}, "status_code": 200, "system_error": ""}
	}
	parameters := map[string]any{"namespace": "acme", "signers": []any{map[string]any{"sourceRepository": "acme/*"}}}
	for _, count := range []int{1, 3, 16, 64, 256, 10_000} {
		images := make([]string, count)
		for i := range images {
			images[i] = fmt.Sprintf("ghcr.io/acme/api-%d@%s", i, digest)
		}
		input := map[string]any{"review": pod(images...), "parameters": parameters}
		b.Run(fmt.Sprintf("images=%d", count), func(b *testing.B) {
			for b.Loop() {
				var got []Violation
				if err := policy.Eval(b.Context(), input, vouch, &got); err != nil {
					b.Fatal(err)
				}
				if refused := len(got) > 0; refused != (count > 256) {
					b.Fatalf("got %v", got)
				}
			}
		})
	}
}
