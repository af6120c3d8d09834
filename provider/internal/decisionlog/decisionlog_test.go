// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/decisionlog"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/logtest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// The golden file is what docs/decision-log.md describes.
func TestLines(t *testing.T) {
	t.Parallel()
	traced := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 1}}))
	out := &logtest.Log{}
	log := decisionlog.New(decisionlog.Config{Out: out, Now: func() time.Time { return noon }})
	for _, a := range []*verify.Answer{
		about(t, func(*verify.Answer) {}),
		about(t, func(a *verify.Answer) {
			a.Verdict = verify.Verdict{Code: verify.WrongSigner, Result: "CLAIMS_MISMATCH"}
			a.Phases.Token = time.Second
		}),
		about(t, func(a *verify.Answer) { a.Source, a.Verdict.Stale = verify.FromStale, true }),
		about(t, func(a *verify.Answer) {
			a.Verdict, a.Background = verify.Verdict{Code: verify.Revoked, Result: "REVOKED_SIGNATURE"}, true
		}),
		about(t, func(a *verify.Answer) {
			a.Verdict = verify.Verdict{Code: verify.UnrecognizedResult, Result: "<script>\n"}
		}),
		about(t, func(a *verify.Answer) {
			a.Verdict, a.Source = verify.Verdict{}, ""
			a.Undecided = &verify.Undecided{Code: verify.Unavailable, Cause: verify.CauseBudget, Err: errors.New("words of others")}
		}),
		{Key: "ghcr.io/acme/api:v1\u202e\n", Verdict: verify.Verdict{Code: verify.NoDigest}, Source: verify.FromKey},
		{Key: strings.Repeat("x", 9000), Verdict: verify.Verdict{Code: verify.BadKey}, Source: verify.FromKey},
	} {
		log.Observe(traced, a)
	}
	log.Observe(t.Context(), about(t, func(*verify.Answer) {}))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "lines.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("lines (-want +got), which -update rewrites:\n%s", diff)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\n\r\u202e") {
			t.Errorf("%q is no line of JSON", line)
		}
	}
}

func TestTheDocumentDescribesEveryFieldAndNoOther(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile(filepath.Join("testdata", "lines.golden"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "decision-log.md"))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{}
	for line := range bytes.Lines(golden) {
		var values map[string]any
		if err := json.Unmarshal(line, &values); err != nil {
			t.Fatal(err)
		}
		for field := range values {
			fields[field] = true
		}
	}
	described := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(document, -1) {
		described[string(row[1])] = true
	}
	if diff := cmp.Diff(fields, described); diff != "" {
		t.Errorf("fields of lines and of docs/decision-log.md (-lines +document):\n%s", diff)
	}
	if first, _, _ := bytes.Cut(golden, []byte("\n")); !bytes.Contains(document, first) {
		t.Errorf("the example in docs/decision-log.md is not the first line:\n%s", first)
	}
}

func TestHitsAreSampled(t *testing.T) {
	t.Parallel()
	const hits = 1000
	for _, tc := range []struct {
		sample      float64
		least, most int
	}{{0, 0, 0}, {1, 2 * hits, 2 * hits}, {0.25, 300, 700}} {
		out := &logtest.Log{}
		log := decisionlog.New(decisionlog.Config{Out: out, Sample: tc.sample})
		for range hits {
			log.Observe(t.Context(), hit(t, verify.FromMemory))
			log.Observe(t.Context(), hit(t, verify.FromRedis))
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if got := out.Count("\n"); got < tc.least || got > tc.most {
			t.Errorf("of %d hits %d are written with a sample of %v, want %d to %d", 2*hits, got, tc.sample, tc.least, tc.most)
		}
	}
}

func TestAPipeThatNobodyReadsDelaysNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		out := logtest.NewPipe()
		log := decisionlog.New(decisionlog.Config{Out: out, Registerer: reg})
		start := time.Now()
		for range 10_000 {
			log.Observe(t.Context(), about(t, func(*verify.Answer) {}))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("10,000 answers waited %v", took)
		}
		if got := counted(t, reg, "dropped"); got < 5000 || got > 6000 {
			t.Errorf("%d of 10,000 lines are counted as dropped, want those that the queue does not hold", got)
		}
		if err := log.Close(); err == nil || time.Since(start) != time.Second {
			t.Errorf("Close = %v after %v, want an error after a second", err, time.Since(start))
		}
		log.Observe(t.Context(), about(t, func(*verify.Answer) {})) // an answer that is late harms nobody
		out.Read()
		synctest.Wait()
	})
}

func TestAFullDiskIsSaidOnceAndCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	var said bytes.Buffer
	out := &logtest.FullDisk{Failing: 3}
	log := decisionlog.New(decisionlog.Config{Out: out, Registerer: reg, Log: slog.New(slog.NewTextHandler(&said, nil))})
	for range 5 {
		log.Observe(t.Context(), about(t, func(*verify.Answer) {}))
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(said.String(), "no space left"); got != 1 {
		t.Errorf("it is said %d times, want once:\n%s", got, &said)
	}
	if got := strings.Count(said.String(), "left_out=3"); got != 1 {
		t.Errorf("it is said %d times that 3 lines are left out, want once:\n%s", got, &said)
	}
	if failed, written := counted(t, reg, "error"), counted(t, reg, "written"); failed != 3 || written != 2 || out.Count("\n") != 2 {
		t.Errorf("%d failed, %d were written and %d are there; want 3, 2 and 2", failed, written, out.Count("\n"))
	}
}

// Keys that name no image are as large as a request may be.
func TestHugeKeysDoNotFillTheMemoryWhileNobodyTakesLines(t *testing.T) {
	out := logtest.NewPipe()
	log := decisionlog.New(decisionlog.Config{Out: out})
	before := heap()
	for i := range 100 {
		log.Observe(t.Context(), &verify.Answer{
			Key: fmt.Sprintf("%d %s", i, strings.Repeat("x", 1<<20)), Verdict: verify.Verdict{Code: verify.BadKey}, Source: verify.FromKey,
		})
	}
	if grew := heap() - before; grew > 16<<20 {
		t.Errorf("100 lines about keys of 1 MiB hold %d MiB", grew>>20)
	}
	out.Read()
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// heap is what lives on it.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
