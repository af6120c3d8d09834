// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const chartFolder = "charts/endor-gatekeeper-provider"

// chart is what the chart says of itself.
type chart struct {
	values map[string]value // by path, such as tls.mode

	// sets are the values that decide each flag that the Deployment passes.
	sets map[string][]string
}

type value struct {
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
	Properties  map[string]any  `json:"properties"`
}

// indirect are the values behind flags whose line in the Deployment does not
// name them; none for what the chart decides itself.
var indirect = map[string][]string{
	"client-ca-file":           {"tls.clientCA.existingConfigMap", "tls.clientCA.existingSecret"},
	"client-ca-from-webhook":   {"tls.clientCA.fromWebhook"},
	"client-names":             {"tls.clientNames"},
	"count-constraints-of":     {"constraintMetrics", "provider.name"},
	"endor-api-key-file":       {"auth.existingSecret", "auth.apiKeyFile"},
	"endor-api-secret-file":    {"auth.existingSecret", "auth.apiSecretFile"},
	"allowed-endor-namespaces": {"allowedEndorNamespaces"},
	"certificate-oidc-issuer":  {"certificateOidcIssuer"},
	"decision-log":             {"decisionLog.output"},
	"endor-api-key-expiry":     {"auth.apiKeyExpiry"},
	"endor-ca-file":            {"endorCA.existingConfigMap", "endorCA.existingSecret"},
	"insecure-no-client-auth":  {"tls.insecureNoClientAuth"},
	"listen-address":           {},
	"ops-address":              {},
	"provider-ca-file":         {"tls.mode"},
	"provider-owner":           {"tls.mode"},
	"provider-url":             {"provider.url"},
	"redis-ca-file":            {"redis.existingSecretKeys.ca"},
	"redis-hmac-key-file":      {"redis.existingSecret"},
	"redis-url-file":           {"redis.existingSecret"},
	"tls-cert-file":            {"tls.existingSecret"},
	"tls-names":                {"tls.extraNames"},
	"tls-private-key-file":     {"tls.existingSecret"},
	"tls-secret":               {"tls.mode"},
}

// byVariable are the values behind flags that the Deployment gives as variables.
var byVariable = map[string][]string{"endor-api": {"endorAPI"}, "endor-namespace": {"endorNamespace"}}

var (
	passed = regexp.MustCompile(`^- .*?--([a-z0-9-]+)`)
	named  = regexp.MustCompile(`\.Values\.([A-Za-z0-9.]+)`)
)

func readChart(root string) (chart, error) {
	c := chart{values: map[string]value{}, sets: maps.Clone(byVariable)}
	content, err := os.ReadFile(filepath.Join(root, chartFolder, "values.schema.json"))
	if err != nil {
		return c, err
	}
	var schema struct {
		Defs map[string]value `json:"$defs"`
	}
	if err := json.Unmarshal(content, &schema); err != nil {
		return c, err
	}
	for name, v := range schema.Defs {
		path, ok := strings.CutPrefix(name, "helm-values.")
		if ok && len(v.Properties) == 0 && path != "global" { // Helm's, and nothing here
			c.values[path] = v
		}
	}
	deployment, err := os.ReadFile(filepath.Join(root, chartFolder, "templates", "deployment.yaml"))
	if err != nil {
		return c, err
	}
	return c, errors.Join(c.readFlags(string(deployment)), c.validate())
}

// readFlags finds what the Deployment passes, and the value in the same line.
func (c chart) readFlags(deployment string) error {
	var errs []error
	for line := range strings.Lines(deployment) {
		m := passed.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		flag, values := m[1], indirect[m[1]]
		_, known := indirect[flag]
		for _, m := range named.FindAllStringSubmatch(line, -1) {
			if _, ok := c.values[m[1]]; ok && !known {
				values = append(values, m[1])
			}
		}
		if len(values) == 0 && !known {
			errs = append(errs, fmt.Errorf("the chart passes --%s; say in indirect which value decides it", flag))
		}
		c.sets[flag] = values
	}
	return errors.Join(errs...)
}

// validate holds that indirect is of the chart as it is.
func (c chart) validate() error {
	var errs []error
	for _, flag := range slices.Sorted(maps.Keys(indirect)) {
		if _, ok := c.sets[flag]; !ok {
			errs = append(errs, fmt.Errorf("indirect: the chart does not pass --%s", flag))
		}
	}
	for flag, values := range c.sets {
		for _, v := range values {
			if _, ok := c.values[v]; !ok {
				errs = append(errs, fmt.Errorf("--%s: the chart has no value %s", flag, v))
			}
		}
	}
	return errors.Join(errs...)
}
