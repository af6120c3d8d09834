// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	signed   = "ghcr.io/acme/api@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
	revoked  = "ghcr.io/acme/old@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
	forged   = "ghcr.io/acme/forged@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
	unsigned = "ghcr.io/acme/new@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
)

// started is the program, running.
type started struct {
	url  string
	stop func() (stderr string, err error) // may be called once
}

func start(t *testing.T, args ...string) started {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, args, stdout, &stderr)
		_ = stdout.Close()
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("the program ended before it told its address: %v", <-ended)
	}
	stop := func() (string, error) {
		cancel()
		err := <-ended
		return stderr.String(), err
	}
	return started{url: strings.TrimSuffix(line, "\n"), stop: stop}
}

// post sends JSON and returns the status and the answer's members.
func post(t *testing.T, url, token, body string) (int, map[string]any) {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer map[string]any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSignsAtStartAndVerifies(t *testing.T) {
	t.Parallel()
	const secret = "endr+notforlogs"
	addressFile := filepath.Join(t.TempDir(), "address")
	p := start(t,
		"--api-key", "endr+demo", "--api-secret-file", write(t, "secret", secret+"\n"),
		"--namespace", "acme,acme.dev", "--address-file", addressFile, "--log-level", "debug",
		"--sign", write(t, "signatures.yaml", `
- image: `+signed+`
  namespace: acme.dev
  age: 240h
  claims: {certificateOidcIssuer: https://issuer.example, sourceRepository: acme/api}
- image: `+revoked+`
  namespace: acme.dev
  revoked: true
- image: `+forged+`
  namespace: acme.dev
  damage: other-ca
`))
	if b, err := os.ReadFile(addressFile); err != nil || string(b) != p.url+"\n" {
		t.Errorf("the address file has %q (%v), want %q", b, err, p.url+"\n")
	}
	status, answer := post(t, p.url+"/v1/auth/api-key", "", `{"key":"endr+demo","secret":"`+secret+`"}`)
	token, _ := answer["token"].(string)
	if status != 200 || token == "" {
		t.Fatalf("token exchange = HTTP %d %v, want a token", status, answer)
	}
	for image, want := range map[string]string{
		signed: "SUCCESS", revoked: "REVOKED_SIGNATURE", forged: "UNKNOWN_CA", unsigned: "NO_ARTIFACT",
	} {
		status, answer := post(t, p.url+"/v1/namespaces/acme.dev/artifact-operations", token,
			`{"meta":{"name":"test"},"spec":{"command":"ARTIFACT_OPERATION_COMMAND_VERIFY","artifact_type":"ARTIFACT_TYPE_CONTAINER","artifact_name":"`+image+`"}}`)
		response, _ := answer["response"].(map[string]any)
		if status != 200 || response["result"] != "ARTIFACT_OPERATION_RESULT_"+want {
			t.Errorf("VERIFY %s = HTTP %d %v, want %s", image, status, answer, want)
		}
	}
	if status, _ := post(t, p.url+"/emulator/damage", token, `{}`); status != 404 {
		t.Errorf("an admin path without --admin = HTTP %d, want 404", status)
	}

	log, err := p.stop()
	if err != nil {
		t.Errorf("the program ended with %v, want nil", err)
	}
	if strings.Contains(log, secret) || strings.Contains(log, token) {
		t.Errorf("the log has credentials:\n%s", log)
	}
	if !strings.Contains(log, "command=VERIFY") {
		t.Errorf("the log does not tell of the operations:\n%s", log)
	}
	if _, err := os.Stat(addressFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the address file is still there (%v)", err)
	}
}

func TestEndsWhileARequestHangs(t *testing.T) {
	t.Parallel()
	p := start(t, "--admin")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	send := func(method, path, body string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}
	res, err := send(http.MethodPut, "/emulator/switches", `{"faults":[{"kind":"hang"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("PUT /emulator/switches = HTTP %d, want 204", res.StatusCode)
	}
	answered := make(chan int, 1)
	go func() {
		res, err := send(http.MethodPost, "/v1/auth/api-key", `{}`)
		if err != nil {
			answered <- 0
			return
		}
		_ = res.Body.Close()
		answered <- res.StatusCode
	}()
	for held := 0; held == 0; {
		res, err := send(http.MethodGet, "/emulator/counters", "")
		if err != nil {
			t.Fatal(err)
		}
		var counters struct{ Held int }
		err = json.NewDecoder(res.Body).Decode(&counters)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		held = counters.Held
	}
	if _, err := p.stop(); err != nil {
		t.Errorf("the program ended with %v, want nil", err)
	}
	if status := <-answered; status != 401 {
		t.Errorf("what hung was answered HTTP %d, want the 401 of no credentials", status)
	}
}

func TestConfigurationErrorsComeAllAtOnce(t *testing.T) {
	t.Parallel()
	file := write(t, "signatures.yaml", `
- imgae: `+signed+`
  damage: rust
- image: ghcr.io/acme/api:v1
  namespace: elsewhere
  age: yesterday
  claims: {source_repository: acme/api, sourceRepositoryDigest: 123, buildConfigName: }
- just a string
`)
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{
		"--listen-address", "0.0.0.0:0", "--log-level", "loud", "--latency", "-1s", "--token-lifetime", "0s",
		"--api-key", "a", "--api-key-file", "b", "--api-secret-file", "missing", "--namespace", "Acme", "--sign", file,
	}, &stdout, &stderr)
	if exitCode(err) != 2 {
		t.Errorf("exit code %d (%v), want 2", exitCode(err), err)
	}
	for _, want := range []string{
		"not on loopback", `--log-level "loud"`, "--latency", "--token-lifetime", "exclude each other", "--api-secret-file", `"Acme"`,
		file + `: entry 1: unknown field "imgae"`,
		file + `: entry 1: damage "rust"`,
		file + `: entry 2: artifact name "ghcr.io/acme/api:v1"`,
		file + `: entry 2: namespace "elsewhere"`,
		file + `: entry 2: age "yesterday"`,
		file + `: entry 2: claims: unknown field "source_repository"`,
		file + `: entry 2: claims: sourceRepositoryDigest: 123`,
		file + `: entry 2: claims: buildConfigName has no value`,
		file + `: entry 3: not a mapping`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	if t.Failed() {
		t.Logf("it says\n%v", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("printed %q, want nothing", stdout.String())
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"--listen"}, "unknown flag: --listen"},
		{"argument", []string{"serve"}, `unknown command "serve"`},
		{"half a pair of credentials", []string{"--api-key", "endr+key"}, "belong together"},
		{"a name that only a resolver knows", []string{"--listen-address", "emulator.example:80"}, "not on loopback"},
		{"no port", []string{"--listen-address", "127.0.0.1"}, "not host:port"},
		{"not a list", []string{"--sign", write(t, "map.yaml", "image: x")}, "not a list"},
		{"a field twice", []string{"--sign", write(t, "twice.yaml", "- image: x\n  image: y")}, "not YAML"},
		{"no such file", []string{"--sign", "missing.yaml"}, "missing.yaml"},
		{"empty credential", []string{"--api-key-file", write(t, "key", " \n"), "--api-secret", "x"}, "is empty"},
	} {
		err := run(t.Context(), tc.args, io.Discard, io.Discard)
		if exitCode(err) != 2 || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: exit code %d, error %v; want 2 and %q", tc.name, exitCode(err), err, tc.want)
		}
	}
}

func TestProblemsOfTheMachineAreNotUsageErrors(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"--address-file", filepath.Join(t.TempDir(), "missing", "address")}, io.Discard, io.Discard)
	if err == nil || exitCode(err) != 1 {
		t.Errorf("an address file that cannot be written: exit code %d (%v), want 1", exitCode(err), err)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"version"}, "endor-emulator "},
		{[]string{"completion", "bash"}, "bash completion"},
		{[]string{"--help"}, "--allow-non-loopback"},
	} {
		var stdout bytes.Buffer
		if err := run(t.Context(), tc.args, &stdout, io.Discard); err != nil || !strings.Contains(stdout.String(), tc.want) {
			t.Errorf("%v: error %v, output without %q", tc.args, err, tc.want)
		}
	}
}

// The documented example must work as it is printed.
func TestDocumentedSignFile(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	in := false
	for line := range strings.Lines(string(source)) {
		text, indented := strings.CutPrefix(line, "//\t")
		in = in && (indented || line == "//\n") || text == "# A sound signature. Only image is required; without claims the certificate\n"
		if in && indented {
			example.WriteString(text)
		}
	}
	p := start(t, "--sign", write(t, "example.yaml", example.String()))
	if _, err := p.stop(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(example.String(), "- image:"); n != 3 {
		t.Errorf("found %d entries in the package comment, want 3", n)
	}
}
