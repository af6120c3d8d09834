// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in, want string
		wantErr        string
	}{
		{name: "empty means the United States", in: "", want: "https://api.endorlabs.com"},
		{name: "the European Union", in: "https://api.eu.endorlabs.com", want: "https://api.eu.endorlabs.com"},
		{name: "slashes at the end", in: "https://api.endorlabs.com//", want: "https://api.endorlabs.com"},
		{name: "behind a path", in: "https://gateway.example.com/endor/", want: "https://gateway.example.com/endor"},
		{name: "http on loopback, IPv4", in: "http://127.0.0.1:8080", want: "http://127.0.0.1:8080"},
		{name: "http on loopback, IPv6", in: "http://[::1]:8080", want: "http://[::1]:8080"},
		{name: "http on localhost", in: "http://localhost:8080", want: "http://localhost:8080"},

		{name: "http beyond loopback", in: "http://api.endorlabs.com", wantErr: "https"},
		{name: "http to every address", in: "http://0.0.0.0:8080", wantErr: "https"},
		{name: "http to a name that begins like loopback", in: "http://localhost.evil.example", wantErr: "https"},
		{name: "http to a name that begins like an address", in: "http://127.0.0.1.evil.example", wantErr: "https"},
		{name: "a user", in: "https://hunter1@api.endorlabs.com", wantErr: "user"},
		{name: "a user and a password", in: "https://hunter1:hunter2@api.endorlabs.com", wantErr: "user"},
		{name: "a password beside http", in: "http://hunter1:hunter2@api.endorlabs.com", wantErr: "user"},
		{name: "a password with a slash, which ends the host", in: "http://hunter1:2222/hunter2@api.endorlabs.com", wantErr: "https"},
		{name: "a password with a percent sign, which is no escape", in: "https://hunter1:hunter2%zz@api.endorlabs.com", wantErr: "not a URL"},
		{name: "a password with a space", in: "https://hunter1:hun ter2@api.endorlabs.com", wantErr: "not a URL"},
		{name: "a query", in: "https://api.endorlabs.com/?key=hunter2", wantErr: "query"},
		{name: "an empty query, which would swallow the paths", in: "https://api.endorlabs.com?", wantErr: "query"},
		{name: "a fragment", in: "https://api.endorlabs.com/#hunter2", wantErr: "fragment"},
		{name: "another scheme", in: "ftp://api.endorlabs.com", wantErr: `"ftp"`},
		{name: "no scheme", in: "//api.endorlabs.com", wantErr: "scheme"},
		{name: "a host alone", in: "api.endorlabs.com", wantErr: "not a URL"},
		{name: "host and port alone", in: "api.endorlabs.com:443", wantErr: "not a URL"},
		{name: "no host", in: "https://", wantErr: "not a URL"},
		{name: "a port alone", in: "https://:443", wantErr: "not a URL"},
		{name: "a line break", in: "https://api.endorlabs.com\n", wantErr: "not a URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := endor.ParseBaseURL(tc.in)
			if tc.wantErr == "" {
				if err != nil || got != tc.want {
					t.Errorf("ParseBaseURL(%q) = %q, error %v; want %q", tc.in, got, err, tc.want)
				}
				return
			}
			if err == nil || got != "" {
				t.Fatalf("ParseBaseURL(%q) = %q, error %v; want an error alone", tc.in, got, err)
			}
			t.Logf("Got expected error: %v", err)
			wantText(t, err.Error(), tc.wantErr)
			for _, secret := range []string{"hunter", "ter2", "2222"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error repeats %q: %v", secret, err)
				}
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key, secret, empty := write("key", "endr+key"), write("secret", "endr+secret"), write("empty", " \n")
	for _, tc := range []struct {
		name    string
		cfg     endor.Config
		wantErr []string // nothing: none
	}{
		{name: "files", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: key, SecretFile: secret}}},
		{name: "key and secret", cfg: endor.Config{Credentials: endor.Credentials{Key: "endr+key", Secret: "endr+secret"}}},
		{name: "a token", cfg: endor.Config{Credentials: endor.Credentials{Token: "hunter2"}}},

		{name: "no credentials", wantErr: []string{"none are given"}},
		{name: "a key without its secret", cfg: endor.Config{Credentials: endor.Credentials{Key: "hunter2"}}, wantErr: []string{"go together"}},
		{name: "a secret without its key", cfg: endor.Config{Credentials: endor.Credentials{Secret: "hunter2"}}, wantErr: []string{"go together"}},
		{name: "a key file without its secret", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: key}}, wantErr: []string{"go together"}},
		{name: "a secret file without its key", cfg: endor.Config{Credentials: endor.Credentials{SecretFile: secret}}, wantErr: []string{"go together"}},
		{name: "one half each of two kinds", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: key, Secret: "hunter2"}}, wantErr: []string{"go together"}},
		{name: "files and a pair", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: key, SecretFile: secret, Key: "hunter2", Secret: "hunter2"}}, wantErr: []string{"more than one kind"}},
		{name: "files and a token", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: key, SecretFile: secret, Token: "hunter2"}}, wantErr: []string{"more than one kind"}},
		{name: "a pair and a token", cfg: endor.Config{Credentials: endor.Credentials{Key: "hunter2", Secret: "hunter2", Token: "hunter2"}}, wantErr: []string{"more than one kind"}},
		{name: "a token with a line break", cfg: endor.Config{Credentials: endor.Credentials{Token: "hunter2\n"}}, wantErr: []string{"line break"}},
		{name: "files that are not there: both are named", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: key + "1", SecretFile: secret + "1"}}, wantErr: []string{key + "1", secret + "1"}},
		{name: "a directory", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: dir, SecretFile: secret}}, wantErr: []string{dir}},
		{name: "an empty file", cfg: endor.Config{Credentials: endor.Credentials{KeyFile: key, SecretFile: empty}}, wantErr: []string{empty + " is empty"}},
		{name: "all that is wrong at once", cfg: endor.Config{BaseURL: "https://u:hunter2@api.endorlabs.com"}, wantErr: []string{"the address", "none are given"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := endor.New(tc.cfg)
			if len(tc.wantErr) == 0 {
				if err != nil {
					t.Fatalf("New: %v", err)
				}
				if got := c.BaseURL(); got != endor.DefaultBaseURL {
					t.Errorf("BaseURL() = %q, want %q", got, endor.DefaultBaseURL)
				}
				return
			}
			if err == nil || c != nil {
				t.Fatalf("New = %v, error %v; want an error alone", c, err)
			}
			t.Logf("Got expected error: %v", err)
			for _, want := range tc.wantErr {
				wantText(t, err.Error(), want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a credential: %v", err)
			}
		})
	}
}

func TestCredentialsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	credentials := endor.Credentials{KeyFile: "/hunter1", SecretFile: "/hunter2", Key: "hunter3", Secret: "hunter4", Token: "hunter5"}
	cfg := endor.Config{Credentials: credentials}
	printed := map[string]string{"String": credentials.String(), "print": fmt.Sprint(credentials), "error": fmt.Errorf("%w: %v", os.ErrInvalid, credentials).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%t"} {
		printed[verb] = fmt.Sprintf(verb, credentials)
		printed["pointer "+verb] = fmt.Sprintf(verb, &credentials)
		printed["config "+verb] = fmt.Sprintf(verb, cfg)
		printed["list "+verb] = fmt.Sprintf(verb, []endor.Credentials{credentials})
	}
	for name, v := range map[string]any{"": credentials, " pointer": &credentials, " in a struct": struct{ C endor.Credentials }{credentials}, " in a map": map[string]any{"c": credentials}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed["JSON"+name] = string(b)
		var text, lines bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("start", slog.Any("config", v))
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("start", slog.Group("config", slog.Any("credentials", v)))
		printed["slog text"+name], printed["slog JSON"+name] = text.String(), lines.String()
	}
	for how, got := range printed {
		if strings.Contains(got, "hunter") || strings.Contains(got, "68756e746572") {
			t.Errorf("%s prints %s", how, got)
		}
		if !strings.Contains(got, "[redacted]") {
			t.Errorf("%s prints %q, which does not say that something is left out", how, got)
		}
	}
}
