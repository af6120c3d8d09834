// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
)

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, tc := range []struct {
		name, url string
		want      string // empty if it can work
	}{
		{"TCP", "redis://user:hunter2@redis.example:6379/3", ""},
		{"TLS, with the end of line of a file", "rediss://:hunter2@redis.example\n", ""},
		{"an address of version 6", "redis://:hunter2@[::1]:6379", ""},
		{"a socket", "unix://user:hunter2@/run/hunter2.sock?db=1", ""},
		{"nothing", "", "begins with none of"},
		{"no URL", "redis://user:hunter2\x7f@redis.example", "is not a URL"},
		{"a port that is none", "redis://redis.example:hunter2", "is not a URL"},
		{"another protocol", "https://user:hunter2@redis.example", "begins with none of"},
		{"a password alone", "hunter2", "begins with none of"},
		{"no host", "redis://user:hunter2@/0", "no host"},
		{"no slashes", "redis:hunter2", "no host"},
		{"a socket without a path", "unix://user:hunter2@", "no absolute path"},
		{"a socket with a host", "unix://hunter2/redis.sock", "no absolute path"},
		{"a database that is no number", "redis://redis.example/hunter2", "not a number"},
		{"a database that is no number, as an option", "redis://redis.example?db=hunter2", "not a number"},
		{"more than a database", "redis://redis.example/0/hunter2", "more after it"},
		{"unchecked certificates", "rediss://:hunter2@redis.example?skip_verify=true", "none but db"},
		{"a read of an hour", "redis://:hunter2@redis.example?read_timeout=1h", "none but db"},
		{"an unknown option", "redis://redis.example?hunter2=1", "none but db"},
		{"a fragment", "redis://redis.example#hunter2", "none but db"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := sharedcache.New(sharedcache.Config{URL: tc.url, Keys: [][]byte{keyA}, Origin: origin})
			wantMessage(t, err, tc.want)
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "redis.example")) {
				t.Errorf("the error repeats the URL: %v", err)
			}
		})
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	_, err := sharedcache.New(sharedcache.Config{Keys: [][]byte{keyA, keyA[:31], nil}, Timeout: -time.Second})
	for _, want := range []string{"Redis URL", "3 HMAC keys", "key 2 has 31 bytes", "key 3 has 0 bytes", "Origin is required", "negative duration"} {
		wantMessage(t, err, want)
	}
	_, err = sharedcache.New(sharedcache.Config{URL: "redis://redis.example", Origin: origin})
	wantMessage(t, err, "0 HMAC keys")
}
