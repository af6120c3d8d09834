// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build alerts

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNoPanelIsEmpty has a real Prometheus read the provider's metrics while the
// soak asks it and Endor Labs fails now and then, and then puts each query of the
// dashboard and each alert to it.
func TestNoPanelIsEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPrometheus(t, dir)
	redis := address(t)
	host, port, _ := net.SplitHostPort(redis)
	start(t, "redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", dir)

	soak := filepath.Join(dir, "soak")
	if out, err := inRepository(t, "go", "build", "-o", soak, "./provider/internal/soak").CombinedOutput(); err != nil {
		t.Fatalf("build the soak: %v\n%s", err, out)
	}
	length := "45s"
	if given := os.Getenv("SOAK"); given != "" {
		length = given
	}
	out, err := inRepository(t, soak, "-for", length, "-redis", redis, "-targets", p.targets).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		for _, panel := range r.panels {
			for _, q := range panel.show {
				if err := p.ask(t, q.promql()); err != nil {
					t.Errorf("%s: %s (%s): %v", r.title, panel.title, q.legend, err)
				}
			}
		}
	}
	p.evaluated(t)
}

// prometheus is a Prometheus that runs.
type prometheus struct {
	url     string
	targets string // file in which it finds whom to read
}

func startPrometheus(t *testing.T, dir string) prometheus {
	t.Helper()
	listen := address(t)
	p := prometheus{url: "http://" + listen, targets: filepath.Join(dir, "targets.json")}
	written(t, filepath.Join(dir, "rules.yaml"), alerts(t))
	config := written(t, filepath.Join(dir, "prometheus.yaml"), values{
		"global":     values{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{filepath.Join(dir, "rules.yaml")},
		"scrape_configs": []any{values{
			"job_name":        name,
			"file_sd_configs": []any{values{"files": []string{p.targets}, "refresh_interval": "1s"}},
			"relabel_configs": []any{values{"target_label": "namespace", "replacement": name}},
		}},
	})
	start(t, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen, "--log.level=error")
	for range 300 {
		resp, err := http.Get(p.url + "/-/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		time.Sleep(100 * time.Millisecond) // polled
	}
	t.Fatal("prometheus does not become ready")
	return p
}

// calm is how long the soak rests at its end, and nothing is asked.
const calm = 10 * time.Second

// ask says what is wrong with the answer to a query: that there is none, or no
// number in it.
func (p prometheus) ask(t *testing.T, promql string) error {
	t.Helper()
	promql = strings.NewReplacer("$__rate_interval", "30s", "$namespace", name, "$job", name).Replace(promql)
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	at := strconv.FormatInt(time.Now().Add(-calm).Unix(), 10)
	p.get(t, "/api/v1/query?"+url.Values{"query": {promql}, "time": {at}}.Encode(), &answer)
	if answer.Error != "" {
		return fmt.Errorf("%s: %s", promql, answer.Error)
	}
	for _, sample := range answer.Data.Result {
		if sample.Value[1] != "NaN" {
			return nil
		}
	}
	return fmt.Errorf("%d series without a number: %s", len(answer.Data.Result), promql)
}

// evaluated holds that Prometheus could evaluate each rule.
func (p prometheus) evaluated(t *testing.T) {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Name      string `json:"name"`
					Health    string `json:"health"`
					LastError string `json:"lastError"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	p.get(t, "/api/v1/rules", &answer)
	n := 0
	for _, group := range answer.Data.Groups {
		for _, r := range group.Rules {
			n++
			if r.Health != "ok" {
				t.Errorf("alert %s: %s %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if want := len(alerts(t).Groups[0].Rules); n != want {
		t.Errorf("Prometheus evaluates %d alerts, want %d", n, want)
	}
}

func (p prometheus) get(t *testing.T, path string, answer any) {
	t.Helper()
	resp, err := http.Get(p.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// address is one on loopback that was free a moment ago.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a server until the test ends.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // that it was told to end is no error
	})
}

func inRepository(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = repository
	return cmd
}
