// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
)

// panel is a panel of the dashboard, of which a row holds some side by side.
type panel struct {
	title string
	tells string // what it means, and when to worry
	unit  string // of Grafana
	kind  string // timeseries, stat or state-timeline
	show  []query
}

// query is an expression of Prometheus and how its series are called. $ stands
// for the prefix of the provider's metrics, and $by for the labels that choose
// the installation.
type query struct {
	expr, legend string
}

type row struct {
	title  string
	panels []panel
}

const (
	metricPrefix = "endor_gatekeeper_provider_"

	// chosen are the labels that the variables of the dashboard choose.
	chosen = `namespace=~"$namespace",job=~"$job"`
)

// rows are the dashboard, the most asked question first.
var rows = []row{
	{"Are images decided?", []panel{
		{"Replicas", "Replicas that Prometheus reads. Fewer than two: no rollout or node can be lost.", "short", "stat", []query{
			{`count($build_info{$by})`, "replicas"},
		}},
		{"Undecided", "Share of keys without a verdict: of all, and of those that were not known and for which there is no stale verdict either. Constraints refuse these or admit them unchecked, as failOn says. Of what was not known an alert fires above 5 %.", "percentunit", "stat", []query{
			{`(sum(rate($undecided_total{$by}[$__rate_interval])) or vector(0)) / clamp_min(sum(rate($undecided_total{$by}[$__rate_interval])) + sum(rate($verdicts_total{$by}[$__rate_interval])), 1e-9)`, "of all"},
			{`clamp_max(sum(rate($undecided_total{$by,code="UNAVAILABLE"}[$__rate_interval])) / clamp_min(sum(rate($cache_requests_total{$by,result="miss"}[$__rate_interval])) - sum(rate($stale_answers_total{$by}[$__rate_interval])), 1e-9), 1)`, "of what was not known"},
		}},
		{"State", "1: Endor Labs does not answer in time; its credentials are refused; clients are asked for no certificate.", "short", "state-timeline", []query{
			{`max($degraded{$by})`, "degraded"},
			{`max($credentials_refused{$by})`, "credentials refused"},
			{`max($insecure_no_client_auth{$by})`, "no client authentication"},
		}},
		{"Constraints", "What the constraints do that ask this provider. None that denies: nothing is refused.", "short", "timeseries", []query{
			{`max by (enforcement_action) ($constraints{$by})`, "{{enforcement_action}}"},
			{`max($constraints_in_break_glass{$by})`, "in break-glass"},
		}},
	}},
	{"Answers", []panel{
		{"Verdicts", "Keys answered with a verdict, by code. A rise of REVOKED or WRONG_SIGNER is worth a look.", "ops", "timeseries", []query{
			{`sum by (code) (rate($verdicts_total{$by}[$__rate_interval]))`, "{{code}}"},
		}},
		{"Without a verdict", "Keys that could not be answered, by cause. MISCONFIGURED needs an operator.", "ops", "timeseries", []query{
			{`sum by (code, cause) (rate($undecided_total{$by}[$__rate_interval]))`, "{{code}} {{cause}}"},
		}},
		{"Stale and late", "Verdicts past their life that were given because Endor Labs could not be asked, and requests that ran out of time.", "ops", "timeseries", []query{
			{`sum(rate($stale_answers_total{$by}[$__rate_interval]))`, "stale answers"},
			{`sum(rate($budget_overruns_total{$by}[$__rate_interval]))`, "budget overruns"},
		}},
		{"Requests", "Requests of Gatekeeper, by how they ended.", "reqps", "timeseries", []query{
			{`sum by (outcome) (rate($requests_total{$by}[$__rate_interval]))`, "{{outcome}}"},
		}},
		{"Latency", "How long Gatekeeper waits, and with it whoever creates a Pod. It holds one serving thread of Gatekeeper meanwhile.", "s", "timeseries", []query{
			{`histogram_quantile(0.5, sum by (le) (rate($request_duration_seconds_bucket{$by}[$__rate_interval])))`, "p50"},
			{`histogram_quantile(0.99, sum by (le) (rate($request_duration_seconds_bucket{$by}[$__rate_interval])))`, "p99"},
		}},
		{"Keys of a request", "Images that Gatekeeper asks about at once.", "short", "timeseries", []query{
			{`sum(rate($request_keys_sum{$by}[$__rate_interval])) / clamp_min(sum(rate($request_keys_count{$by}[$__rate_interval])), 1e-9)`, "average"},
		}},
	}},
	{"Endor Labs", []panel{
		{"Calls", "Calls of Endor Labs by outcome: an HTTP status or its class; error is no answer at all.", "reqps", "timeseries", []query{
			{`sum by (operation, outcome) (rate($upstream_requests_total{$by}[$__rate_interval]))`, "{{operation}} {{outcome}}"},
			{`sum by (operation) (rate($upstream_retries_total{$by}[$__rate_interval]))`, "{{operation}} retries"},
		}},
		{"Latency of calls", "One attempt, without waiting for our own bounds.", "s", "timeseries", []query{
			{`histogram_quantile(0.5, sum by (le, operation) (rate($upstream_request_duration_seconds_bucket{$by}[$__rate_interval])))`, "{{operation}} p50"},
			{`histogram_quantile(0.99, sum by (le, operation) (rate($upstream_request_duration_seconds_bucket{$by}[$__rate_interval])))`, "{{operation}} p99"},
		}},
		{"Waiting", "Questions that wait for a slot (--upstream-concurrency), and slots in use.", "short", "timeseries", []query{
			{`sum($upstream_waiting{$by})`, "waiting"},
			{`sum($upstream_slots_used{$by})`, "slots in use"},
		}},
		{"Time waited", "99th percentile of the wait for a slot, and for a token of --upstream-qps.", "s", "timeseries", []query{
			{`histogram_quantile(0.99, sum by (le) (rate($upstream_wait_seconds_bucket{$by}[$__rate_interval])))`, "slot"},
			{`histogram_quantile(0.99, sum by (le) (rate($upstream_rate_wait_seconds_bucket{$by}[$__rate_interval])))`, "rate"},
		}},
		{"Circuit breaker", "Replicas by the state of their breaker. Open: nothing is asked for seconds.", "short", "timeseries", []query{
			{`sum by (state) ($upstream_breaker_state{$by})`, "{{state}}"},
		}},
		{"Held back", "How long calls are held because Endor Labs said so (Retry-After), and Endor namespaces that refuse us.", "short", "timeseries", []query{
			{`max($upstream_hold_seconds{$by})`, "seconds held"},
			{`max($upstream_refusing_namespaces{$by})`, "refusing namespaces"},
		}},
	}},
	{"Caches", []panel{
		{"Hits", "Share of keys that the memory answers.", "percentunit", "timeseries", []query{
			{`sum(rate($cache_requests_total{$by,result="hit"}[$__rate_interval])) / clamp_min(sum(rate($cache_requests_total{$by}[$__rate_interval])), 1e-9)`, "memory"},
		}},
		{"Entries", "Verdicts in memory of all replicas, and refreshes behind answers.", "short", "timeseries", []query{
			{`sum($cache_entries{$by})`, "entries"},
			{`sum(rate($cache_refreshes_total{$by}[$__rate_interval]))`, "refreshes a second"},
		}},
		{"Size", "Estimate of what they take.", "bytes", "timeseries", []query{
			{`sum by (content) ($cache_bytes{$by})`, "{{content}}"},
		}},
		{"Shared cache", "Look-ups in the Redis, without which all of this works too. Empty where none is set up.", "ops", "timeseries", []query{
			{`sum by (result) (rate($shared_cache_requests_total{$by}[$__rate_interval]))`, "{{result}}"},
		}},
		{"Latency of the shared cache", "It is given 20 ms.", "s", "timeseries", []query{
			{`histogram_quantile(0.99, sum by (le) (rate($shared_cache_request_duration_seconds_bucket{$by}[$__rate_interval])))`, "p99"},
		}},
		{"Not believed", "Entries of the Redis that are not ours. Anything but a few that are just expired is worth a look.", "short", "timeseries", []query{
			{`sum by (reason) (increase($shared_cache_rejected_total{$by}[$__rate_interval]))`, "{{reason}}"},
		}},
	}},
	{"Certificates and credentials", []panel{
		{"Certificates end in", "Below 7 days an alert fires.", "s", "timeseries", []query{
			{`min by (source) ($certificate_expiry_timestamp_seconds{$by}) - time()`, "{{source}}"},
		}},
		{"Token ends in", "It is renewed long before.", "s", "timeseries", []query{
			{`min($token_expiry_timestamp_seconds{$by}) - time()`, "token"},
		}},
		{"Tokens", "Exchanges of the API key for a token.", "short", "timeseries", []query{
			{`sum by (result) (increase($token_exchanges_total{$by}[$__rate_interval]))`, "{{result}}"},
		}},
		{"Handshakes that fail", "Who is turned away, and why; and connections that were closed because more than 1,000 said nothing.", "ops", "timeseries", []query{
			{`sum by (reason) (rate($tls_handshake_failures_total{$by}[$__rate_interval]))`, "{{reason}}"},
			{`sum by (listener) (rate($connections_crowded_out_total{$by}[$__rate_interval]))`, "crowded out of {{listener}}"},
		}},
		{"Reloads", "Files of certificates that were read again.", "short", "timeseries", []query{
			{`sum by (source, result) (increase($certificate_reloads_total{$by}[$__rate_interval]))`, "{{source}} {{result}}"},
		}},
		{"Logs", "Lines written, and lines that a log did not take in time: of decisions, and the program's own.", "ops", "timeseries", []query{
			{`sum by (result) (rate($decision_log_lines_total{$by}[$__rate_interval]))`, "decisions {{result}}"},
			{`sum by (result) (rate($log_lines_total{$by}[$__rate_interval]))`, "own {{result}}"},
		}},
	}},
	{"Process", []panel{
		{"Memory", "Resident memory of each replica.", "bytes", "timeseries", []query{
			{`process_resident_memory_bytes{$by}`, "{{instance}}"},
		}},
		{"CPU", "Cores used by each replica.", "short", "timeseries", []query{
			{`rate(process_cpu_seconds_total{$by}[$__rate_interval])`, "{{instance}}"},
		}},
		{"Goroutines", "They grow with questions that wait, and fall again.", "short", "timeseries", []query{
			{`go_goroutines{$by}`, "{{instance}}"},
		}},
		{"Versions", "Replicas by version; two during a rollout.", "short", "timeseries", []query{
			{`count by (version) ($build_info{$by})`, "{{version}}"},
		}},
	}},
}

