// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endorctl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endorctl"
)

// given is where settings may stand.
type given struct {
	flags []string
	env   map[string]string
	file  string // content of ~/.endorctl/config.yaml; empty means there is none
}

func complete(t *testing.T, g given) (config.Endor, error) {
	t.Helper()
	home := t.TempDir()
	if g.file != "" {
		write(t, filepath.Join(home, ".endorctl", "config.yaml"), g.file)
	}
	return load(t, g, home)
}

func load(t *testing.T, g given, home string) (config.Endor, error) {
	t.Helper()
	var cfg config.Endor
	flags := pflag.NewFlagSet("verify", pflag.ContinueOnError)
	cfg.Bind(flags)
	if err := flags.Parse(g.flags); err != nil {
		t.Fatal(err)
	}
	return cfg, endorctl.Complete(&cfg, flags, func(name string) string { return g.env[name] }, home)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const file = `# written by endorctl init
ENDOR_API: https://file.example
ENDOR_NAMESPACE: file
ENDOR_API_CREDENTIALS_KEY: file-key
ENDOR_API_CREDENTIALS_SECRET: "file-secret"
ENDOR_SCAN_PATH: {its: own}
`

func TestSettingsComeFromTheFirstPlaceThatHasThem(t *testing.T) {
	t.Parallel()
	type want struct{ API, Namespace, KeyFile, Key, Secret, Token string }
	for _, tc := range []struct {
		name  string
		given given
		want  want
	}{
		{"nothing is given", given{}, want{API: "https://api.endorlabs.com"}},
		{"the file of endorctl", given{file: file}, want{API: "https://file.example", Namespace: "file", Key: "file-key", Secret: "file-secret"}},
		{"a variable wins over the file, one by one", given{file: file, env: map[string]string{"ENDOR_NAMESPACE": "env"}},
			want{API: "https://file.example", Namespace: "env", Key: "file-key", Secret: "file-secret"}},
		{"a flag wins over both", given{file: file, env: map[string]string{"ENDOR_NAMESPACE": "env"}, flags: []string{"--endor-namespace=flag", "--endor-api=https://flag.example"}},
			want{API: "https://flag.example", Namespace: "flag", Key: "file-key", Secret: "file-secret"}},
		{"a token of the session wins over the file's pair, which is not mixed in", given{file: file, env: map[string]string{"ENDOR_TOKEN": "token\n"}},
			want{API: "https://file.example", Namespace: "file", Token: "token"}},
		{"half a pair in variables is not made whole from the file", given{file: file, env: map[string]string{"ENDOR_API_CREDENTIALS_KEY": "env-key"}},
			want{API: "https://file.example", Namespace: "file", Key: "env-key"}},
		{"files by flag win over everything", given{file: file, env: map[string]string{"ENDOR_TOKEN": "token"}, flags: []string{"--endor-api-key-file=key"}},
			want{API: "https://file.example", Namespace: "file", KeyFile: "key"}},
		{"an empty file", given{file: "# nothing\n"}, want{API: "https://api.endorlabs.com"}},
		{"a setting without a value", given{file: "ENDOR_NAMESPACE:\n"}, want{API: "https://api.endorlabs.com"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := complete(t, tc.given)
			if err != nil {
				t.Fatal(err)
			}
			got := want{cfg.EndorAPI, cfg.EndorNamespace, cfg.EndorAPIKeyFile, cfg.EndorAPIKey, cfg.EndorAPISecret, cfg.EndorToken}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheVariableForThePathNamesTheFileOrItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), file)
	for _, path := range []string{dir, filepath.Join(dir, "config.yaml")} {
		cfg, err := load(t, given{env: map[string]string{"ENDOR_CONFIG_PATH": path}}, "")
		if err != nil || cfg.EndorNamespace != "file" {
			t.Errorf("%s: namespace %q, error %v", path, cfg.EndorNamespace, err)
		}
	}
	_, err := load(t, given{env: map[string]string{"ENDOR_CONFIG_PATH": filepath.Join(dir, "missing.yaml")}}, "")
	if err == nil || !strings.Contains(err.Error(), "ENDOR_CONFIG_PATH: open") {
		t.Errorf("a file that was named and is not there: error = %v", err)
	}
}

func TestAFileThatCannotBeReadIsNamedWithoutItsContent(t *testing.T) {
	t.Parallel()
	const secret = "endr+hunter2"
	for name, tc := range map[string]struct{ content, want string }{
		"no YAML":          {"ENDOR_TOKEN: \"" + secret + "\nx: [", "it is not YAML"},
		"no settings":      {secret, "it holds no settings"},
		"a setting twice":  {"ENDOR_TOKEN: " + secret + "\nENDOR_TOKEN: " + secret + "\n", "line 2: ENDOR_TOKEN stands in it twice"},
		"no text as value": {"\nENDOR_TOKEN: [" + secret + "]\n", "line 2: the value of ENDOR_TOKEN is no text"},
		"a forged anchor":  {"ENDOR_TOKEN: *" + secret + "\n", "it is not YAML"},
	} {
		_, err := complete(t, given{file: tc.content})
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "config.yaml") {
			t.Errorf("%s: error = %v, want %q and the file", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds the secret: %v", name, err)
		}
	}
}
