// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
)

// load reads settings as the program does.
func load(t *testing.T, env map[string]string, args ...string) (config.Serve, error) {
	t.Helper()
	var c config.Serve
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.Bind(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return c, c.Environment(fs, func(name string) string { return env[name] })
}

func TestAFlagWinsOverItsVariableAndThatOverEndorctls(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"ENDOR_PROVIDER_ENDOR_API": "https://ours", "ENDOR_API": "https://endorctls", "ENDOR_NAMESPACE": "acme",
		"ENDOR_PROVIDER_CACHE_TTL": "1m", "ENDOR_PROVIDER_RESPONSE_BUDGET": "1s", "ENDOR_PROVIDER_CLIENT_NAMES": "a,b",
		"ENDOR_PROVIDER_MAX_BODY_BYTES": "8MiB", "ENDOR_PROVIDER_LOG_LEVEL": "debug", "ENDOR_PROVIDER_NOT_A_FLAG": "x",
		"ENDOR_API_CREDENTIALS_KEY": "k", "ENDOR_API_CREDENTIALS_SECRET": "s", "ENDOR_TOKEN": "t",
	}
	got, err := load(t, env, "--cache-ttl=2m")
	if err != nil {
		t.Fatal(err)
	}
	if got.EndorAPI != "https://ours" || got.EndorNamespace != "acme" || got.CacheTTL != 2*time.Minute || got.ResponseBudget != time.Second ||
		strings.Join(got.ClientNames, " ") != "a b" || got.MaxBodyBytes != 8<<20 || got.LogLevel != slog.LevelDebug ||
		got.EndorAPIKey != "k" || got.EndorAPISecret != "s" || got.EndorToken != "t" {
		t.Errorf("settings = %+v", got)
	}
}

func TestEveryVariableThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	_, err := load(t, map[string]string{"ENDOR_PROVIDER_CACHE_TTL": "soon", "ENDOR_PROVIDER_MAX_KEYS": "many"})
	if err == nil || !strings.Contains(err.Error(), "ENDOR_PROVIDER_CACHE_TTL") || !strings.Contains(err.Error(), "ENDOR_PROVIDER_MAX_KEYS") {
		t.Errorf("error = %v", err)
	}
}

var required = []string{"--tls-cert-file=a", "--tls-private-key-file=b", "--client-ca-file=c"}

func TestTheDefaultsAreValid(t *testing.T) {
	t.Parallel()
	c, err := load(t, nil, required...)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Error(err)
	}
}

func TestEverySettingThatIsWrongIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	c, err := load(t, nil,
		"--listen-address=", "--ops-address=localhost", "--client-names=", "--certificate-oidc-issuer=", "--response-budget=0s", "--upstream-timeout=-1s",
		"--cache-ttl=0", "--degraded-wait=0", "--stale-if-error=-1s", "--reload-interval=0", "--ca-overlap=0", "--cache-negative-ttl=0", "--drain-delay=-1s", "--upstream-concurrency=0", "--upstream-qps=0", "--cache-size=0",
		"--max-keys=255", "--max-body-bytes=10", "--image-names=short", "--log-format=xml", "--decision-log=", "--decision-log-sample=NaN")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	if err == nil {
		t.Fatal("all of it is valid")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, flag := range []string{
		"listen-address", "ops-address", "client-names", "certificate-oidc-issuer", "response-budget", "upstream-timeout", "cache-ttl",
		"cache-negative-ttl", "drain-delay", "upstream-concurrency", "upstream-qps", "cache-size", "max-keys", "max-body-bytes", "image-names",
		"log-format", "decision-log", "decision-log-sample", "degraded-wait", "stale-if-error", "reload-interval", "ca-overlap", "tls-cert-file", "tls-private-key-file", "client-ca-file",
	} {
		if n := strings.Count(err.Error(), "--"+flag+": "); n != 1 {
			t.Errorf("--%s is named %d times, want once", flag, n)
		}
	}
	if len(lines) != 25 {
		t.Errorf("%d lines, want 25:\n%v", len(lines), err)
	}
}

func TestSettingsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"two listeners at one address", "--ops-address: it must differ", []string{"--listen-address=:8080"}},
		{"a rate that is no number", "--upstream-qps: ", []string{"--upstream-qps=NaN"}},
		{"a Redis without a key for it", "--redis-hmac-key-file: it is required", []string{"--redis-url-file=a"}},
		{"a key without a Redis", "--redis-url-file: it is required", []string{"--redis-hmac-key-file=a"}},
		{"a budget that outlasts every webhook", "--response-budget: it must be at most 25s", []string{"--response-budget=26s"}},
		{"an address without a port", "--listen-address: it is no address", []string{"--listen-address=localhost"}},
		{"two ways to know clients", "--client-ca-file: give one of", []string{"--client-ca-from-webhook=gatekeeper"}},
		{"client CAs, and no client authentication", "--client-ca-file: give one of", []string{"--insecure-no-client-auth"}},
		{"names for a certificate of somebody else", "--tls-names: it is for --tls-secret", []string{"--tls-names=a"}},
		{"an owner of no Provider", "--provider-name: it is required with", []string{"--provider-owner=a"}},
		{"a Provider without a CA", "--provider-ca-file: it is required", []string{"--provider-name=a", "--provider-url=https://a/validate"}},
		{"a Provider without TLS", "--provider-url: it is required", []string{"--provider-name=a", "--provider-url=http://a/validate", "--provider-ca-file=a"}},
		{"a timeout of fractions", "--provider-timeout: it must be whole seconds", slices.Concat(object, []string{"--provider-timeout=2500ms"})},
		{"a timeout that cuts answers off", "--provider-timeout: it must be at least", slices.Concat(object, []string{"--response-budget=1900ms"})},
	} {
		c, err := load(t, nil, slices.Concat(tc.args, required)...)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error = %v, want one that says %q", tc.name, err, tc.want)
		}
	}
}

var object = []string{"--provider-name=a", "--provider-url=https://a/validate", "--provider-ca-file=a"}

func TestACertificateThatTheProviderMakesItself(t *testing.T) {
	t.Parallel()
	own := []string{"--tls-secret=ns/name", "--tls-names=a.ns.svc", "--client-ca-from-webhook=gatekeeper", "--provider-name=a", "--provider-url=https://a.ns.svc:443/validate"}
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{name: "needs no files"},
		{"excludes files", "--tls-secret: it excludes", []string{"--tls-cert-file=a"}},
		{"has a Secret with a namespace", "--tls-secret: write it as", []string{"--tls-secret=name"}},
		{"has DNS names", "--tls-names: each is a DNS name", []string{"--tls-names=a.ns.svc,127.0.0.1"}},
		{"is for the host that Gatekeeper asks", "--provider-url: its host must be among --tls-names", []string{"--provider-url=https://b.ns.svc/validate"}},
		{"brings its own CA", "--provider-ca-file: it is for certificates in files", []string{"--provider-ca-file=a"}},
	} {
		c, err := load(t, nil, append(slices.Clone(own), tc.args...)...)
		if err == nil {
			err = c.Validate()
		}
		if got := fmt.Sprint(err); tc.want == "" && err != nil || tc.want != "" && (!strings.Contains(got, tc.want) || strings.Contains(got, "\n")) {
			t.Errorf("%s: error = %v, want one that says %q", tc.name, err, tc.want)
		}
	}
}

func TestByteSize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]config.ByteSize{"4MiB": 4 << 20, "512KiB": 512 << 10, "4096": 4096, "1025": 1025, "0": 0} {
		var b config.ByteSize
		if err := b.Set(in); err != nil || b != want {
			t.Errorf("Set(%q) = %d, %v; want %d", in, b, err, want)
		}
		var again config.ByteSize
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%q printed as %q, which reads as %d, %v", in, b.String(), again, err)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "4MB", "1.5MiB", "4 MiB", "9223372236854775807MiB"} {
		var b config.ByteSize
		if err := b.Set(in); err == nil {
			t.Errorf("Set(%q) = %d, want an error", in, b)
		}
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	var d config.Date
	if got := d.String(); got != "" {
		t.Errorf("no date prints as %q", got)
	}
	if err := d.Set("2027-03-31"); err != nil || d.String() != "2027-03-31" || time.Time(d).Unix() != 1806451200 {
		t.Errorf("Set = %v, and it prints as %q, %d", err, d.String(), time.Time(d).Unix())
	}
	for _, in := range []string{"", "31.3.2027", "2027-02-30", "2027-03-31T00:00:00Z"} {
		if err := d.Set(in); err == nil {
			t.Errorf("Set(%q) = %q, want an error", in, d.String())
		}
	}
}
