// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	"sigs.k8s.io/yaml"
)

// TestNamesAreStrings holds that a namespace or a release whose name YAML reads
// as something else keeps it.
func TestNamesAreStrings(t *testing.T) {
	c := loaded(t)
	for _, odd := range []string{"on", "123", "null"} {
		for _, mode := range slices.Sorted(maps.Keys(modes)) {
			for from, given := range map[string]values{
				"release":          {},
				"nameOverride":     {"nameOverride": odd},
				"fullnameOverride": {"fullnameOverride": odd},
			} {
				with := values{"auth": values{"existingSecret": odd}, "policies": values{"enabled": false}}
				maps.Copy(with, modes[mode])
				maps.Copy(with, given)
				r, err := templateAs(c, odd, odd, with)
				if err != nil {
					t.Fatalf("%s, %s %s: %v", mode, from, odd, err)
				}
				full := odd + "-" + name
				if from != "release" {
					// The release's name holds that of nameOverride already.
					full = odd
				}
				named := 0
				for _, object := range decoded(t, r) {
					metadata, _ := object["metadata"].(map[string]any)
					if namespace, has := metadata["namespace"]; has && namespace != odd {
						t.Errorf("%s, %s %s: %s has the namespace %#v", mode, from, odd, object["kind"], namespace)
					}
					if metadata["name"] == full {
						named++
					} else if got, is := metadata["name"].(string); !is || (!strings.HasPrefix(got, full+"-") && object["kind"] != "Provider") {
						t.Errorf("%s, %s %s: %s has the name %#v", mode, from, odd, object["kind"], metadata["name"])
					}
					labels, _ := metadata["labels"].(map[string]any)
					if instance := labels["app.kubernetes.io/instance"]; instance != odd {
						t.Errorf("%s, %s %s: %s has the instance %#v", mode, from, odd, object["kind"], instance)
					}
				}
				if named < 4 {
					t.Errorf("%s: only %d objects are called %s", mode, named, full)
				}
			}
		}
	}
}

// settled are the modes in which each value of values.yaml is used by something.
var settled = []values{
	{
		"auth":                   values{"apiKey": "key", "apiSecret": "secret"},
		"autoscaling":            values{"enabled": true},
		"networkPolicy":          values{"enabled": true, "ingress": values{"cidrs": []any{"10.0.0.0/8"}}, "egress": values{"endor": values{"cidrs": []any{"10.0.0.0/8"}}, "apiServer": values{"cidrs": []any{"10.0.0.0/8"}}}},
		"serviceMonitor":         values{"enabled": true},
		"redis":                  values{"existingSecret": "redis", "existingSecretKeys": values{"ca": "ca.crt"}},
		"endorCA":                values{"existingConfigMap": "ca"},
		"proxy":                  values{"https": "http://proxy.example.com:3128", "noProxy": "example.com"},
		"allowedEndorNamespaces": []any{"acme.payments"},
		"certificateOidcIssuer":  "https://gitlab.com",
		"extraArgs":              []any{"--flag"},
	},
	{
		"auth": values{"apiKeyFile": "/key", "apiSecretFile": "/secret"},
		"tls":  values{"mode": "cert-manager", "extraNames": []any{"a.example.com"}, "clientNames": []any{"b.example.com"}},
	},
	{
		"auth":     values{"existingSecret": "credentials"},
		"tls":      values{"mode": "secret", "existingSecret": "tls", "clientCA": values{"existingConfigMap": "ca"}},
		"endorCA":  values{"existingSecret": "ca"},
		"provider": values{"caBundle": caBundle},
	},
}

