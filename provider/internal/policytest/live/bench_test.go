// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// What the policy costs in Gatekeeper's engine, with every answer remembered
// there, so that neither network nor provider count. Each figure stands beside
// that of an empty template, which is what Gatekeeper itself takes for such an
// object, measured in turns in the same run: machines differ. They are not quiet
// either, so the fastest of the runs counts.
//
//	go test -tags grpcnotrace -run '^$' -bench . ./provider/internal/policytest/live

// scales hold the policy and the empty template in one engine. One of them at a
// time has a constraint.
type scales struct {
	*court
	nothing *unstructured.Unstructured
}

func newScales(b *testing.B) scales {
	b.Helper()
	server := newTLSServer(b, answerer(playScript), nil)
	s := scales{court: newCourt(b, 24*time.Hour, []engine.Provider{
		{Name: "scripted", URL: server.URL, CABundle: stage.Certificates.ServerCA.CertPEM(), Timeout: 30},
	})}
	template := asStored(b, map[string]any{
		"apiVersion": "templates.gatekeeper.sh/v1",
		"kind":       "ConstraintTemplate",
		"metadata":   map[string]any{"name": "nothing"},
		"spec": map[string]any{
			"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": "Nothing"}}},
			"targets": []any{map[string]any{
				"target": "admission.k8s.gatekeeper.sh",
				"code": []any{map[string]any{"engine": "Rego", "source": map[string]any{
					"version": "v1", "rego": "package nothing\n\nviolation contains {\"msg\": \"\"} if false\n",
				}}},
			}},
		},
	})
	if err := s.engine.AddTemplate(b.Context(), template); err != nil {
		b.Fatal(err)
	}
	s.nothing = asStored(b, map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Nothing", "metadata": map[string]any{"name": "nothing"}, "spec": map[string]any{},
	})
	return s
}

// usual are the parameters that are weighed.
func usual() map[string]any {
	return with(strict(), "provider", "scripted", "exemptImages", []any{"registry.k8s.io/pause:*", "docker.io/istio/*"})
}

// weigh times one review by the policy and one by the empty template.
func (s scales) weigh(b *testing.B, object *unstructured.Unstructured, refusals int) (policy, empty time.Duration) {
	b.Helper()
	s.enact(b, usual(), false)
	policy = s.time(b, object, refusals)
	if err := s.engine.RemoveConstraint(b.Context(), s.constraint); err != nil {
		b.Fatal(err)
	}
	s.constraint = nil
	if err := s.engine.AddConstraint(b.Context(), s.nothing); err != nil {
		b.Fatal(err)
	}
	empty = s.time(b, object, 0)
	if err := s.engine.RemoveConstraint(b.Context(), s.nothing); err != nil {
		b.Fatal(err)
	}
	return policy, empty
}

func (s scales) time(b *testing.B, object *unstructured.Unstructured, refusals int) time.Duration {
	b.Helper()
	start := time.Now()
	violations, err := s.engine.Review(b.Context(), create(object))
	took := time.Since(start)
	if err != nil {
		b.Fatal(err)
	}
	if len(violations) != refusals {
		b.Fatalf("%d refusals, want %d", len(violations), refusals)
	}
	return took
}

// crowded is a Pod of distinct images that are vouched for.
func crowded(count int) *unstructured.Unstructured {
	images := make([]any, count)
	for i := range images {
		images[i] = ref(fmt.Sprintf("ghcr.io/acme/crowd-%d", i))
	}
	return pod(images...)
}

func BenchmarkReview(b *testing.B) {
	s := newScales(b)
	for _, tc := range []struct{ images, refusals int }{{images: 1}, {images: 3}, {images: 16}, {images: 64}, {images: 256}, {images: 10_000, refusals: 1}} {
		b.Run(fmt.Sprintf("images=%d", tc.images), func(b *testing.B) {
			object := crowded(tc.images)
			s.weigh(b, object, tc.refusals) // so that all answers are remembered
			var policy, empty []time.Duration
			for b.Loop() {
				p, e := s.weigh(b, object, tc.refusals)
				policy, empty = append(policy, p), append(empty, e)
			}
			p, e := slices.Min(policy), slices.Min(empty)
			b.ReportMetric(0, "ns/op") // both sides and what is between them
			b.ReportMetric(float64(p.Nanoseconds())/1e6, "policy-ms")
			b.ReportMetric(float64(e.Nanoseconds())/1e6, "empty-ms")
			b.ReportMetric(float64(p)/float64(e), "policy/empty")
		})
	}
}

// BenchmarkGrowth fits a power of the number of images, from 16 to 256, to what
// the policy takes: 1 is linear, and less means that what each review costs
// anyway still counts.
func BenchmarkGrowth(b *testing.B) {
	s := newScales(b)
	counts := []int{16, 32, 64, 128, 256}
	objects := make([]*unstructured.Unstructured, len(counts))
	for i, count := range counts {
		objects[i] = crowded(count)
		s.weigh(b, objects[i], 0)
	}
	policy, empty := make([][]time.Duration, len(counts)), make([][]time.Duration, len(counts))
	for b.Loop() {
		for i := range counts {
			p, e := s.weigh(b, objects[i], 0)
			policy[i], empty[i] = append(policy[i], p), append(empty[i], e)
		}
	}
	var p, e []float64
	for i := range counts {
		p, e = append(p, float64(slices.Min(policy[i]))), append(e, float64(slices.Min(empty[i])))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(exponent(counts, p), "policy-exponent")
	b.ReportMetric(exponent(counts, e), "empty-exponent")
}

// exponent is the slope of the line through the logarithms, by least squares.
func exponent(counts []int, times []float64) float64 {
	var sx, sy, sxx, sxy float64
	for i := range counts {
		x, y := math.Log(float64(counts[i])), math.Log(times[i])
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	n := float64(len(counts))
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
