// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/klog/v2"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/logtest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// A container runtime that is stuck reads nothing. That costs lines, and neither
// answers nor the end of the program.
func TestALogThatNobodyReadsStopsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, decisions string
		lost            []string // of which logs
	}{
		{"the program's", "off", []string{"log_lines_total"}},
		{"with decisions in it", "stderr", []string{"log_lines_total", "decision_log_lines_total"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.client.Timeout = time.Minute // no answer takes so long unless there is none
			w.start(t, func(cfg *testbed.Config) {
				cfg.Deaf = true
				cfg.Args = []string{"--decision-log=" + tc.decisions, "--log-level=debug", "--drain-delay=3s"}
			})
			for i := range 2000 {
				// Each is a line of its own, about which nobody is asked.
				if _, err := post(w.client, w.running.URL, []string{"ghcr.io/acme/api:v1", "ghcr.io/acme/api:v2", "ghcr.io/acme/api:v3"}); err != nil {
					t.Fatalf("request %d: %v", i, err)
				}
			}
			for _, lost := range tc.lost {
				if n := count(w.families(t)[metricPrefix+lost], "dropped"); n == 0 {
					t.Errorf("no lines are counted in %s as dropped, but nobody takes them", lost)
				}
			}
			if err := w.running.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			await(t, func() bool {
				status, reasons, err := get(w.running.OpsURL + "/readyz")
				return err == nil && status == http.StatusServiceUnavailable && strings.Contains(reasons, "DRAINING")
			})
			if err := w.running.Wait(); err != nil {
				t.Errorf("the program ended with %v", err)
			}
		})
	}
}

// The lines before a gap, the gap, and the lines after it are all of one form.
func TestTheLogSaysHowManyLinesItLacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stderr := logtest.NewPipe()
		p := newProvider(&config.Serve{LogFormat: config.JSON}, stderr)
		for range 10_000 {
			p.log.LogAttrs(t.Context(), slog.LevelInfo, "answered")
		}
		stderr.Read()
		synctest.Wait()
		p.log.LogAttrs(t.Context(), slog.LevelInfo, "after")
		p.closeLog()
		lines := strings.SplitAfter(stderr.String(), "\n")
		for _, line := range lines[:len(lines)-1] {
			if !json.Valid([]byte(line)) {
				t.Fatalf("%q is no JSON", line)
			}
		}
		written := stderr.Count(`"answered"`)
		if lacks := fmt.Sprintf(`"level":"WARN","msg":"the log lacks lines","left_out":%d}`, 10_000-written); stderr.Count(lacks) != 1 {
			t.Errorf("of 10,000 lines %d are written, and the log does not say %s once:\n%s", written, lacks, strings.Join(lines[len(lines)-4:], ""))
		}
		if !strings.Contains(lines[len(lines)-2], `"after"`) {
			t.Errorf("the last line is %s", lines[len(lines)-2])
		}
	})
}

// What is wrong with the settings is said before the program ends, but nobody has
// to read it.
func TestTheProgramEndsThoughNobodyReadsWhatIsWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stderr := logtest.NewPipe()
		start := time.Now()
		if status := run(t.Context(), []string{"nonsense"}, func(string) string { return "" }, io.Discard, stderr); status != 2 {
			t.Errorf("it ended with status %d", status)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it ended after %v", took)
		}
		stderr.Read()
		synctest.Wait()
		if !strings.HasSuffix(stderr.String(), "for the flags.\n") {
			t.Errorf("what was wrong is not said to whoever reads it in the end:\n%s", stderr)
		}
	})
}

// They would wait for stderr by themselves.
func TestWhatLibrariesLogIsOfTheLog(t *testing.T) {
	before, flags := slog.Default(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(os.Stderr)
		log.SetFlags(flags)
		klog.ClearLogger()
	})
	var out logtest.Log
	takeLibraries(slog.New(slog.NewJSONHandler(&out, nil)))
	log.Print("Unsolicited response received on idle HTTP channel")
	klog.Warning("a warning of the API server")
	for _, text := range []string{`"msg":"Unsolicited response received on idle HTTP channel"`, `"msg":"a warning of the API server"`} {
		if out.Count(text) != 1 {
			t.Errorf("the log does not hold %s:\n%s", text, &out)
		}
	}
}

// count is how many lines came to a result.
func count(lines *dto.MetricFamily, result string) float64 {
	for _, m := range lines.GetMetric() {
		if m.GetLabel()[0].GetValue() == result {
			return m.GetCounter().GetValue()
		}
	}
	return 0
}