// TestValuesStayValues replaces each text of the values by ones that mean
// something to YAML, and holds that no more than that text changes in what is
// rendered: no type, no other field, no further line.
func TestValuesStayValues(t *testing.T) {
	const plain = "harmless"
	c := loaded(t)
	// What is rendered is computed of these, or they are refused.
	computed := []string{"provider.url", "nameOverride", "fullnameOverride", "priorityClassName", "auth.apiKey", "auth.apiSecret", "provider.caBundle", "image.digest"}
	seen := map[string]bool{}
	for _, mode := range settled {
		all, err := chartutil.CoalesceValues(c, mode)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range texts(all, nil) {
			key := strings.Join(path, ".")
			if slices.Contains(computed, key) {
				continue
			}
			want, err := withText(c, mode, all, path, plain)
			if err != nil {
				// Something refuses what it does not know, such as a duration.
				continue
			}
			if strings.Contains(whole(want), plain) {
				seen[key] = true
			}
			wanted := asJSON(t, want)
			for _, odd := range []string{"123", "a: \"b\" #c\nd: e\\f"} {
				r, err := withText(c, mode, all, path, odd)
				if err != nil {
					t.Errorf("%s %q: %v", key, odd, err)
					continue
				}
				if diff := cmp.Diff(sorted(t, strings.ReplaceAll(wanted, plain, escaped(t, odd))), asJSON(t, r)); diff != "" {
					t.Errorf("%s %q (-want +got):\n%s", key, odd, diff)
				}
			}
		}
	}
	for _, key := range []string{
		"auth.existingSecret", "auth.apiKeyFile", "auth.existingSecretKeys.apiKey", "certificateOidcIssuer", "endorAPI", "endorNamespace",
		"endorCA.existingConfigMap", "endorCA.existingSecret", "endorCA.key", "gatekeeper.namespace", "image.pullPolicy", "image.repository", "image.tag",
		"provider.name", "proxy.https", "redis.existingSecret", "redis.existingSecretKeys.url", "serviceAccount.name", "serviceMonitor.interval",
		"serviceMonitor.scrapeTimeout", "tls.certManager.caDuration", "tls.certManager.duration", "tls.certManager.renewBefore",
		"tls.clientCA.existingConfigMap", "tls.clientCA.fromWebhook", "tls.existingSecret", "allowedEndorNamespaces.0", "extraArgs.0",
		"tls.extraNames.0", "tls.clientNames.0", "networkPolicy.ingress.cidrs.0", "networkPolicy.egress.endor.cidrs.0", "networkPolicy.egress.apiServer.cidrs.0",
	} {
		if !seen[key] {
			t.Errorf("%s was looked at nowhere", key)
		}
	}
}

// texts are the paths of the texts within v.
func texts(v any, path []string) [][]string {
	var found [][]string
	switch v := v.(type) {
	case string:
		found = append(found, path)
	case chartutil.Values:
		return texts(map[string]any(v), path)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			found = append(found, texts(v[key], append(slices.Clip(path), key))...)
		}
	case []any:
		if len(v) > 0 {
			found = append(found, texts(v[0], append(slices.Clip(path), "0"))...)
		}
	}
	return found
}

// withText renders the chart with one text replaced.
func withText(c *chart.Chart, mode, all values, path []string, text string) (*release.Release, error) {
	with := maps.Clone(mode)
	with["policies"] = values{"enabled": false}
	with[path[0]] = replaced(all[path[0]], path[1:], text)
	return templateAs(c, name, name, with)
}

func replaced(v any, path []string, text string) any {
	if len(path) == 0 {
		return text
	}
	switch v := v.(type) {
	case []any:
		changed := slices.Clone(v)
		changed[0] = replaced(v[0], path[1:], text)
		return changed
	case map[string]any:
		changed := maps.Clone(v)
		changed[path[0]] = replaced(v[path[0]], path[1:], text)
		return changed
	}
	return v
}

// decoded are the objects of a release as the API server gets them.
func decoded(t *testing.T, r *release.Release) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, document := range documents(t, whole(r)) {
		var object map[string]any
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			t.Errorf("%v\n%s", err, document)
			continue
		}
		all = append(all, object)
	}
	return all
}

// asJSON has one line for each object.
func asJSON(t *testing.T, r *release.Release) string {
	t.Helper()
	var lines []string
	for _, object := range decoded(t, r) {
		line, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// sorted has the keys of each line in order again, after one was replaced.
func sorted(t *testing.T, lines string) string {
	t.Helper()
	var all []string
	for line := range strings.SplitSeq(lines, "\n") {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(again))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// escaped is text as it is within a string of JSON.
func escaped(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(quoted), `"`)
}
