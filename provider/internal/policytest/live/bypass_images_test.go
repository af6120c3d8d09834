// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"fmt"
	"strings"
)

// hostile are strings that quoting, escaping, parsing or printing trips over.
// One of them among the keys of a naive template leaves external_data undefined,
// and with it every rule that looks at its answer.
var hostile = map[string]string{
	"delete":                              "\x7f",
	"start of heading":                    "\x01",
	"bell":                                "\a",
	"vertical tab":                        "\v",
	"form feed":                           "\f",
	"escape":                              "\x1b[31m",
	"null byte":                           "\x00",
	"newline":                             "\n",
	"carriage return":                     "\r",
	"tab":                                 "\t",
	"space":                               " ",
	"next line":                           "\u0085",
	"no-break space":                      "\u00a0",
	"line separator":                      "\u2028",
	"paragraph separator":                 "\u2029",
	"zero-width space":                    "\u200b",
	"right-to-left override":              "\u202e",
	"byte order mark":                     "\ufeff",
	"replacement character":               "\ufffd",
	"noncharacter":                        "\uffff",
	"language tag":                        "\U000e0001",
	"emoji":                               "\U0001f600",
	"combining accent":                    "e\u0301",
	"fullwidth colon":                     "\uff1a",
	"quote":                               `"`,
	"quotes that end a JSON string":       `"],"provider":"x`,
	"quotes that end a message":           `" is signed`,
	"backslash":                           `\`,
	"JSON escape":                         `\u0041`,
	"escape that JSON has not":            `\x41`,
	"octal escape":                        `\101`,
	"percent escape":                      "%41",
	"percent escape that is none":         "%zz",
	"equals sign, as a query has":         "=",
	"second parameter of a query":         "&namespace=other",
	"semicolon, once a separator":         ";",
	"plus, which queries read as a space": "+",
	"backquote":                           "`",
	"template":                            "{{.}}",
	"what an empty set prints like":       "set()",
	"what a set prints like":              `{"a", "b"}`,
}

// Each hostile string alone as an image beside an unsigned one, and glued to
// both ends of the unsigned one and into it.
func hostileStrings() []attempt {
	var all []attempt
	for what, text := range hostile {
		first, rest, _ := strings.Cut(unsigned, "unsigned")
		for where, image := range map[string]string{
			"as an image":           "x" + text,
			"before an image":       text + unsigned,
			"behind an image":       unsigned + text,
			"inside an image":       first + text + "unsigned" + rest,
			"behind a signed image": signed + text,
		} {
			all = append(all, attempt{
				name:   fmt.Sprintf("%s %s, beside an unsigned one", what, where),
				attack: create(pod(unsigned, image)),
				want:   []string{`NOT_SIGNED container "c0"`, `BAD_REFERENCE container "c1"`},
				twin:   twin(pod(signed, ref("acme/signed"))),
			})
		}
	}
	for where, image := range map[string]any{
		"513 characters":       strings.Repeat("a", 513-len(unsigned)) + unsigned,
		"a megabyte, all read": strings.Repeat("a/", 1<<19) + unsigned,
		"a megabyte of spaces": strings.Repeat(" ", 1<<20) + unsigned,
		"a kilobyte of DEL":    strings.Repeat("\x7f", 1<<10),
		"an unpaired surrogate, as Go's decoder leaves it": "\ufffd" + unsigned,
	} {
		all = append(all, attempt{
			name:   "image of " + where + ", beside an unsigned one",
			attack: create(pod(unsigned, image)),
			want:   []string{`NOT_SIGNED container "c0"`, `BAD_REFERENCE container "c1"`},
			twin:   twin(pod(signed, signed)),
		})
	}
	// Names of containers are in no key, but in messages.
	for what, text := range map[string]string{
		"a newline": "a\nb", "a delete": "a\x7f", "quotes": `a": is signed`, "a megabyte": strings.Repeat("n", 1<<20),
		"a line separator": "a\u2028b", "letters that are not ASCII": "ä",
	} {
		all = append(all, attempt{
			name:   "container name with " + what,
			attack: create(podKind.object(spec(map[list][]any{containers: {containers.of(text, unsigned)}}))),
			want:   []string{"NOT_SIGNED container \"" + shownNames[what] + "\""},
			twin:   twin(podKind.object(spec(map[list][]any{containers: {containers.of(text, signed)}}))),
		})
	}
	return all
}

