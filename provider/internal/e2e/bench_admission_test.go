// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

const (
	admissionClients = 8
	admissionTime    = time.Second // that each side has in a turn
	admissionLatency = 20 * time.Millisecond
)

// BenchmarkAdmission has clients create Pods of three images, in a dry run: in a
// namespace that no constraint matches, in one with a constraint of an empty
// template, and in one with the policy, warm (Gatekeeper remembers all answers)
// and cold (nobody was asked about any of the images, and Endor Labs takes 20 ms
// for each). All sides have their turns in one run, with as many serving threads
// as Gatekeeper has by default and with those that deploy/gatekeeper recommends.
// The aim is that warm Pods come at 0.85 of the rate of those that no constraint
// matches.
//
// So that the threads are compared and not the limit on calls of Endor Labs, the
// provider has none.
func BenchmarkAdmission(b *testing.B) {
	flags(b, "--endor-api="+vouch(b), "--upstream-qps=1000000")
	for _, namespace := range []string{"bench-none", "bench-empty", "bench-policy"} {
		if _, err := cluster.Kubectl(b.Context(), "create", "namespace", namespace); err != nil {
			b.Fatal(err)
		}
	}
	enforceForBench(b)
	if err := cluster.Audit.Stop(); err != nil { // it would do its work in between
		b.Fatal(err)
	}
	args := cluster.Gatekeeper.Args
	b.Cleanup(func() {
		cluster.Gatekeeper.Args = args
		ctx := context.WithoutCancel(b.Context())
		for _, start := range []func(context.Context) error{cluster.Gatekeeper.Restart, cluster.Audit.Start} {
			if err := start(ctx); err != nil {
				b.Error(err)
			}
		}
	})

	known := []string{fresh(), fresh(), fresh()}
	warm := func() []string { return known }
	sides := []struct {
		name, namespace string
		next            func() []string
	}{
		{"none", "bench-none", warm},
		{"empty", "bench-empty", warm},
		{"warm", "bench-policy", warm},
		{"cold", "bench-policy", func() []string { return []string{fresh(), fresh(), fresh()} }},
	}
	got := map[string]*admissions{}
	for b.Loop() {
		for _, threads := range []string{"-1", "64"} {
			cluster.Gatekeeper.Args = slices.Concat(args, []string{"--max-serving-threads=" + threads})
			if err := cluster.Gatekeeper.Restart(b.Context()); err != nil {
				b.Fatal(err)
			}
			for turn := range 3 {
				for _, side := range sides {
					key := side.name + map[string]string{"64": "-64"}[threads]
					if got[key] == nil {
						got[key] = &admissions{}
					}
					a := admit(b, side.namespace, side.next)
					if turn > 0 { // the first is for everything to get warm
						got[key].add(a)
					}
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for key, a := range got {
		a.report(b, key)
		name, threads, _ := strings.Cut(key, "-")
		if name == "none" {
			continue
		}
		none := got[strings.TrimSuffix("none-"+threads, "-")]
		b.ReportMetric(none.ratio(a), key+"-of-none")
	}
}

// admissions are Pods that were admitted, and at which rate in each turn.
type admissions struct {
	times times
	rates []float64
}

// admit has clients create Pods for a turn, all of which must be admitted.
func admit(b *testing.B, namespace string, next func() []string) admissions {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), admissionTime)
	defer cancel()
	start := time.Now()
	tries := crowd(ctx, cluster, namespace, admissionClients, next)
	took := time.Since(start)
	var a admissions
	for _, pod := range tries {
		if pod.err != nil {
			b.Fatalf("a Pod in %s is refused: %v", namespace, pod.err)
		}
		a.times = append(a.times, pod.took)
	}
	a.rates = []float64{float64(len(tries)) / took.Seconds()}
	return a
}

func (a *admissions) add(other admissions) {
	a.times = append(a.times, other.times...)
	a.rates = append(a.rates, other.rates...)
}

// ratio is the median, over all turns, of the rate of other as a part of a's.
func (a *admissions) ratio(other *admissions) float64 {
	ratios := make([]float64, len(a.rates))
	for i := range ratios {
		ratios[i] = other.rates[i] / a.rates[i]
	}
	return median(ratios)
}

func (a *admissions) report(b *testing.B, who string) {
	b.Helper()
	b.ReportMetric(median(slices.Clone(a.rates)), who+"-Pods/s")
	b.ReportMetric(milliseconds(a.times.at(.5)), who+"-p50-ms")
	b.ReportMetric(milliseconds(a.times.at(.9)), who+"-p90-ms")
	b.ReportMetric(milliseconds(a.times.at(.99)), who+"-p99-ms")
	b.ReportMetric(milliseconds(a.times.at(1)), who+"-max-ms")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// enforceForBench makes the constraints of the namespaces, until the benchmark
// ends.
func enforceForBench(b *testing.B) {
	b.Helper()
	const template = `
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: nothing}
spec:
  crd: {spec: {names: {kind: Nothing}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      code:
        - engine: Rego
          source:
            version: v1
            rego: |
              package nothing

              violation contains {"msg": ""} if false
`
	b.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(b.Context()), "delete", "constrainttemplate/nothing", "k8sendorsignedimages/bench-policy"); err != nil {
			b.Error(err)
		}
	})
	if err := cluster.Apply(b.Context(), template); err != nil {
		b.Fatal(err)
	}
	if err := cluster.WaitForTemplates(b.Context()); err != nil {
		b.Fatal(err)
	}
	err := cluster.Apply(b.Context(), `
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: Nothing
metadata: {name: bench-empty}
spec:
  match: {namespaces: [bench-empty], kinds: [{apiGroups: [""], kinds: [Pod]}]}
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sEndorSignedImages
metadata: {name: bench-policy}
spec:
  match: {namespaces: [bench-policy], kinds: [{apiGroups: [""], kinds: [Pod]}]}
  parameters:
    namespace: acme
    signers: [{sourceRepository: acme/api, sourceRepositoryRef: refs/heads/main}]
    exemptImages: ["registry.k8s.io/pause:*", docker.io/istio/*]
`)
	if err != nil {
		b.Fatal(err)
	}
	if err := cluster.WaitForConstraint(b.Context(), "bench-policy"); err != nil {
		b.Fatal(err)
	}
}

// vouch serves [endortest.Vouch] and gives its URL. Tokens are the emulator's.
func vouch(b *testing.B) string {
	b.Helper()
	emulator, err := url.Parse(cluster.EmulatorURL)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(endortest.Vouch(httputil.NewSingleHostReverseProxy(emulator),
		endortest.GitHubClaims("acme", "api", "refs/heads/main"), admissionLatency))
	b.Cleanup(server.Close)
	return server.URL
}
