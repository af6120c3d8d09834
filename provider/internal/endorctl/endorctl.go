// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package endorctl finds the settings of Endor Labs where users of endorctl
// have them: in variables, and in the file that "endorctl init" writes.
//
// API and namespace are looked up one by one: flag, then ENDOR_API and
// ENDOR_NAMESPACE, then the file. Credentials come as a whole from the first of
// these that has any, so that half of one pair never meets half of another:
//
//  1. --endor-api-key-file and --endor-api-secret-file
//  2. ENDOR_API_CREDENTIALS_KEY and ENDOR_API_CREDENTIALS_SECRET, or ENDOR_TOKEN
//  3. the same names in the file
//
// endorctl itself lets its file win over ENDOR_TOKEN. Here a variable, which is
// set for one session, wins over a file that lies there for all.
//
// The file is ~/.endorctl/config.yaml, or what ENDOR_CONFIG_PATH names: the
// file, or the folder that it is in. Its content is in no error.
package endorctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
)

const (
	pathVariable = "ENDOR_CONFIG_PATH"
	fileName     = "config.yaml"
)

var (
	credentials = []string{config.VariableKey, config.VariableSecret, config.VariableToken}

	// settings are the variables that are flags too, by flag.
	settings = map[string]string{
		"endor-api":       config.VariableAPI,
		"endor-namespace": config.VariableNamespace,
	}
)

// Complete fills in what the flags, which cfg was bound to, leave open. home is
// the user's home directory; empty means that there is none.
func Complete(cfg *config.Endor, flags *pflag.FlagSet, getenv func(string) string, home string) error {
	file, err := read(getenv(pathVariable), home)
	if err != nil {
		return err
	}
	for flag, name := range settings {
		f := flags.Lookup(flag)
		value := getenv(name)
		if value == "" {
			value = file[name]
		}
		if f.Changed || value == "" {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if cfg.EndorAPIKeyFile != "" || cfg.EndorAPISecretFile != "" {
		return nil
	}
	get := getenv
	if !slices.ContainsFunc(credentials, func(name string) bool { return getenv(name) != "" }) {
		get = func(name string) string { return file[name] }
	}
	cfg.ReadCredentials(get)
	return nil
}

// read reads the file: nothing, if nobody named it and it is not there.
func read(path, home string) (map[string]string, error) {
	named := path != ""
	switch {
	case named:
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, fileName)
		}
	case home == "":
		return nil, nil
	default:
		path = filepath.Join(home, ".endorctl", fileName)
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil, nil
	case err != nil && named:
		return nil, fmt.Errorf("%s: %w", pathVariable, err)
	case err != nil:
		return nil, err
	}
	values, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// parse reads the names that count here. The parser's own errors repeat what
// stands in the file, so they are not passed on.
func parse(content []byte) (map[string]string, error) {
	var document yaml.Node
	if yaml.Unmarshal(content, &document) != nil {
		return nil, errors.New("it is not YAML; write a line KEY: value for each setting")
	}
	values := map[string]string{}
	if document.Kind == 0 {
		return values, nil // empty
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("it holds no settings; write a line KEY: value for each")
	}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if !known(key.Value) {
			continue // endorctl's own affair
		}
		if _, twice := values[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %s stands in it twice", key.Line, key.Value)
		}
		if value.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: the value of %s is no text", value.Line, key.Value)
		}
		if value.Tag != "!!null" {
			values[key.Value] = value.Value
		}
	}
	return values, nil
}

func known(name string) bool {
	return slices.Contains(credentials, name) || name == config.VariableAPI || name == config.VariableNamespace
}
