// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build redis

package sharedcache_test

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestWhatOneProviderPutsAllOthersGet(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a, b := running(t, newCache(t, s.url())), running(t, newCache(t, s.url()))
	good := verdict(verify.Verified, 0)
	good.Signer = question.Claims{CertificateOIDCIssuer: "https://gitlab.com", RunnerEnvironment: "self-hosted"}
	good.SignedAt = noon.Add(-time.Hour)
	put(t, a, api, good)
	put(t, a, web, verdict(verify.NotSigned, time.Second))

	got := b.Get(t.Context(), []verify.ID{{9}, web, api})
	if len(got) != 2 || got[api] != good || got[web] != verdict(verify.NotSigned, time.Second) {
		t.Errorf("Get = %+v", got)
	}
	if hits, misses := b.requests(t, "hit"), b.requests(t, "miss"); hits != 2 || misses != 1 {
		t.Errorf("%d hits and %d misses, want 2 and 1", hits, misses)
	}
	// An entry makes room when it is over.
	admin := s.intruder(t)
	for _, name := range admin.names(t) {
		if ttl := admin.PTTL(t.Context(), name).Val(); ttl <= 0 || ttl > 5*time.Minute+time.Second {
			t.Errorf("an entry lives %v", ttl)
		}
	}
}

func TestUndecidedAndFinishedVerdictsAreNotKept(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url()))
	put(t, c, api, verdict(verify.Unavailable, 0))
	put(t, c, api, verdict(verify.Misconfigured, 0))
	put(t, c, api, verdict(verify.Verified, -5*time.Minute))
	if got := c.writes(t, "refused"); got != 3 {
		t.Errorf("%d writes were refused, want 3", got)
	}
	if names := s.intruder(t).names(t); len(names) != 0 {
		t.Errorf("the Redis has %q", names)
	}
}

func TestTLSAndAUserWithTheLeastRights(t *testing.T) {
	t.Parallel()
	authority, err := certs.NewAuthority("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(time.Hour, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"cert": pair.Cert, "key": pair.Key, "ca": authority.CertPEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startRedis(t, "port 0\ntls-port %d",
		fmt.Sprintf("tls-cert-file %[1]s/cert\ntls-key-file %[1]s/key\ntls-ca-cert-file %[1]s/ca\ntls-auth-clients no", dir),
		"user default off",
		// As the documentation of the package has it.
		"user provider on >hunter2 ~endor:v1:* +mget +getrange +set +eval +evalsha",
		"user reader on >hunter2 ~endor:v1:* +set")
	trusted := func(cfg *sharedcache.Config) {
		cfg.RootCAs = x509.NewCertPool()
		cfg.RootCAs.AddCert(authority.Certificate())
	}
	untrusted := func(cfg *sharedcache.Config) { cfg.RootCAs = x509.NewCertPool() }

	c := running(t, newCache(t, "rediss://provider:hunter2@"+s.addr, trusted))
	put(t, c, api, verdict(verify.Verified, 0))
	want(t, c, api, verdict(verify.Verified, 0))
	if c.log.String() != "" {
		t.Errorf("it logs: %s", c.log)
	}

	for _, tc := range []struct {
		name, url string
		change    func(*sharedcache.Config)
		trouble   string
	}{
		{"wrong password", "rediss://provider:hunter3@" + s.addr, trusted, "it answers WRONGPASS"},
		{"no user", "rediss://" + s.addr, trusted, "it answers NOAUTH"},
		{"no right to read", "rediss://reader:hunter2@" + s.addr, trusted, "it answers NOPERM"},
		{"another authority", "rediss://provider:hunter2@" + s.addr, untrusted, "its certificate is not trusted"},
		{"no TLS", "redis://provider:hunter2@" + s.addr, trusted, "connection"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := running(t, newCache(t, tc.url, tc.change))
			eventually(t, "it is logged", func() bool { return c.log.String() != "" })
			wantNone(t, c, api)
			wantText(t, c.log.String(), tc.trouble)
			for _, secret := range []string{"hunter", "127.0.0.1", "provider"} {
				if strings.Contains(c.log.String(), secret) {
					t.Errorf("the log repeats the URL: %s", c.log)
				}
			}
		})
	}
}

func TestASocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	startRedis(t, "port %d\nunixsocket "+path+"\nrequirepass hunter2")
	c := running(t, newCache(t, "unix://:hunter2@"+path+"?db=3"))
	put(t, c, api, verdict(verify.Verified, 0))
	want(t, c, api, verdict(verify.Verified, 0))
}