// shownNames is how messages show the names of hostileStrings.
var shownNames = map[string]string{
	"a newline": "a%0Ab", "a delete": "a%7F", "quotes": "a%22:%20is%20signed",
	"a megabyte":       strings.Repeat("n", 14) + "..." + strings.Repeat("n", 15),
	"a line separator": "a%E2%80%A8b", "letters that are not ASCII": "%C3%A4",
}

// Images that resemble a signed one, beside it.
func lookAlikes() []attempt {
	sum := digest("ghcr.io/acme/signed")
	hex := strings.TrimPrefix(sum, "sha256:")
	var all []attempt
	for name, image := range map[string][2]string{
		"with a digit behind its digest":       {signed + "0", "BAD_REFERENCE"},
		"without the last digit of its digest": {signed[:len(signed)-1], "BAD_REFERENCE"},
		"with a second digest":                 {signed + "@" + digest("x"), "BAD_REFERENCE"},
		"with a tag behind its digest":         {signed + ":v1", "BAD_REFERENCE"},
		"with its digest in capitals":          {"ghcr.io/acme/signed@sha256:" + strings.ToUpper(hex), "BAD_REFERENCE"},
		"with its algorithm in capitals":       {"ghcr.io/acme/signed@SHA256:" + hex, "BAD_REFERENCE"},
		"with its digest called sha512":        {"ghcr.io/acme/signed@sha512:" + hex, "BAD_REFERENCE"},
		"with a sha512 digest":                 {"ghcr.io/acme/signed@sha512:" + hex + hex, "BAD_REFERENCE"},
		"with its digest as a tag":             {"ghcr.io/acme/signed:" + hex, "NO_DIGEST"},
		"with its digest as a path":            {"ghcr.io/acme/signed/sha256/" + hex, "NO_DIGEST"},
		"by its digest alone":                  {sum, "BAD_REFERENCE"},
		"by its hex digits alone":              {hex, "BAD_REFERENCE"},
		"by @ and its digest alone":            {"@" + sum, "BAD_REFERENCE"},
		"with an empty tag":                    {"ghcr.io/acme/signed:@" + sum, "BAD_REFERENCE"},
		"with a tag and another digest":        {"ghcr.io/acme/signed:v1@" + digest("x"), "NOT_SIGNED"},
		"with another digest":                  {"ghcr.io/acme/signed@" + digest("x"), "NOT_SIGNED"},
		"with a longer name":                   {"ghcr.io/acme/signed2@" + sum, "NOT_SIGNED"},
		"with a shorter name":                  {"ghcr.io/acme/signe@" + sum, "NOT_SIGNED"},
		"in a folder of its name":              {"ghcr.io/acme/signed/evil@" + sum, "NOT_SIGNED"},
		"of a look-alike owner":                {"ghcr.io/acme-corp/signed@" + sum, "NOT_SIGNED"},
		"of a look-alike registry":             {"ghcr.io.evil.example/acme/signed@" + sum, "NOT_SIGNED"},
		"of another registry":                  {"evil.example/ghcr.io/acme/signed@" + sum, "NOT_SIGNED"},
		"of an IPv4 address":                   {"10.0.0.1:5000/acme/signed@" + sum, "NOT_SIGNED"},
		"of an IPv6 address":                   {"[2001:db8::1]:5000/acme/signed@" + sum, "NOT_SIGNED"},
		"of another port":                      {"ghcr.io:8443/acme/signed@" + sum, "NOT_SIGNED"},
		"of a registry in capitals":            {"GHCR.IO/acme/signed@" + sum, "BAD_REFERENCE"},
		"of a registry with one capital":       {"ghcr.iO/acme/signed@" + sum, "BAD_REFERENCE"},
		"of a registry that ends in a dot":     {"ghcr.io./acme/signed@" + sum, "BAD_REFERENCE"},
		"of a registry with a user":            {"evil.example@ghcr.io/acme/signed@" + sum, "BAD_REFERENCE"},
		"of a registry with underscores":       {"ghcr__io.evil.example/acme/signed@" + sum, "BAD_REFERENCE"},
		"with a scheme":                        {"https://ghcr.io/acme/signed@" + sum, "BAD_REFERENCE"},
		"with an empty segment":                {"ghcr.io//acme/signed@" + sum, "BAD_REFERENCE"},
		"with a segment of dots":               {"ghcr.io/acme/../signed@" + sum, "BAD_REFERENCE"},
		"with a letter that only looks alike":  {"ghcr.io/\u0430cme/signed@" + sum, "BAD_REFERENCE"},
		"with a capital in its path":           {"ghcr.io/acme/Signed@" + sum, "BAD_REFERENCE"},
		"with a query":                         {"ghcr.io/acme/signed?x=@" + sum, "BAD_REFERENCE"},
		"as a key for the provider":            {"image=ghcr.io%2Facme%2Fsigned%40sha256%3A" + hex, "BAD_REFERENCE"},
		"with further parameters of a key":     {"ghcr.io/acme/unsigned&image=ghcr.io/acme/signed@" + sum, "BAD_REFERENCE"},
		"as a JSON list":                       {`["` + signed + `"]`, "BAD_REFERENCE"},
		"as two images":                        {signed + "," + signed, "BAD_REFERENCE"},
	} {
		all = append(all, attempt{
			name:   "signed image " + name,
			attack: create(pod(signed, image[0])),
			want:   []string{refusal(image[1], "container", "c1")},
			twin:   twin(pod(signed, "ghcr.io/acme/signed:v1@"+sum)),
		})
	}
	two := func(first, second string) map[list][]any {
		return map[list][]any{containers: {containers.of("api", first), containers.of("api", second)}}
	}
	across := func(first, second string) map[list][]any {
		return map[list][]any{containers: {containers.of("api", first)}, lists[1]: {lists[1].of("api", second)}}
	}
	return append(all,
		attempt{
			name:   "duplicate container names, the unsigned image second",
			attack: create(podKind.object(spec(two(signed, unsigned)))),
			want:   []string{`NOT_SIGNED container "api"`},
			twin:   twin(podKind.object(spec(two(signed, ref("acme/signed"))))),
		},
		attempt{
			name:   "duplicate container names, the unsigned image first",
			attack: create(podKind.object(spec(two(unsigned, signed)))),
			want:   []string{`NOT_SIGNED container "api"`},
			twin:   twin(podKind.object(spec(two(ref("acme/signed"), signed)))),
		},
		attempt{
			name:   "duplicate names across lists",
			attack: create(podKind.object(spec(across(signed, unsigned)))),
			want:   []string{`NOT_SIGNED initContainer "api"`},
			twin:   twin(podKind.object(spec(across(signed, signed)))),
		},
		attempt{
			// A set of keys is no longer than a list, but external_data does not take it.
			name:   "the same unsigned image three times, so that a set of keys is shorter than the list",
			attack: create(pod(unsigned, unsigned, unsigned)),
			want:   []string{`NOT_SIGNED container "c0"`, `NOT_SIGNED container "c1"`, `NOT_SIGNED container "c2"`},
			twin:   twin(pod(signed, signed, signed)),
		},
		attempt{
			name:   "an unsigned image with and without a tag, which are two keys",
			attack: create(pod(unsigned, "ghcr.io/acme/unsigned:v1@"+digest("ghcr.io/acme/unsigned"))),
			want:   []string{`NOT_SIGNED container "c0"`, `NOT_SIGNED container "c1"`},
			twin:   twin(pod(signed, "ghcr.io/acme/signed:v1@"+sum)),
		},
	)
}

