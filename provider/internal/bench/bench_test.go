// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package bench measures the provider, where it makes sense beside a handler
// that does nothing.
//
// Both sides of a comparison are measured in turns within one run, and what
// counts is their ratio: machines differ, and are not quiet. Run it with
// "make bench". "make bench-check" is a short form that fails, "make
// performance" writes what was measured into docs/performance.md.
//
// A benchmark reports its figures as metrics, those of requests as
// WHO-p50-ms, WHO-p90-ms, WHO-p99-ms, WHO-max-ms and WHO-req/s, where WHO is
// whoever answered them and in which state.
package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/decisionlog"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/externaldata"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/linequeue"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// upstreamLatency is how long the emulator takes for an answer.
const upstreamLatency = 50 * time.Millisecond

var claims = endortest.GitHubClaims("acme", "api", "refs/heads/main")

func image(n int) string { return fmt.Sprintf("ghcr.io/acme/api@sha256:%064x", n) }

// key is what the shipped policy sends for one signer.
func key(n int) string {
	return "image=" + url.QueryEscape(image(n)) + "&namespace=acme&source_repository=acme%2Fapi"
}

// body is a request about the images from first on.
func body(tb testing.TB, first, keys int) []byte {
	tb.Helper()
	list := make([]string, keys)
	for i := range list {
		list[i] = key(first + i)
	}
	raw, err := json.Marshal(wire.NewProviderRequest(list))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// signed is an emulator that has signed n images.
func signed(tb testing.TB, n int) *endortest.Server {
	tb.Helper()
	emulator := endortest.Start(tb, endortest.Config{})
	for i := range n {
		if err := emulator.Sign(endortest.Signing{Image: image(i), Claims: claims}); err != nil {
			tb.Fatal(err)
		}
	}
	return emulator
}

// asked is how many calls an emulator has had, those that met a fault included.
func asked(emulator *endortest.Server) int { return emulator.Counters().Requests["operations"] }

func inject(tb testing.TB, emulator *endortest.Server, faults ...endortest.Fault) {
	tb.Helper()
	if err := emulator.Inject(faults...); err != nil {
		tb.Fatal(err)
	}
}

// slow makes an emulator take [upstreamLatency] for each answer.
func slow(tb testing.TB, emulator *endortest.Server) {
	tb.Helper()
	inject(tb, emulator, endortest.Fault{Kind: endortest.FaultLatency, Delay: upstreamLatency})
}

// sink takes the log, so that making its lines is measured too.
type sink struct{}

func (sink) Write(b []byte) (int, error) { return len(b), nil }

// newProvider puts the handler together as the program does. adjust may be nil.
func newProvider(tb testing.TB, emulator *endortest.Server, adjust func(*endor.Config, *verify.Config)) http.Handler {
	tb.Helper()
	reg := prometheus.NewRegistry()
	up := endor.Config{
		BaseURL: emulator.URL, Credentials: endor.Credentials{Key: emulator.APIKey, Secret: emulator.APISecret}, Registerer: reg,
	}
	in := verify.Config{
		Resolver: verify.Resolver{Namespace: emulator.Namespace}, Cache: verify.CacheConfig{TTL: time.Hour}, Registerer: reg,
	}
	if adjust != nil {
		adjust(&up, &in)
	}
	client, err := endor.New(up)
	if err != nil {
		tb.Fatal(err)
	}
	decisions := decisionlog.New(decisionlog.Config{Out: sink{}, Registerer: reg})
	in.Observe = decisions.Observe
	desk, err := verify.New(verify.NewEndor(client, nil), in)
	if err != nil {
		tb.Fatal(err)
	}
	lines := linequeue.New(linequeue.Config{Out: sink{}})
	tb.Cleanup(func() {
		desk.Close()
		client.Close()
		if err := errors.Join(decisions.Close(), lines.Close()); err != nil {
			tb.Error(err)
		}
	})
	return externaldata.NewHandler(externaldata.Config{
		Answerer:   desk,
		Log:        slog.New(slog.NewJSONHandler(lines, nil)),
		Registerer: reg,
	})
}

// noWork speaks the same JSON and decides nothing. What it says of each key is
// of the size of the real thing.
func noWork() http.HandlerFunc {
	said := struct {
		Verified  bool             `json:"verified"`
		Code      string           `json:"code"`
		Image     string           `json:"image"`
		Digest    string           `json:"digest"`
		Namespace string           `json:"namespace"`
		Signer    endortest.Claims `json:"signer"`
		SignedAt  time.Time        `json:"signed_at"`
		Stale     bool             `json:"stale"`
	}{
		Verified: true, Code: "VERIFIED", Image: "ghcr.io/acme/api", Digest: image(0)[17:], Namespace: "acme", Signer: claims, SignedAt: time.Now(),
	}
	return func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var req wire.ProviderRequest
		if err := json.Unmarshal(raw, &req); err != nil {
			return
		}
		resp := wire.ProviderResponse{APIVersion: "externaldata.gatekeeper.sh/v1beta1", Kind: wire.ProviderResponseKind}
		for _, k := range req.Request.Keys {
			resp.Response.Items = append(resp.Response.Items, wire.Item{Key: k, Value: said})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(resp)
	}
}