func TestTheVerdictThatWasAskedForLaterWins(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	c := running(t, newCache(t, s.url()))
	newer := verdict(verify.Revoked, time.Nanosecond)
	put(t, c, api, newer)
	put(t, c, api, verdict(verify.Verified, 0))
	want(t, c, api, newer)
	if stored, older := c.writes(t, "stored"), c.writes(t, "older"); stored != 1 || older != 1 {
		t.Errorf("%d verdicts were stored and %d were older, want 1 and 1", stored, older)
	}
	newest := verdict(verify.Verified, 2*time.Nanosecond)
	put(t, c, api, newest)
	want(t, c, api, newest)
}

// Three replicas hear answers in any order, at the same time.
func TestTheVerdictThatWasAskedForLaterWinsARace(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	const each, last = 300, 1000
	var writers sync.WaitGroup
	caches := make([]*cache, 3)
	for i := range caches {
		caches[i] = running(t, newCache(t, s.url()))
		writers.Go(func() {
			ages := rand.Perm(last)[:each]
			if i == 1 {
				ages[each/2] = last
			}
			for _, age := range ages {
				v := verdict(verify.NotSigned, time.Duration(age))
				if age == last {
					v = verdict(verify.Revoked, last)
				}
				caches[i].Put(api, v, noon.Add(time.Minute))
			}
		})
	}
	writers.Wait()
	for _, c := range caches {
		eventually(t, "all is written", func() bool { return done(t, c) == each })
		if stored, older := c.writes(t, "stored"), c.writes(t, "older"); stored+older != each {
			t.Errorf("%d of %d verdicts were stored or older", stored+older, each)
		}
	}
	for _, c := range caches {
		want(t, c, api, verdict(verify.Revoked, last))
	}
}

func TestAKeyIsRolled(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	keys := func(keys ...[]byte) func(*sharedcache.Config) {
		return func(cfg *sharedcache.Config) { cfg.Keys = keys }
	}
	before := running(t, newCache(t, s.url(), keys(keyA)))
	knows := running(t, newCache(t, s.url(), keys(keyA, keyB)))
	signs := running(t, newCache(t, s.url(), keys(keyB, keyA)))
	after := running(t, newCache(t, s.url(), keys(keyB)))

	put(t, before, api, verdict(verify.Verified, 0))
	for _, c := range []*cache{before, knows, signs} {
		want(t, c, api, verdict(verify.Verified, 0))
	}
	wantNone(t, after, api)

	// Both names have a verdict now: the one that was asked for later wins,
	// whichever key signed it.
	put(t, signs, api, verdict(verify.Revoked, time.Second))
	for _, c := range []*cache{knows, signs, after} {
		want(t, c, api, verdict(verify.Revoked, time.Second))
	}
	put(t, knows, api, verdict(verify.NotSigned, 2*time.Second))
	for _, c := range []*cache{before, knows, signs} {
		want(t, c, api, verdict(verify.NotSigned, 2*time.Second))
	}
	want(t, after, api, verdict(verify.Revoked, time.Second))
}

// Providers that share a Redis, and even the key, but not the Endor namespace,
// the API or the default signer, are strangers to each other.
func TestNothingCrossesBetweenProviders(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	image, err := imageref.Parse("ghcr.io/acme/api@sha256:" + strings.Repeat("1a", 32))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := question.NewSigners(question.Claims{CertificateOIDCIssuer: "https://gitlab.com"})
	if err != nil {
		t.Fatal(err)
	}
	type provider struct {
		*cache
		name string
		id   verify.ID
	}
	var providers []provider
	for _, key := range [][]byte{keyA, keyB} {
		for _, api := range []string{"https://api.example.com", "https://api.staging.example.com"} {
			for _, namespace := range []string{"acme", "acme.staging"} {
				for _, signers := range []question.Signers{{}, signer} {
					q := question.Question{Image: image, Namespace: namespace, Signers: signers}
					providers = append(providers, provider{
						name: fmt.Sprint(string(key[0]), api, q.Key()), id: verify.Identify(q),
						cache: running(t, newCache(t, s.url(), func(cfg *sharedcache.Config) {
							cfg.Keys, cfg.Origin = [][]byte{key}, api
						})),
					})
				}
			}
		}
	}
	for i, p := range providers {
		for _, other := range providers[i:] {
			wantNone(t, other.cache, other.id)
		}
		put(t, p.cache, p.id, verdict(verify.Verified, time.Duration(i)))
	}
	for i, p := range providers {
		want(t, p.cache, p.id, verdict(verify.Verified, time.Duration(i)))
	}
	admin := s.intruder(t)
	names := admin.names(t)
	if len(names) != len(providers) {
		t.Errorf("%d providers have %d entries", len(providers), len(names))
	}
	for _, name := range names {
		for _, part := range []string{"acme", "1a1a", "example"} {
			if strings.Contains(name+admin.value(t, name), part) {
				t.Errorf("the Redis learns of %q", part)
			}
		}
	}
}
