// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package config reads the provider's settings from flags and environment
// variables.
//
// A flag wins over its variable, which is ENDOR_PROVIDER_ and the flag's name
// in capitals, with _ for -. Settings of Endor Labs can also be given by the
// names that endorctl uses; those come last. Credentials are never flags: a
// command line is public.
//
// Nothing is opened or called here. [Serve.Validate] says all that is wrong
// with the values themselves, at once.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Serve holds the settings of endor-gatekeeper-provider serve. The text of each
// flag in [Serve.Bind] says what the field means.
type Serve struct {
	ListenAddress string
	OpsAddress    string
	DrainDelay    time.Duration

	TLSCertFile       string
	TLSPrivateKeyFile string
	ClientCAFile      string
	ReloadInterval    time.Duration

	TLSSecret            string
	TLSNames             []string
	ClientCAFromWebhook  string
	ClientNames          []string
	InsecureNoClientAuth bool
	CAOverlap            time.Duration
	Kubeconfig           string

	ProviderName    string
	ProviderURL     string
	ProviderTimeout time.Duration
	ProviderCAFile  string
	ProviderOwner   string

	CountConstraintsOf string

	Endor
	AllowedEndorNamespaces []string
	EndorAPIKeyExpiry      Date

	ResponseBudget      time.Duration
	DegradedWait        time.Duration
	UpstreamTimeout     time.Duration
	UpstreamConcurrency int
	UpstreamQPS         float64

	RedisURLFile     string
	RedisHMACKeyFile string
	RedisCAFile      string

	CacheSize        int
	CacheTTL         time.Duration
	CacheNegativeTTL time.Duration
	StaleIfError     time.Duration

	MaxKeys      int
	MaxBodyBytes ByteSize

	DecisionLog       string
	DecisionLogSample float64

	LogLevel  slog.Level
	LogFormat string
}

// minKeys is as many images as the policy sends in one request. A provider that
// took fewer would refuse Pods that the policy means to judge.
const minKeys = 256

// maxBudget is below the time that the server has to write an answer, and below
// Kubernetes' limit for webhooks.
const maxBudget = 25 * time.Second

// The values of --log-format and, besides a file, --decision-log.
const (
	JSON   = "json"
	Text   = "text"
	Off    = "off"
	Stdout = "stdout"
	Stderr = "stderr"
)

