// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// others are programs of others whose words are not looked at.
var others = strings.Fields(". base64 cat cd cp crane curl docker echo export getent git go grep head install jq kill ls mkdir mktemp mv " +
	"gh openssl printf promtool rm sed sha256sum sleep tar test true until")

// wrong says what one simple command names that is not there.
func wrong(t *testing.T, words []string) (found []string) {
	t.Helper()
	program, args := words[0], words[1:]
	for _, word := range words {
		if path := pathIn(word); path != "" {
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				found = append(found, "there is no "+path)
			}
		}
	}
	flags := flagsOf(args)
	switch base := filepath.Base(program); {
	case base == "make":
		makefile := read(t, "Makefile")
		for _, target := range args {
			if !strings.Contains(target, "=") && !strings.Contains(makefile, "\n"+target+":") {
				found = append(found, "make has no target "+target)
			}
		}
	case base == "kubectl" && len(args) > 0 && args[0] == "endor":
		found = append(found, unknownTo("kubectl-endor", args[1:], flags)...)
	case base == "kubectl":
		found = append(found, oneOf("kubectl", args, "annotate api-resources apply auth config create debug delete describe diff edit events exec get label logs "+
			"patch port-forward replace rollout run scale set version wait")...)
	case base == "helm":
		found = append(found, oneOf("helm", args, "get history install list package pull registry repo rollback show status template uninstall upgrade version")...)
		if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "endor-gatekeeper-provider") }) {
			found = append(found, unknownValues(t, args)...)
		}
	case base == "endorctl":
		found = append(found, unknownToEndorctl(args, flags)...)
	case helps[base] != "":
		found = append(found, unknownTo(base, args, flags)...)
	case strings.HasPrefix(program, "scripts/"):
		content, err := os.ReadFile(filepath.Join(root, program))
		for _, flag := range flags {
			if err == nil && !strings.Contains(string(content), flag) {
				found = append(found, program+" does not know "+flag)
			}
		}
	case !slices.Contains(others, base):
		found = append(found, "nobody knows the program "+program)
	}
	return found
}

var repositoryPath = regexp.MustCompile(`(?:^|=)((?:charts|deploy|docs|examples|policies|provider|scripts)/[A-Za-z0-9._/-]+)`)

func pathIn(word string) string {
	if m := repositoryPath.FindStringSubmatch(word); m != nil && !strings.Contains(word, "...") {
		return m[1]
	}
	return ""
}

// flagsOf are the flags before a -- that ends them, without their values.
func flagsOf(args []string) []string {
	var flags []string
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if strings.HasPrefix(arg, "--") {
			flag, _, _ := strings.Cut(arg, "=")
			flags = append(flags, flag)
		}
	}
	return flags
}

func unknownTo(program string, args, flags []string) []string {
	command := program
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") || helps[command+" "+arg] == "" {
			break
		}
		command += " " + arg
	}
	if command == program && len(args) > 0 && args[0] != "--help" {
		return []string{program + " has no command " + args[0]}
	}
	var found []string
	for _, flag := range flags {
		if !regexp.MustCompile(`[ ,]` + flag + `\b[^-]`).MatchString(helps[command]) {
			found = append(found, command+" does not know "+flag)
		}
	}
	return found
}

func oneOf(program string, args []string, commands string) []string {
	for i, arg := range args {
		if strings.HasPrefix(arg, "-") {
			continue
		}
		if i > 0 && (args[i-1] == "-n" || args[i-1] == "--namespace") {
			continue
		}
		if !slices.Contains(strings.Fields(commands), arg) {
			return []string{program + " has no command " + arg}
		}
		return nil
	}
	return nil
}

// unknownToEndorctl knows what Endor Labs documents of endorctl artifact.
func unknownToEndorctl(args, flags []string) []string {
	known := map[string]string{
		"sign": "--name --source-repository-ref --certificate-oidc-issuer --certificate-identity --source-repository --source-repository-owner " +
			"--source-repository-digest --build-config-name --build-config-digest --runner-environment --enable-github-action-token",
		"verify":           "--name --certificate-oidc-issuer",
		"revoke-signature": "--name --source-repository-ref",
	}
	if len(args) < 2 || args[0] != "artifact" || known[args[1]] == "" {
		return []string{fmt.Sprintf("endorctl has no command %v", args)}
	}
	var found []string
	for _, flag := range flags {
		if !slices.Contains(strings.Fields(known[args[1]]), flag) {
			found = append(found, "endorctl artifact "+args[1]+" does not know "+flag)
		}
	}
	return found
}

// unknownValues are values of the chart that --set names and nobody reads.
func unknownValues(t *testing.T, args []string) []string {
	t.Helper()
	var schema struct {
		Defs map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(read(t, "charts/endor-gatekeeper-provider/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	var found []string
	for i, arg := range args {
		if i == 0 || !strings.HasPrefix(args[i-1], "--set") {
			continue
		}
		list := []string{arg}
		if !strings.Contains(arg, "{") {
			list = strings.Split(arg, ",")
		}
		for _, setting := range list {
			path, _, _ := strings.Cut(setting, "=")
			if _, ok := schema.Defs["helm-values."+path]; !ok {
				found = append(found, "the chart has no value "+path)
			}
		}
	}
	return found
}