// Spellings by which an image of a scope seems to be outside of it.
func scopes() []attempt {
	var all []attempt
	for _, tc := range []struct {
		scope, unsigned, code, signed string
	}{
		{"ghcr.io/acme/*", "ghcr.io/acme/unsigned", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io/acme/*", "GHCR.IO/acme/unsigned", "BAD_REFERENCE", "ghcr.io/acme/signed"},
		{"ghcr.io/acme/*", "Ghcr.io:443/acme/unsigned", "BAD_REFERENCE", "ghcr.io:443/acme/signed"},
		{"ghcr.io/acme/*", "ghcr.io:443/acme/unsigned", "NOT_SIGNED", "ghcr.io:443/acme/signed"},
		{"ghcr.io/acme/*", "ghcr.io:0443/acme/unsigned", "NOT_SIGNED", "ghcr.io:0443/acme/signed"},
		{"ghcr.io/acme/*", "ghcr.io:000000443/acme/unsigned", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io/acme/*", "ghcr.io/acme/unsigned:v1", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io:443/acme/*", "ghcr.io/acme/unsigned", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"GHCR.IO/acme/*", "ghcr.io/acme/unsigned", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io/*", "ghcr.io/acme/deep/er/unsigned", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io/acme/unsigned", "ghcr.io/acme/unsigned:v1", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io/acme/unsigned:v1", "ghcr.io/acme/unsigned", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io/acme/unsigned:*", "ghcr.io/acme/unsigned", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"ghcr.io/acme/unsigned@*", "ghcr.io/acme/unsigned:v1", "NOT_SIGNED", "ghcr.io/acme/signed"},
		{"docker.io/acme/*", "acme/unsigned", "NOT_SIGNED", "acme/signed"},
		{"docker.io/acme/*", "docker.io/acme/unsigned", "NOT_SIGNED", "docker.io/acme/signed"},
		{"docker.io/acme/*", "docker.io:443/acme/unsigned", "NOT_SIGNED", "docker.io:443/acme/signed"},
		{"docker.io/acme/*", "index.docker.io/acme/unsigned", "NOT_SIGNED", "index.docker.io/acme/signed"},
		{"docker.io/acme/*", "registry-1.docker.io/acme/unsigned", "NOT_SIGNED", "registry-1.docker.io/acme/signed"},
		{"docker.io/acme/*", "registry.hub.docker.com/acme/unsigned", "NOT_SIGNED", "registry.hub.docker.com/acme/signed"},
		{"docker.io/acme/*", "DOCKER.IO/acme/unsigned", "BAD_REFERENCE", "acme/signed"},
		{"acme/*", "index.docker.io/acme/unsigned", "NOT_SIGNED", "index.docker.io/acme/signed"},
		{"docker.io/library/*", "unsigned", "NOT_SIGNED", "signed"},
		{"docker.io/library/*", "docker.io/unsigned", "NOT_SIGNED", "docker.io/signed"},
		{"unsigned", "library/unsigned", "NOT_SIGNED", "library/signed"},
		{"docker.io/*", "unsigned", "NOT_SIGNED", "signed"},
	} {
		image := tc.unsigned + "@" + digest(tc.unsigned)
		all = append(all, attempt{
			name:   fmt.Sprintf("scope %s, image %s", tc.scope, tc.unsigned),
			given:  with(strict(), "images", []any{tc.scope}),
			attack: create(pod(ref(tc.signed), image)),
			want:   []string{refusal(tc.code, "container", "c1")},
			twin:   twin(pod(ref(tc.signed), ref(tc.signed))),
		})
	}
	outside := func(image string) attempt {
		return attempt{
			name:   fmt.Sprintf("scope quay.io/other/*, image %q, which cannot be placed", image),
			given:  with(strict(), "images", []any{"quay.io/other/*"}),
			attack: create(pod(signed, image)),
			want:   []string{`BAD_REFERENCE container "c1"`},
			twin:   twin(pod(signed, "ghcr.io/acme/unsigned:v1")),
		}
	}
	return append(all, each([]string{
		"", "x\x7f", " " + unsigned, unsigned + "\n", "foo__bar.com/acme/unsigned@" + digest("x"), "quay.io./other/unsigned@" + digest("x"),
		"QUAY.IO/other/Unsigned@" + digest("x"), strings.Repeat("a", 600),
	}, outside)...)
}

// Images that resemble an exempt one.
func exemptions() []attempt {
	base := digest("base")
	exempt := func(pattern string) map[string]any { return with(strict(), "exemptImages", []any{pattern}) }
	var all []attempt
	for _, tc := range []struct{ pattern, image, code, good string }{
		{"ghcr.io/acme/*", "ghcr.io/acme-evil/unsigned@" + base, "NOT_SIGNED", "ghcr.io/acme/base:v1"},
		{"ghcr.io/acme/*", "ghcr.io/acmeevil/unsigned:v1", "NO_DIGEST", "ghcr.io/acme/base"},
		{"ghcr.io/acme/*", "ghcr.io.evil.example/acme/unsigned@" + base, "NOT_SIGNED", "ghcr.io:443/acme/base@" + base},
		{"ghcr.io/acme/*", "evil.example/ghcr.io/acme/unsigned@" + base, "NOT_SIGNED", "GHCR.IO/acme/base"},
		{"ghcr.io/acme/*", "ghcr.io:8443/acme/unsigned@" + base, "NOT_SIGNED", "ghcr.io/acme/a/b/c"},
		{"ghcr.io/acme/*", "acme/unsigned@" + base, "NOT_SIGNED", "ghcr.io/acme/base"},
		{"ghcr.io/acme/*", "ghcr.io/acme/../evil/x@" + base, "BAD_REFERENCE", "ghcr.io/acme/base"},
		{"ghcr.io/acme/*", "ghcr.io/acme/base\x7f", "BAD_REFERENCE", "ghcr.io/acme/base"},
		{"ghcr.io/acme/*", "ghcr.io/acme/base ", "BAD_REFERENCE", "ghcr.io/acme/base"},
		{"ghcr.io/acme/*", "ghcr.io/acme/base@sha512:" + strings.Repeat("0", 128), "BAD_REFERENCE", "ghcr.io/acme/base"},
		{"ghcr.io/acme/*", "user@ghcr.io/acme/base@" + base, "BAD_REFERENCE", "ghcr.io/acme/base"},
		{"ghcr.io/*", "ghcr.iox/acme/unsigned@" + base, "NOT_SIGNED", "ghcr.io/a/b"},
		{"ghcr.io/acme/base", "ghcr.io/acme/base/unsigned@" + base, "NOT_SIGNED", "ghcr.io/acme/base"},
		{"ghcr.io/acme/base", "ghcr.io/acme/base2@" + base, "NOT_SIGNED", "ghcr.io/acme/base"},
		{"ghcr.io/acme/base", "ghcr.io/acme/base:v2", "NO_DIGEST", "ghcr.io/acme/base"},
		{"ghcr.io/acme/base:v1", "ghcr.io/acme/base:v10", "NO_DIGEST", "ghcr.io/acme/base:v1"},
		{"ghcr.io/acme/base:v1", "ghcr.io/acme/base:v1@" + base, "NOT_SIGNED", "ghcr.io/acme/base:v1"},
		{"ghcr.io/acme/base:*", "ghcr.io/acme/base@" + base, "NOT_SIGNED", "ghcr.io/acme/base:v1@" + base},
		{"ghcr.io/acme/base:*", "ghcr.io/acme/base-evil:v1", "NO_DIGEST", "ghcr.io/acme/base:v1"},
		{"ghcr.io/acme/base:*", "ghcr.io/acme/base/evil:v1", "NO_DIGEST", "ghcr.io/acme/base:v1"},
		{"ghcr.io/acme/base@*", "ghcr.io/acme/base:v1", "NO_DIGEST", "ghcr.io/acme/base:v1@" + base},
		{"ghcr.io/acme/base@" + base, "ghcr.io/acme/base@" + digest("x"), "NOT_SIGNED", "ghcr.io/acme/base:v1@" + base},
		{"ghcr.io/acme/base@" + base, "ghcr.io/acme/other@" + base, "NOT_SIGNED", "ghcr.io/acme/base@" + base},
		{"docker.io/istio/*", "istio-evil/unsigned@" + base, "NOT_SIGNED", "istio/proxyv2:1.27.1"},
		{"docker.io/istio/*", "docker.io.evil.example/istio/unsigned@" + base, "NOT_SIGNED", "index.docker.io/istio/proxyv2:1.27.1"},
		{"docker.io/library/*", "evil/unsigned@" + base, "NOT_SIGNED", "nginx:1.27"},
		{"nginx:*", "evil/nginx:1", "NO_DIGEST", "docker.io/nginx:1.27"},
		{"nginx:*", "nginx.evil.example/nginx:1", "NO_DIGEST", "library/nginx:1.27"},
		{"registry.k8s.io/pause:*", "registry.k8s.io/pause-evil:3.10", "NO_DIGEST", "registry.k8s.io/pause:3.10"},
		{"localhost/*", "localhost.evil.example/unsigned@" + base, "NOT_SIGNED", "localhost/base"},
		{"localhost/*", "localhost:5000/unsigned@" + base, "NOT_SIGNED", "localhost/base"},
		{"foo.bar.com/*", "foo__bar.com/unsigned@" + base, "BAD_REFERENCE", "foo.bar.com/base"},
	} {
		all = append(all, attempt{
			name:   fmt.Sprintf("exempt is %s, image %q", tc.pattern, tc.image),
			given:  exempt(tc.pattern),
			attack: create(pod(signed, tc.good, tc.image)),
			want:   []string{refusal(tc.code, "container", "c2")},
			twin:   twin(pod(signed, tc.good, tc.good)),
		})
	}

	proxy := "docker.io/istio/proxyv2:1.27.1"
	sidecar := with(strict(), "exemptContainers", []any{
		map[string]any{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:*"},
		map[string]any{"name": "agent", "image": "ghcr.io/vendor/*"},
	})
	good := twin(podKind.object(spec(map[list][]any{
		containers: {containers.of("api", signed), containers.of("istio-proxy", proxy)},
		lists[1]:   {lists[1].of("agent", "ghcr.io/vendor/agent")},
	})))
	for name, entry := range map[string][3]string{
		"image under another name":                         {"main", proxy, "NO_DIGEST"},
		"image under the name of another exemption":        {"agent", proxy, "NO_DIGEST"},
		"image under its name in capitals":                 {"Istio-Proxy", proxy, "NO_DIGEST"},
		"image under its name and a space":                 {"istio-proxy ", proxy, "NO_DIGEST"},
		"image under a longer name":                        {"istio-proxy-2", proxy, "NO_DIGEST"},
		"image under no name":                              {"", proxy, "NO_DIGEST"},
		"name with an unsigned image":                      {"istio-proxy", unsigned, "NOT_SIGNED"},
		"name with an image of a look-alike owner":         {"istio-proxy", "docker.io/istio-evil/proxyv2:1.27.1", "NO_DIGEST"},
		"name with an image of a longer repository":        {"istio-proxy", "docker.io/istio/proxyv2-evil:1.27.1", "NO_DIGEST"},
		"name with an image in a folder of the repository": {"istio-proxy", "docker.io/istio/proxyv2/evil:1.27.1", "NO_DIGEST"},
		"name with the image of another exemption":         {"istio-proxy", "ghcr.io/vendor/agent", "NO_DIGEST"},
		"name with an image that cannot be read":           {"istio-proxy", proxy + "\x7f", "BAD_REFERENCE"},
		"name with an empty image":                         {"istio-proxy", "", "BAD_REFERENCE"},
	} {
		all = append(all, attempt{
			name:  "exempt container, " + name,
			given: sidecar,
			attack: create(podKind.object(spec(map[list][]any{
				containers: {containers.of("api", signed), containers.of(entry[0], entry[1])},
			}))),
			want: []string{refusal(entry[2], "container", strings.ReplaceAll(entry[0], " ", "%20"))},
			twin: good,
		})
	}
	return append(all,
		attempt{
			name:   "exempt container, image in a volume of its name",
			given:  sidecar,
			attack: create(podKind.object(spec(map[list][]any{volumes: {volumes.of("istio-proxy", proxy)}}))),
			want:   []string{`NO_DIGEST imageVolume "istio-proxy"`},
			twin:   good,
		},
		attempt{
			name:   "everything is exempt by an empty list, which exempts nothing",
			given:  with(strict(), "exemptImages", []any{}),
			attack: create(pod(unsigned)),
			want:   []string{`NOT_SIGNED container "c0"`},
			twin:   twin(pod(signed)),
		},
	)
}
