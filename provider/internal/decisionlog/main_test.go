// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog_test

import (
	"flag"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 31, 12, 0, 0, 123456789, time.UTC)

const image = "ghcr.io/acme/api@sha256:1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b"

// about is an answer about image.
func about(t *testing.T, change func(*verify.Answer)) *verify.Answer {
	t.Helper()
	q, err := question.Parse(image)
	if err == nil {
		q, err = verify.Resolver{Namespace: "acme.prod"}.Resolve(q)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := &verify.Answer{
		Key: image, Question: q, Verdict: verify.Verdict{Code: verify.Verified, Result: "SUCCESS"}, Source: verify.FromUpstream,
		Phases: verify.Phases{Queue: 2 * time.Millisecond, Upstream: 50 * time.Millisecond, Total: 52 * time.Millisecond},
	}
	change(a)
	return a
}

// hit is an answer from a cache.
func hit(t *testing.T, source verify.Source) *verify.Answer {
	t.Helper()
	return about(t, func(a *verify.Answer) { a.Source = source })
}

// counted is how many lines came to result.
func counted(t *testing.T, reg *prometheus.Registry, result string) int {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == result {
			return int(m.GetCounter().GetValue())
		}
	}
	t.Fatalf("nobody counts what is %s", result)
	return 0
}