// The grid of Grafana is 24 units wide.
const (
	gridWidth   = 24
	panelHeight = 8
)

// renderDashboard gives the dashboard in Grafana's JSON model.
func renderDashboard() ([]byte, error) {
	var panels []any
	y, id := 0, 0
	next := func() int { id++; return id }
	for _, r := range rows {
		panels = append(panels, map[string]any{
			"id": next(), "type": "row", "title": r.title, "collapsed": false, "panels": []any{},
			"gridPos": map[string]int{"x": 0, "y": y, "w": gridWidth, "h": 1},
		})
		y++
		perLine := min(len(r.panels), 4)
		if len(r.panels)%3 == 0 {
			perLine = 3
		}
		width := gridWidth / perLine
		for i, p := range r.panels {
			panels = append(panels, p.model(next(), map[string]int{
				"x": i % perLine * width, "y": y + i/perLine*panelHeight, "w": width, "h": panelHeight,
			}))
		}
		y += (len(r.panels) + perLine - 1) / perLine * panelHeight
	}
	made, err := json.MarshalIndent(map[string]any{
		"uid": name, "title": name, "tags": []string{"endor-labs", "gatekeeper"},
		"description":   "Whether images are decided, and what keeps them from it.",
		"schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "refresh": "30s",
		"time":       map[string]string{"from": "now-3h", "to": "now"},
		"timepicker": map[string]any{}, "annotations": map[string]any{"list": []any{}}, "links": []any{},
		"templating": map[string]any{"list": variables()},
		"panels":     panels,
	}, "", "  ")
	return append(made, '\n'), err
}