// Bind declares the flags, with their defaults.
func (c *Serve) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.ListenAddress, "listen-address", ":8443", "`address` for Gatekeeper: POST /validate, TLS 1.3 with client certificates")
	fs.StringVar(&c.OpsAddress, "ops-address", ":8080", "`address` for probes and metrics: /healthz, /readyz, /metrics, plain HTTP")
	fs.DurationVar(&c.DrainDelay, "drain-delay", 5*time.Second, "time between turning unready and closing the listener, when told to stop")

	fs.StringVar(&c.TLSCertFile, "tls-cert-file", "", "`file` with the server's certificate chain (PEM), read again when it changes")
	fs.StringVar(&c.TLSPrivateKeyFile, "tls-private-key-file", "", "`file` with the server's private key (PEM), read again when it changes")
	fs.StringVar(&c.TLSSecret, "tls-secret", "", "`NAMESPACE/NAME` of a Secret in which the server's certificate and its CA are made and rotated, instead of the two files above")
	fs.StringSliceVar(&c.TLSNames, "tls-names", nil, "DNS `names` of that certificate")
	fs.StringVar(&c.ClientCAFile, "client-ca-file", "", "`file` with the CAs of client certificates (PEM), read again when it changes")
	fs.StringVar(&c.ClientCAFromWebhook, "client-ca-from-webhook", "", "`name` of Gatekeeper's ValidatingWebhookConfiguration, whose CAs issue Gatekeeper's client certificate too; instead of --client-ca-file")
	fs.StringSliceVar(&c.ClientNames, "client-names", []string{"gatekeeper-webhook-service.gatekeeper-system.svc"}, "DNS `names`, one of which a client certificate must hold")
	fs.BoolVar(&c.InsecureNoClientAuth, "insecure-no-client-auth", false, "ask for no client certificate: whoever reaches the port learns who signed which image, and spends the calls of Endor Labs")
	fs.DurationVar(&c.ReloadInterval, "reload-interval", 5*time.Second, "time between two looks at certificate files")
	fs.DurationVar(&c.CAOverlap, "ca-overlap", time.Hour, "how long a CA that was replaced is still trusted, in the Provider object and of clients")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "`file` that tells how to reach the API server, where that is needed; default: as in a pod")

	fs.StringVar(&c.ProviderName, "provider-name", "", "`name` of the Provider object to create and keep; default: none, somebody else keeps it")
	fs.StringVar(&c.ProviderURL, "provider-url", "", "`URL` in it, which Gatekeeper posts to: https://SERVICE.NAMESPACE.svc:443/validate")
	fs.DurationVar(&c.ProviderTimeout, "provider-timeout", 2*time.Second, "timeout in it, whole seconds; at least --response-budget and 0.2s")
	fs.StringVar(&c.ProviderCAFile, "provider-ca-file", "", "`file` with the CAs in it (PEM), when the server's certificate is in files; read again when it changes")
	fs.StringVar(&c.ProviderOwner, "provider-owner", "", "`name` of a ClusterRole that owns it: when that is deleted, so is the Provider; default: none")
	fs.StringVar(&c.CountConstraintsOf, "count-constraints-of", "", "`name` of a Provider object: count the constraints that ask it, by what they do, as metrics; needs permission to list them; default: none")

	c.Endor.Bind(fs)
	fs.StringSliceVar(&c.AllowedEndorNamespaces, "allowed-endor-namespaces", nil, "Endor `namespaces` that constraints may name besides --endor-namespace; default: any")
	fs.Var(&c.EndorAPIKeyExpiry, "endor-api-key-expiry", "when the API key expires, such as 2027-03-31: a metric, for an alert; Endor Labs does not tell")

	fs.DurationVar(&c.ResponseBudget, "response-budget", 1700*time.Millisecond, "time after which a request is answered with what is decided; at least 0.2s below the timeout of the Provider object")
	fs.DurationVar(&c.DegradedWait, "degraded-wait", 100*time.Millisecond, "time that a request waits instead, from the first question that overran the budget until Endor Labs decides one again")
	fs.DurationVar(&c.UpstreamTimeout, "upstream-timeout", 15*time.Second, "time for one question at Endor Labs with all retries; it goes on when its request was answered")
	fs.IntVar(&c.UpstreamConcurrency, "upstream-concurrency", 32, "questions at Endor Labs at the same time")
	fs.Float64Var(&c.UpstreamQPS, "upstream-qps", 100, "calls of Endor Labs a second, retries included")

	fs.IntVar(&c.CacheSize, "cache-size", 100_000, "verdicts kept in memory")
	fs.DurationVar(&c.CacheTTL, "cache-ttl", 5*time.Minute, "how long VERIFIED is believed")
	fs.DurationVar(&c.CacheNegativeTTL, "cache-negative-ttl", 15*time.Second, "how long any other verdict is believed")
	fs.DurationVar(&c.StaleIfError, "stale-if-error", 30*time.Minute, "how long past its life VERIFIED is given while Endor Labs cannot be asked; 0 turns it off")

	fs.StringVar(&c.RedisURLFile, "redis-url-file", "", "`file` with the URL of a Redis or Valkey in which replicas share verdicts: redis://, rediss:// or unix://; default: none")
	fs.StringVar(&c.RedisHMACKeyFile, "redis-hmac-key-file", "", "`file` with one or two HMAC keys for it, base64 of at least 32 bytes, one a line; the first signs")
	fs.StringVar(&c.RedisCAFile, "redis-ca-file", "", "`file` with the CAs of a rediss:// server (PEM); default: the system's")

	fs.IntVar(&c.MaxKeys, "max-keys", minKeys, "distinct keys of one request, at least 256")
	c.MaxBodyBytes = 4 << 20
	fs.Var(&c.MaxBodyBytes, "max-body-bytes", "size of a request's body: bytes, or with KiB or MiB")

	fs.StringVar(&c.DecisionLog, "decision-log", Stdout, "`where` each decision is written as a line of JSON: off, stdout, stderr, or a file, which may be rotated")
	fs.Float64Var(&c.DecisionLogSample, "decision-log-sample", 0, "`share` of decisions kept from an earlier question that are written too, 0 to 1")

	fs.TextVar(&c.LogLevel, "log-level", slog.LevelInfo, "`level`: debug, info, warn, error")
	fs.StringVar(&c.LogFormat, "log-format", JSON, "`format`: json, text")
}

