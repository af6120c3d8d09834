// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What is between the two is written by this program.
const (
	begin = "<!-- measured: begin -->\n"
	end   = "<!-- measured: end -->\n"
)

// fill gives the page with what was measured in its place.
func fill(page []byte, m *measures) ([]byte, error) {
	before, rest, found := bytes.Cut(page, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return nil, fmt.Errorf("it lacks the lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(begin)
	writeMachine(&out, m)
	writeAims(&out, m)
	writeTimes(&out, m)
	writeBursts(&out, m)
	writeMemory(&out, m)
	writeKeys(&out, m)
	writePolicy(&out, m)
	writeAdmission(&out, m)
	writePlugin(&out, m)
	out.WriteString(end)
	out.Write(after)
	return out.Bytes(), nil
}

func writeMachine(out *bytes.Buffer, m *measures) {
	fmt.Fprintf(out, "Measured on %s/%s with %s, %s cores (%s)", m.config["goos"], m.config["goarch"], m.config["go"], m.config["cores"], m.config["cpu"])
	// The first files did not say when they were made.
	if when := m.config["measured"]; when != "" {
		fmt.Fprintf(out, ", on %s", when)
	}
	fmt.Fprintln(out, ".")
}

// aim is what a figure should be.
type aim struct {
	what            string
	benchmark, unit string
	bound           float64
	atLeast         bool   // the bound is the least, not the most
	of              string // what the figure counts
}

var aims = []aim{
	{"Warm: requests a second, of those of the no-work handler", "Warm", "throughput-of-nowork", 0.9, true, ""},
	{"Warm: p99, of that of the no-work handler", "Warm", "p99-of-nowork", 1.2, false, ""},
	{"A batch of 16 new images (median)", "ColdBatch", "round-trips", 1.2, false, " round trips"},
	{"50 requests at once for one new image", "Crowd", "calls/crowd", 1, false, " calls"},
	{"100,000 cached verdicts", "Memory/images=100000", "rss-MiB", 100, false, " MiB resident"},
	{"1,000 requests at once, Endor Labs hangs: slowest answer", "Hang", "over-budget-ms", 50, false, " ms past the budget"},
	{"The same once degraded: p99", "Hang", "degraded-p99-ms", 150, false, " ms"},
	{"64 at a time once degraded: p99", "Hang", "degraded-64-p99-ms", 150, false, " ms"},
	{"Start to ready (slowest)", "Start", "ready-max-ms", 300, false, " ms"},
	{"Pods through a cluster, warm, 64 serving threads: of those without a constraint", "Admission", "warm-64-of-none", 0.85, true, ""},
	{"kubectl endor verify, 320 new images: time, of one round trip for each 32 and one more", "Verify", "of-aim", 1, false, ""},
	{"kubectl endor report, 10,000 Pods: Pods a second, of those of an empty template", "Report", "report/empty", 0.4, true, ""},
	{"The same with 1,000 new images", "Report", "calls", 1000, false, " calls"},
	{"The same, by the program", "ReportMemory", "peak-MiB", 300, false, " MiB"},
}

func writeAims(out *bytes.Buffer, m *measures) {
	table(out, "What | Aim | Measured | ", ":-- | --: | --: | :--")
	for _, a := range aims {
		got, ok := m.get(a.benchmark, a.unit)
		sign, miss := "≤", got-a.bound
		if a.atLeast {
			sign, miss = "≥", a.bound-got
		}
		verdict := "met"
		if miss > 0 {
			verdict = "**missed by " + number(miss) + "**"
		}
		measured := number(got) + a.of
		if !ok {
			measured, verdict = "not measured", ""
		}
		row(out, a.what, sign+" "+number(a.bound)+a.of, measured, verdict)
	}
}

// side is one of those whose requests a benchmark timed.
type side struct {
	what           string
	benchmark, who string
	calls          string // unit of the calls of Endor Labs; empty if none are possible
}

var sides = []side{
	{"Warm, 4 images a request, 10 connections: provider", "Warm", "provider", "calls/request"},
	{"– the same: no-work handler", "Warm", "nowork", ""},
	{"Warm by Redis, 4 images a request, 10 connections: provider", "RedisWarm", "provider", "calls/request"},
	{"– the same: no-work handler", "RedisWarm", "nowork", ""},
	{"Cold, 16 images a request, 1 connection", "ColdBatch", "batch", "calls/batch"},
	{"Crowd, 50 connections, 1 image", "Crowd", "request", "calls/crowd"},
	{"Burst, 100 Pods of the same 10 images: first try", "Burst/alike", "first-try", "calls"},
	{"Burst, 100 Pods of 10 images of their own: first try", "Burst/distinct", "first-try", "calls"},
	{"Hang, 1,000 at once: provider, at first", "Hang", "hung", "calls"},
	{"– the same, once degraded", "Hang", "degraded", ""},
	{"– the same: no-work handler", "Hang", "nowork", ""},
	{"Hang, 64 connections: provider, degraded", "Hang", "degraded-64", ""},
	{"– the same: no-work handler", "Hang", "nowork-64", ""},
	{"Start to ready", "Start", "ready", ""},
}

func writeTimes(out *bytes.Buffer, m *measures) {
	table(out, "What | Requests/s | p50 ms | p90 ms | p99 ms | max ms | Calls of Endor Labs", ":-- | --: | --: | --: | --: | --: | --:")
	for _, s := range sides {
		cell := func(unit string) string { return m.cell(s.benchmark, s.who+unit) }
		calls := "–"
		if v, ok := m.get(s.benchmark, s.calls); ok {
			calls = number(v)
			if _, each, found := strings.Cut(s.calls, "/"); found {
				calls += " a " + each
			}
		}
		row(out, s.what, cell("-req/s"), cell("-p50-ms"), cell("-p90-ms"), cell("-p99-ms"), cell("-max-ms"), calls)
	}
}

func writeBursts(out *bytes.Buffer, m *measures) {
	table(out, "Burst of 100 Pods | Images | Admitted at the first try | All admitted after s | At best s", ":-- | --: | --: | --: | --:")
	for _, b := range []struct{ what, benchmark string }{
		{"of the same 10 images", "Burst/alike"}, {"of 10 images of their own", "Burst/distinct"},
	} {
		cell := func(unit string) string { return m.cell(b.benchmark, unit) }
		row(out, b.what, cell("images"), cell("pods-at-first-try"), cell("s-until-all-admitted"), cell("s-at-best"))
	}
}

var imageCounts = []int{1_000, 10_000, 100_000, 1_000_000}

func memory(images int) string { return fmt.Sprintf("Memory/images=%d", images) }

func writeMemory(out *bytes.Buffer, m *measures) {
	table(out, "Distinct images asked about | Verdicts kept | Resident MiB | Peak MiB", "--: | --: | --: | --:")
	for _, n := range imageCounts {
		row(out, thousands(float64(n)), m.cell(memory(n), "verdicts-kept"), m.cell(memory(n), "rss-MiB"), m.cell(memory(n), "peak-MiB"))
	}
}

func writeKeys(out *bytes.Buffer, m *measures) {
	table(out, "One warm key, without a network | Time µs | Allocations | Bytes | A request of 4: µs | Allocations", ":-- | --: | --: | --: | --: | --:")
	for _, side := range []struct{ what, name string }{{"provider", "WarmKey/provider"}, {"no-work handler", "WarmKey/nowork"}} {
		cell := func(unit string) string { return m.cell(side.name, unit) }
		row(out, side.what, cell("us/key"), cell("allocs/key"), cell("B/key"), cell("us/request-of-4"), cell("allocs/request-of-4"))
	}
}

func writePolicy(out *bytes.Buffer, m *measures) {
	table(out, "Images of a Pod, in Gatekeeper's engine | The policy ms | An empty template ms | Ratio", "--: | --: | --: | --:")
	for _, n := range []int{1, 3, 16, 64, 256, 10_000} {
		benchmark := fmt.Sprintf("Review/images=%d", n)
		row(out, thousands(float64(n)), m.cell(benchmark, "policy-ms"), m.cell(benchmark, "empty-ms"), m.cell(benchmark, "policy/empty"))
	}
}

func writeAdmission(out *bytes.Buffer, m *measures) {
	table(out, "Pods of 3 images through a cluster, 8 clients | Serving threads | Pods/s | Of no constraint | p50 ms | p90 ms | p99 ms | max ms",
		":-- | --: | --: | --: | --: | --: | --: | --:")
	for _, threads := range []struct{ what, suffix string }{{"one each core (default)", ""}, {"64", "-64"}} {
		for _, side := range []struct{ what, who string }{
			{"no constraint matches", "none"}, {"a constraint of an empty template", "empty"}, {"the policy, warm", "warm"}, {"the policy, cold", "cold"},
		} {
			who := side.who + threads.suffix
			cell := func(unit string) string { return m.cell("Admission", who+unit) }
			part := "–"
			if side.who != "none" {
				part = cell("-of-none")
			}
			row(out, side.what, threads.what, cell("-Pods/s"), part, cell("-p50-ms"), cell("-p90-ms"), cell("-p99-ms"), cell("-max-ms"))
		}
	}
}

func writePlugin(out *bytes.Buffer, m *measures) {
	table(out, "10,000 Pods of 10 images, 1,000 distinct | Pods/s", ":-- | --:")
	for _, side := range []struct{ what, unit string }{
		{"kubectl endor report, nothing known yet", "report-new-images-pods/s"},
		{"kubectl endor report, all images known", "report-known-images-pods/s"},
		{"the same engine with an empty template", "empty-template-pods/s"},
	} {
		row(out, side.what, m.cell("Report", side.unit))
	}
	fmt.Fprintln(out)
}

func (m *measures) cell(benchmark, unit string) string {
	if v, ok := m.get(benchmark, unit); ok {
		return number(v)
	}
	return "not measured"
}

func table(out *bytes.Buffer, header, rule string) {
	fmt.Fprintf(out, "\n| %s |\n| %s |\n", header, rule)
}

func row(out *bytes.Buffer, cells ...string) {
	fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
}

// number prints three digits that count.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	if math.Abs(v) >= 100 {
		return thousands(v)
	}
	digits := max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0)
	s := strconv.FormatFloat(v, 'f', min(digits, 3), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// thousands prints a whole number with commas.
func thousands(v float64) string {
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
