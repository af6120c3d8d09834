// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
)

// flagTable has the flags in the order of their declaration, which groups them.
func flagTable(c chart) (string, error) {
	var serve config.Serve
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SortFlags = false
	serve.Bind(flags)

	var table strings.Builder
	table.WriteString("| flag, variable | default | meaning | value of the chart |\n|---|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		argument, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if argument != "" {
			name += " " + argument
		}
		names := []string{"`" + name + "`"}
		for _, variable := range config.Variables(f.Name) {
			names = append(names, "`"+variable+"`")
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", strings.Join(names, "<br>"), defaultOf(f), cell(usage), chartValue(c, f.Name))
	})
	for flag := range c.sets {
		if flags.Lookup(flag) == nil {
			return "", errors.New("the chart passes --" + flag + ", which serve does not know")
		}
	}
	return table.String(), nil
}

func defaultOf(f *pflag.Flag) string {
	text := strings.Trim(f.DefValue, "[]")
	if f.Value.Type() == "duration" {
		// 1h0m0s is what nobody writes.
		text = durations.ReplaceAllString(f.DefValue, "$1")
	}
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// durations is a whole number of hours or minutes, as time.Duration prints it.
var durations = regexp.MustCompile(`^(\d+h|\d+m)(?:0m)?0s$`)

// chartValue says how the chart sets a flag. What it has no value for goes
// through extraArgs.
func chartValue(c chart, flag string) string {
	values, passed := c.sets[flag]
	switch {
	case !passed:
		return "`extraArgs`"
	case len(values) == 0:
		return "fixed"
	default:
		return "`" + strings.Join(values, "`, `") + "`"
	}
}

// valueTable has the values by name, each with the first sentence of what the
// chart's README says of it.
func valueTable(c chart) string {
	var table strings.Builder
	table.WriteString("| value | default | meaning |\n|---|---|---|\n")
	for _, path := range slices.Sorted(maps.Keys(c.values)) {
		v := c.values[path]
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", path, jsonDefault(v.Default), cell(firstSentence(v.Description)))
	}
	return table.String()
}

func jsonDefault(raw json.RawMessage) string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil || compact.String() == `""` || compact.Len() == 0 {
		return ""
	}
	text := compact.String()
	if unquoted := ""; json.Unmarshal(raw, &unquoted) == nil {
		text = unquoted
	}
	return "`" + cell(text) + "`"
}

// firstSentence is what stands before the first example, list or full stop.
func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, "\n\n")
	text = strings.Join(strings.Fields(text), " ")
	if sentence, _, ok := strings.Cut(text, ". "); ok {
		text = sentence
	}
	return strings.TrimRight(text, ".:") + "."
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