// Environment sets what [FromEnvironment] does, and the credentials.
func (c *Serve) Environment(fs *pflag.FlagSet, getenv func(string) string) error {
	c.ReadCredentials(getenv)
	return FromEnvironment(fs, getenv)
}

// FromEnvironment sets every flag that the command line did not set and that
// has a variable. Its error names each variable that cannot be read; variables
// that are not known are left alone.
func FromEnvironment(fs *pflag.FlagSet, getenv func(string) string) error {
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		for _, name := range Variables(f.Name) {
			value := getenv(name)
			if value == "" {
				continue
			}
			if err := f.Value.Set(value); err != nil {
				errs = append(errs, fmt.Errorf("variable %s: %w", name, err))
			}
			return
		}
	})
	return errors.Join(errs...)
}

// Variables are the names of the variables that stand for a flag; the first one
// that is set counts.
func Variables(flag string) []string {
	names := []string{"ENDOR_PROVIDER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
	if name := endorctlNames[flag]; name != "" {
		names = append(names, name)
	}
	return names
}

// Validate gives one error that lists everything that is wrong, by flag.
func (c *Serve) Validate() error { return all(c.validate) }

// all joins everything that check refuses, in one order.
func all(check func(refuse func(bad bool, flag, why string))) error {
	var errs []error
	check(func(bad bool, flag, why string) {
		if bad {
			errs = append(errs, fmt.Errorf("--%s: %s", flag, why))
		}
	})
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func (c *Serve) validate(refuse func(bad bool, flag, why string)) {
	for flag, value := range map[string]string{
		"listen-address": c.ListenAddress, "ops-address": c.OpsAddress,
	} {
		refuse(value == "", flag, "it is required")
	}
	c.validateCertificates(refuse)
	for flag, address := range map[string]string{"listen-address": c.ListenAddress, "ops-address": c.OpsAddress} {
		_, _, err := net.SplitHostPort(address)
		refuse(address != "" && err != nil, flag, "it is no address; write host:port, or :port for every interface")
	}
	refuse(c.OpsAddress == c.ListenAddress && !strings.HasSuffix(c.OpsAddress, ":0"), "ops-address", "it must differ from --listen-address")
	refuse(c.ResponseBudget > maxBudget, "response-budget", "it must be at most 25s; Gatekeeper's webhook waits for 30s at the very most")
	for flag, d := range map[string]time.Duration{
		"response-budget": c.ResponseBudget, "degraded-wait": c.DegradedWait, "upstream-timeout": c.UpstreamTimeout,
		"reload-interval": c.ReloadInterval, "ca-overlap": c.CAOverlap, "cache-ttl": c.CacheTTL, "cache-negative-ttl": c.CacheNegativeTTL,
	} {
		refuse(d <= 0, flag, "it must be more than 0")
	}
	refuse(c.StaleIfError < 0, "stale-if-error", "it must not be negative")
	refuse(c.RedisURLFile != "" && c.RedisHMACKeyFile == "", "redis-hmac-key-file", "it is required with --redis-url-file, or whoever writes to the Redis could admit any image")
	refuse(c.RedisURLFile == "" && c.RedisHMACKeyFile+c.RedisCAFile != "", "redis-url-file", "it is required with --redis-hmac-key-file and --redis-ca-file")
	refuse(c.DrainDelay < 0, "drain-delay", "it must not be negative")
	refuse(c.UpstreamConcurrency < 1, "upstream-concurrency", "it must be at least 1")
	refuse(!(c.UpstreamQPS > 0), "upstream-qps", "it must be more than 0")
	refuse(c.CacheSize < 1, "cache-size", "it must be at least 1")
	refuse(c.MaxKeys < minKeys, "max-keys", "it must be at least 256, which is what the policy may send")
	refuse(c.MaxBodyBytes < 1<<10, "max-body-bytes", "it must be at least 1KiB")
	c.Endor.validate(refuse)
	refuse(c.DecisionLog == "", "decision-log", "it is off, stdout, stderr or a file")
	refuse(!(c.DecisionLogSample >= 0 && c.DecisionLogSample <= 1), "decision-log-sample", "it is a share, from 0 to 1")
	refuse(c.LogFormat != JSON && c.LogFormat != Text, "log-format", "it is json or text")
}

// validateCertificates holds that each certificate has exactly one source.
func (c *Serve) validateCertificates(refuse func(bad bool, flag, why string)) {
	if c.TLSSecret == "" {
		refuse(c.TLSCertFile == "", "tls-cert-file", "it is required, or --tls-secret")
		refuse(c.TLSPrivateKeyFile == "", "tls-private-key-file", "it is required, or --tls-secret")
	} else {
		refuse(c.TLSCertFile+c.TLSPrivateKeyFile != "", "tls-secret", "it excludes --tls-cert-file and --tls-private-key-file")
		namespace, name, ok := strings.Cut(c.TLSSecret, "/")
		refuse(!ok || namespace == "" || name == "" || strings.Contains(name, "/"), "tls-secret", "write it as NAMESPACE/NAME")
		refuse(len(c.TLSNames) == 0, "tls-names", "it is required with --tls-secret: SERVICE.NAMESPACE.svc")
		refuse(slices.ContainsFunc(c.TLSNames, func(name string) bool { return name == "" || net.ParseIP(name) != nil }), "tls-names", "each is a DNS name")
		refuse(c.ProviderName == "", "provider-name", "it is required with --tls-secret: nobody else knows the CA")
		refuse(c.ProviderCAFile != "", "provider-ca-file", "it is for certificates in files; --tls-secret has a CA of its own")
	}
	refuse(c.TLSSecret == "" && len(c.TLSNames) > 0, "tls-names", "it is for --tls-secret")

	sources := 0
	for _, given := range []bool{c.ClientCAFile != "", c.ClientCAFromWebhook != "", c.InsecureNoClientAuth} {
		if given {
			sources++
		}
	}
	refuse(sources == 0, "client-ca-file", "it is required, or --client-ca-from-webhook")
	refuse(sources > 1, "client-ca-file", "give one of it, --client-ca-from-webhook and --insecure-no-client-auth")
	refuse(len(c.ClientNames) == 0 || slices.Contains(c.ClientNames, ""), "client-names", "at least one name is required, and none may be empty")

	if c.ProviderName == "" {
		refuse(c.ProviderURL+c.ProviderCAFile+c.ProviderOwner != "", "provider-name", "it is required with the other flags of the Provider object")
		return
	}
	u, err := url.Parse(c.ProviderURL)
	refuse(err != nil || u.Scheme != "https" || u.Hostname() == "", "provider-url", "it is required with --provider-name, and begins with https://")
	refuse(c.TLSSecret != "" && err == nil && !slices.Contains(c.TLSNames, u.Hostname()), "provider-url", "its host must be among --tls-names")
	refuse(c.TLSSecret == "" && c.ProviderCAFile == "", "provider-ca-file", "it is required with --provider-name and certificates in files")
	refuse(c.ProviderTimeout%time.Second != 0, "provider-timeout", "it must be whole seconds, as Gatekeeper counts")
	refuse(c.ProviderTimeout < c.ResponseBudget+200*time.Millisecond, "provider-timeout", "it must be at least --response-budget and 0.2s, or Gatekeeper hangs up before the answer")
}
