// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/sharedcache"
)

func TestKeysAreReadLineByLine(t *testing.T) {
	t.Parallel()
	a, b, c := bytes.Repeat([]byte{0xfb}, 32), bytes.Repeat([]byte{'b'}, 48), bytes.Repeat([]byte{'c'}, 32)
	line := base64.StdEncoding.EncodeToString
	for _, tc := range []struct {
		name, content string
		want          [][]byte
		wantErr       string
	}{
		{name: "one", content: line(a) + "\n", want: [][]byte{a}},
		{name: "one without an end of line", content: line(a), want: [][]byte{a}},
		{name: "two, the first signs", content: line(b) + "\n" + line(a) + "\n", want: [][]byte{b, a}},
		{name: "with the line ends of another system and empty lines", content: "\r\n" + line(a) + "\r\n\r\n" + line(b) + "\r\n", want: [][]byte{a, b}},
		{name: "none", content: "", wantErr: "no key"},
		{name: "empty lines alone", content: "\n\n", wantErr: "no key"},
		{name: "three", content: line(a) + "\n" + line(b) + "\n\n" + line(c), wantErr: "line 4: a third key"},
		{name: "short", content: line(a) + "\n" + line(b[:31]), wantErr: "line 2: a key of 31 bytes"},
		{name: "the same twice", content: line(a) + "\n" + line(a), wantErr: "line 2: the key of the line before"},
		{name: "base64 of URLs", content: base64.URLEncoding.EncodeToString(a), wantErr: "line 1: not base64"},
		{name: "without padding", content: base64.RawStdEncoding.EncodeToString(a), wantErr: "line 1: not base64"},
		{name: "hexadecimal", content: strings.Repeat("0f", 31), wantErr: "line 1: not base64"},
		{name: "a comment", content: line(a) + "\n# from March\n", wantErr: "line 2: not base64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := sharedcache.ParseKeys([]byte(tc.content))
			wantMessage(t, err, tc.wantErr)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			for secret := range strings.FieldsSeq(tc.content) {
				if err != nil && len(secret) > 3 && strings.Contains(err.Error(), secret) {
					t.Errorf("the error repeats what is in the file: %v", err)
				}
			}
		})
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(base64.StdEncoding.EncodeToString(make([]byte, 32))))
	f.Fuzz(func(t *testing.T, content []byte) {
		keys, err := sharedcache.ParseKeys(content)
		if (err == nil) != (len(keys) == 1 || len(keys) == 2) {
			t.Fatalf("%d keys, error = %v", len(keys), err)
		}
		for _, key := range keys {
			if len(key) < 32 {
				t.Fatalf("a key of %d bytes", len(key))
			}
		}
	})
}

func wantMessage(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error = %v, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error = %v, want one with %q", err, want)
	}
}
