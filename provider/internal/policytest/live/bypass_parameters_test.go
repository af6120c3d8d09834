// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"encoding/json"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// Parameters that say less than their author meant, as an API server may have
// stored them. They refuse everything, signed or not, whatever failOn says.
func uselessParameters() []attempt {
	signer := func(pairs ...any) []any { return []any{with(nil, pairs...)} }
	acme := signer("sourceRepository", "acme/*")
	nine := make([]any, 9)
	for i := range nine {
		nine[i] = acme[0]
	}
	var all []attempt
	add := func(name string, given any) {
		all = append(all, attempt{
			name: "parameters: " + name, given: given, unvalidated: true,
			attack: create(pod(unsigned)), want: []string{"BAD_PARAMETERS object"},
			twin: twin(pod(signed)), twinGiven: strict(),
		})
	}

	add("absent", absent)
	for _, value := range []any{map[string]any{}, []any{}, []any{strict()}, "signers", 7.0, true, ""} {
		add(printed(value)+" for all of them", value)
	}

	// Names that mean nothing, beside everything that is needed.
	for _, name := range []string{
		"Signers", "signer", "Namespace", "name_space", "image", "Images", "exemptimages", "exempt_images", "exemptContainer",
		"maxage", "max_age", "acceptstale", "failon", "fail_on", "recheckUnchanged", "Provider", "anysigner", "", " signers", "signers\x7f",
	} {
		add(fmt.Sprintf("misspelled name %q", name), with(strict(), name, []any{"x"}))
	}
	add("signers misspelled and nothing else", map[string]any{"signer": acme})
	add("signers absent", map[string]any{"namespace": "acme"})
	add("anySigner false and no signers", map[string]any{"anySigner": false})
	add("anySigner beside signers", with(strict(), "anySigner", true))
	add("anySigner beside empty signers", map[string]any{"anySigner": true, "signers": []any{}})
	add("anySigner beside signers that are false", map[string]any{"anySigner": true, "signers": false})

	for _, claim := range []string{
		"sourceRepo", "source_repository", "SourceRepository", "sourceRepositry", "certificateOIDCIssuer", "sourceRepositoryRe", "ref", "issuer", "",
	} {
		add(fmt.Sprintf("misspelled claim %q", claim), map[string]any{"signers": signer(claim, "acme/api")})
		add(fmt.Sprintf("misspelled claim %q beside a good one", claim), map[string]any{"signers": signer("sourceRepository", "acme/api", claim, "x")})
	}
	add("a misspelled claim in the second of two signers", map[string]any{"signers": append(signer("sourceRepositry", "acme/*"), acme...)})

	for what, signers := range map[string]any{
		"none":                             []any{},
		"null":                             nil,
		"an object":                        acme[0],
		"a string":                         "acme/*",
		"true":                             true,
		"one that is null":                 []any{nil},
		"one that is a string":             []any{"acme/*"},
		"one that is a list":               []any{acme},
		"one that is empty":                []any{map[string]any{}},
		"a good one and an empty one":      append([]any{map[string]any{}}, acme...),
		"an issuer alone":                  signer("certificateOidcIssuer", "https://gitlab.com"),
		"nine":                             nine,
		"an empty claim":                   signer("sourceRepository", ""),
		"a claim that is null":             signer("sourceRepository", nil),
		"a claim that is a number":         signer("sourceRepository", 7.0),
		"a claim that is a list":           signer("sourceRepository", []any{"acme/*"}),
		"a claim of * alone":               signer("sourceRepository", "*"),
		"a claim that begins with *":       signer("sourceRepository", "*/api"),
		"a claim that begins with **":      signer("sourceRepository", "**"),
		"an issuer with *":                 signer("certificateOidcIssuer", "https://*", "sourceRepository", "acme/*"),
		"claims that are too long":         signer("sourceRepository", "acme/"+strings.Repeat("a", 6200)),
		"claims that are too long encoded": signer("sourceRepository", strings.Repeat("ü", 1100)),
	} {
		add("signers: "+what, map[string]any{"signers": signers})
	}

	for name, values := range map[string][]any{
		"provider":               {nil, "", 7.0, true, []any{"x"}, "UPPER", "a b", "-x", "x\n", "endor-gatekeeper-provider\x7f"},
		"namespace":              {nil, "", 7.0, []any{"acme"}, "Acme", "acme..x", ".acme", "acme/x", "acme\n", "acme&namespace=b", strings.Repeat("a", 33)},
		"images":                 {nil, "ghcr.io/acme/*", map[string]any{}, []any{}, []any{nil}, []any{7.0}, []any{""}, []any{"*"}, []any{"ghcr.io/acme*"}, []any{"ghcr.io"}, []any{"ghcr.io:*"}, []any{"ghcr.io/*", "ghcr.io/ac*e/x"}},
		"exemptImages":           {nil, "ghcr.io/acme/*", map[string]any{"a": "b"}, []any{nil}, []any{"*"}, []any{"/*"}, []any{":*"}, []any{"@*"}, []any{"**"}, []any{"ghcr.io/acme*"}, []any{"ghcr.io/**"}, []any{"*/*"}, []any{"ghcr.io"}, []any{"x\x7f/*"}},
		"exemptContainers":       {nil, "istio-proxy", map[string]any{"name": "a", "image": "b"}, []any{nil}, []any{"istio-proxy"}, []any{map[string]any{}}, []any{map[string]any{"name": "a"}}, []any{map[string]any{"image": "b/c:*"}}, []any{map[string]any{"name": "a", "image": "*"}}, []any{map[string]any{"name": "", "image": "b/c:*"}}, []any{map[string]any{"name": "a", "image": "b/c:*", "namespace": "x"}}, []any{map[string]any{"name": nil, "image": "b/c:*"}}},
		"maxAge":                 {nil, "", 30.0, "30", "d", "30days", "1month", "0d", "-1d", "1.5d", "1h30m", "30D", " 30d", "30d\n", "1e9d", "٣d", []any{"30d"}, true, "2w", "720m"},
		"acceptStale":            {nil, "false", 0.0, []any{}, map[string]any{}, "no"},
		"recheckUnchangedImages": {nil, "true", 1.0},
		"anySigner":              {nil, "true", 1.0},
		"failOn":                 {nil, "rejected", []any{}, []any{nil}, []any{"denied"}, []any{"Rejected"}, []any{"rejected", "x"}, map[string]any{"rejected": true}, []any{"rejected", "unavailable", "misconfigured", "rejected"}},
	} {
		for _, value := range values {
			add(fmt.Sprintf("%s is %s", name, printed(value)), with(strict(), name, value))
		}
	}
	// failOn may be what is wrong, or what would hide it.
	for _, class := range []string{"rejected", "unavailable", "misconfigured"} {
		add("misspelled under failOn ["+class+"]", with(strict(), "failOn", []any{class}, "exemptimages", []any{}))
	}
	return append(all,
		attempt{
			// The schema keeps what it does not know, so the policy sees it.
			name:   "parameters: misspelled name past the schema as it is shipped",
			given:  with(strict(), "exemptimages", []any{}),
			attack: create(pod(signed)), want: []string{"BAD_PARAMETERS object"},
			twin: twin(pod(signed)), twinGiven: strict(),
		},
		attempt{
			name:   "parameters: misspelled claim past the schema as it is shipped",
			given:  map[string]any{"signers": signer("sourceRepository", "acme/*", "sourceRepositoryRe", "refs/tags/*")},
			attack: create(pod(signed)), want: []string{"BAD_PARAMETERS object"},
			twin: twin(pod(signed)), twinGiven: strict(),
		},
		attempt{
			name:   "parameters: absent past the schema as it is shipped",
			given:  absent,
			attack: create(pod(signed)), want: []string{"BAD_PARAMETERS object"},
			twin: twin(pod(signed)), twinGiven: strict(),
		},
		attempt{
			name:     "parameters: useless, on DELETE",
			given:    absent,
			attack:   engine.Request{OldObject: pod(unsigned), Operation: admissionv1.Delete},
			admitted: "a deletion runs nothing",
		},
		attempt{
			// A claim cannot smuggle another claim, or another namespace, into the key.
			name:   "parameters: claim with the separators of a key",
			given:  map[string]any{"signers": signer("sourceRepository", "acme/x&source_repository=acme/signed&namespace=acme")},
			attack: create(pod(signed)), want: []string{`WRONG_SIGNER container "c0"`},
			twin: twin(pod(signed)), twinGiven: strict(),
		},
		attempt{
			name:   "parameters: an Endor namespace where nothing of this is signed",
			given:  with(strict(), "namespace", "acme.search"),
			attack: create(pod(signed)), want: []string{`NOT_SIGNED container "c0"`},
			twin: twin(pod(signed)), twinGiven: strict(),
		},
		attempt{
			name:   "parameters: an Endor namespace that the credential may not use",
			given:  with(strict(), "namespace", "elsewhere"),
			attack: create(pod(signed)), want: []string{`MISCONFIGURED container "c0"`},
			twin: twin(pod(signed)), twinGiven: strict(),
		},
		attempt{
			name:   "parameters: claims of two signers, each satisfied in one of them only",
			given:  map[string]any{"signers": append(signer("sourceRepository", "acme/signed", "runnerEnvironment", "x"), signer("sourceRepository", "x", "runnerEnvironment", "github-hosted")...)},
			attack: create(pod(signed)), want: []string{`WRONG_SIGNER container "c0"`},
			twin:      twin(pod(signed)),
			twinGiven: map[string]any{"signers": append(signer("sourceRepository", "x"), signer("sourceRepository", "acme/signed", "runnerEnvironment", "github-hosted")...)},
		},
		attempt{
			name:   "parameters: an owner that is a prefix of the one that signed",
			given:  map[string]any{"signers": signer("sourceRepository", "acm/*")},
			attack: create(pod(signed)), want: []string{`WRONG_SIGNER container "c0"`},
			twin: twin(pod(signed)), twinGiven: strict(),
		},
	)
}

func printed(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	if len(text) > 60 {
		text = text[:60]
	}
	return string(text)
}