func (p panel) model(id int, position map[string]int) map[string]any {
	var targets []any
	for i, q := range p.show {
		targets = append(targets, map[string]any{
			"refId": string(rune('A' + i)), "expr": q.promql(), "legendFormat": q.legend,
			"datasource": map[string]string{"type": "prometheus", "uid": "${datasource}"},
		})
	}
	return map[string]any{
		"id": id, "type": p.kind, "title": p.title, "description": p.tells, "gridPos": position, "targets": targets,
		"datasource":  map[string]string{"type": "prometheus", "uid": "${datasource}"},
		"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.unit, "min": 0}, "overrides": []any{}},
		"options":     map[string]any{},
	}
}

func (q query) promql() string {
	return strings.NewReplacer("$__rate_interval", "$__rate_interval", "$by", chosen, "$", metricPrefix).Replace(q.expr)
}

func variables() []any {
	values := func(label, of string) map[string]any {
		return map[string]any{
			"name": label, "label": label, "type": "query", "refresh": 2, "includeAll": true, "multi": true, "allValue": ".+",
			"datasource": map[string]string{"type": "prometheus", "uid": "${datasource}"},
			"query":      map[string]string{"query": "label_values(" + of + ", " + label + ")", "refId": label},
			"current":    map[string]any{"text": []string{"All"}, "value": []string{"$__all"}},
		}
	}
	return []any{
		map[string]any{"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus"},
		values("namespace", metricPrefix+"build_info"),
		values("job", metricPrefix+`build_info{namespace=~"$namespace"}`),
	}
}
