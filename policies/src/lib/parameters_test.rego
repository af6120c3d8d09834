# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

package lib.parameters_test

import data.lib.parameters
import data.lib.reference

_signer := {"sourceRepository": "acme/api"}

_with(given) := object.union({"signers": [_signer]}, given)

_long(part, times) := concat("", [part | some _ in numbers.range(1, times)])

test_accepted[note] if {
	some note, given in {
		"signers": {"signers": [_signer]},
		"eight signers": {"signers": [_signer | some _ in numbers.range(1, 8)]},
		"any signer": {"anySigner": true},
		"anySigner false beside signers": _with({"anySigner": false}),
		"all claims": {"signers": [{claim: "x/*" | some claim, _ in parameters._claims; claim != "certificateOidcIssuer"}]},
		"all parameters": _with({
			"provider": "endor.prod-2",
			"namespace": "acme.pay_ments-1",
			"images": ["ghcr.io/acme/*"],
			"exemptImages": [],
			"exemptContainers": [{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:*"}],
			"maxAge": "30d",
			"acceptStale": false,
			"failOn": ["rejected", "misconfigured"],
			"recheckUnchangedImages": true,
		}),
	}
	parameters.problems == set() with input.parameters as given
}

test_refused[note] if {
	some note, tc in {
		"nothing": {"given": {}, "want": "it takes either signers or anySigner: true"},
		"null": {"given": null, "want": "parameters are not an object"},
		"a list": {"given": [], "want": "parameters are not an object"},
		"signer for signers": {"given": {"signer": [_signer]}, "want": "signer is no parameter"},
		"wrong case": {"given": _with({"exemptimages": []}), "want": "exemptimages is no parameter"},
		"signers and any signer": {"given": _with({"anySigner": true}), "want": "it takes either signers or anySigner: true"},
		"no signer at all": {"given": {"anySigner": false}, "want": "it takes either signers or anySigner: true"},
		"anySigner in text": {"given": {"anySigner": "true"}, "want": "anySigner is neither true nor false"},
		"null signers": {"given": {"signers": null}, "want": "signers is not a list of one to eight signers"},
		"no signers": {"given": {"signers": []}, "want": "signers is not a list of one to eight signers"},
		"nine signers": {"given": {"signers": [_signer | some _ in numbers.range(1, 9)]}, "want": "signers is not a list of one to eight signers"},
		"one signer for a list": {"given": {"signers": _signer}, "want": "signers is not a list of one to eight signers"},
		"signer that is a string": {"given": {"signers": ["acme/api"]}, "want": "a signer has no claim besides its issuer"},
		"empty signer": {"given": {"signers": [_signer, {}]}, "want": "a signer has no claim besides its issuer"},
		"issuer only": {"given": {"signers": [{"certificateOidcIssuer": "https://x"}]}, "want": "a signer has no claim besides its issuer"},
		"misspelled claim": {"given": {"signers": [{"sourceRepositry": "acme/api"}]}, "want": "a signer has no claim sourceRepositry"},
		"claim in snake case": {"given": {"signers": [{"source_repository": "acme/api"}]}, "want": "a signer has no claim source_repository"},
		"empty claim": {"given": {"signers": [{"sourceRepository": ""}]}, "want": "sourceRepository is empty or not a string"},
		"claim that is no string": {"given": {"signers": [{"sourceRepository": ["a"]}]}, "want": "sourceRepository is empty or not a string"},
		"null claim": {"given": {"signers": [object.union(_signer, {"sourceRepositoryRef": null})]}, "want": "sourceRepositoryRef is empty or not a string"},
		"any owner": {"given": {"signers": [{"sourceRepository": "*/api"}]}, "want": "sourceRepository begins with *, which accepts any owner"},
		"any issuer": {
			"given": {"signers": [object.union(_signer, {"certificateOidcIssuer": "https://*"})]},
			"want": "certificateOidcIssuer takes no *",
		},
		"signers too long": {"given": {"signers": [{"sourceRepository": _long("a/", 2000)}]}, "want": "signers and namespace are too long for a key"},
		"several signers too long": {
			"given": {"signers": [{"sourceRepository": _long("a/", 200)} | some _ in numbers.range(1, 8)]},
			"want": "signers and namespace are too long for a key",
		},
		"provider": {"given": _with({"provider": "https://evil.example"}), "want": "provider is not the name of a Provider"},
		"empty provider": {"given": _with({"provider": ""}), "want": "provider is not the name of a Provider"},
		"null provider": {"given": _with({"provider": null}), "want": "provider is not the name of a Provider"},
		"namespace": {"given": _with({"namespace": "acme/../x"}), "want": "namespace is not the name of an Endor namespace"},
		"empty namespace": {"given": _with({"namespace": ""}), "want": "namespace is not the name of an Endor namespace"},
		"false namespace": {"given": _with({"namespace": false}), "want": "namespace is not the name of an Endor namespace"},
		"no images": {"given": _with({"images": []}), "want": "images is not a list of at least one pattern"},
		"images that are no list": {"given": _with({"images": "ghcr.io/*"}), "want": "images is not a list of at least one pattern"},
		"all images": {"given": _with({"images": ["*"]}), "want": "images has something that is no pattern"},
		"half a name": {"given": _with({"exemptImages": ["ghcr.io/acme*"]}), "want": "exemptImages has something that is no pattern"},
		"pattern that is no string": {"given": _with({"exemptImages": [7]}), "want": "exemptImages has something that is no pattern"},
		"exemptImages that is no list": {"given": _with({"exemptImages": {"a": "nginx"}}), "want": "exemptImages is not a list"},
		"exemptContainers that is no list": {"given": _with({"exemptContainers": "istio-proxy"}), "want": "exemptContainers is not a list"},
		"container without image": {
			"given": _with({"exemptContainers": [{"name": "a"}]}),
			"want": "exemptContainers has an entry that is not a name and a pattern for its image",
		},
		"container with more": {
			"given": _with({"exemptContainers": [{"name": "a", "image": "nginx", "nmespace": "x"}]}),
			"want": "exemptContainers has an entry that is not a name and a pattern for its image",
		},
		"container of any image": {
			"given": _with({"exemptContainers": [{"name": "a", "image": "*"}]}),
			"want": "exemptContainers has an entry that is not a name and a pattern for its image",
		},
		"container without a name": {
			"given": _with({"exemptContainers": [{"name": "", "image": "nginx"}]}),
			"want": "exemptContainers has an entry that is not a name and a pattern for its image",
		},
		"months": {"given": _with({"maxAge": "1month"}), "want": "maxAge is not a number of hours (h) or days (d)"},
		"30days": {"given": _with({"maxAge": "30days"}), "want": "maxAge is not a number of hours (h) or days (d)"},
		"empty age": {"given": _with({"maxAge": ""}), "want": "maxAge is not a number of hours (h) or days (d)"},
		"no age": {"given": _with({"maxAge": "0d"}), "want": "maxAge is not a number of hours (h) or days (d)"},
		"age in seconds": {"given": _with({"maxAge": 3600}), "want": "maxAge is not a number of hours (h) or days (d)"},
		"null age": {"given": _with({"maxAge": null}), "want": "maxAge is not a number of hours (h) or days (d)"},
		"acceptStale in text": {"given": _with({"acceptStale": "no"}), "want": "acceptStale is neither true nor false"},
		"recheck null": {"given": _with({"recheckUnchangedImages": null}), "want": "recheckUnchangedImages is neither true nor false"},
		"fail on nothing": {"given": _with({"failOn": []}), "want": "failOn is not a list of rejected, unavailable and misconfigured"},
		"fail on text": {"given": _with({"failOn": "rejected"}), "want": "failOn is not a list of rejected, unavailable and misconfigured"},
		"fail on something else": {"given": _with({"failOn": ["denied"]}), "want": "failOn is not a list of rejected, unavailable and misconfigured"},
	}
	tc.want in parameters.problems with input.parameters as tc.given
}

test_no_input_at_all if "parameters are not an object" in parameters.problems with input as {}

test_defaults if {
	parameters.provider == "endor-gatekeeper-provider" with input.parameters as _with({})
	parameters.demands == {"accept_stale": true, "max_age_ns": 0} with input.parameters as _with({})
	parameters.recheck == false with input.parameters as _with({})
	parameters.fail_on == {"rejected", "unavailable", "misconfigured"} with input.parameters as _with({})
	parameters.context == {"namespace": "", "signers": [_signer]} with input.parameters as _with({})
	not parameters.scope with input.parameters as _with({})
	not parameters.exempt_images with input.parameters as _with({})
	parameters.exempt_containers == {} with input.parameters as _with({})
}

test_max_age_in_nanoseconds[note] if {
	some note, want in {"1h": 3600000000000, "30d": 2592000000000000, "720h": 2592000000000000}
	parameters.demands.max_age_ns == want with input.parameters as _with({"maxAge": note})
}

test_containers_exempt_under_one_name_add_up if {
	given := [
		{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:*"},
		{"name": "istio-proxy", "image": "gcr.io/istio-release/proxyv2:*"},
		{"name": "vault-agent", "image": "hashicorp/vault:*"},
	]
	prepared := parameters.exempt_containers with input.parameters as _with({"exemptContainers": given})
	istio := {"istio/proxyv2:1.27", "gcr.io/istio-release/proxyv2:1.27"}
	vault := {"hashicorp/vault:1.20"}
	reference.exempt(prepared["istio-proxy"], reference.parse(istio | vault)) == istio
	not prepared.vault
}

test_key[note] if {
	some note, tc in {
		"any signer": {"given": {"anySigner": true}, "want": "image=a"},
		"one signer": {
			"given": {"namespace": "acme", "signers": [{"sourceRepositoryRef": "refs/tags/*", "sourceRepository": "acme/api"}]},
			"want": "image=a&namespace=acme&source_repository=acme%2Fapi&source_repository_ref=refs%2Ftags%2F%2A",
		},
		"several signers, in order": {
			"given": {"signers": [{"sourceRepository": "z z"}, {"buildConfigName": "b", "runnerEnvironment": "a"}, {"sourceRepository": "a"}]},
			"want": concat("", [
				"image=a&signer=source_repository%3Dz%2Bz",
				"&signer=build_config_name%3Db%26runner_environment%3Da",
				"&signer=source_repository%3Da",
			]),
		},
	}
	got := parameters.key("a") with input.parameters as tc.given
	got == tc.want
}

test_key_of_a_hostile_image if {
	got := parameters.key("x\u007f&namespace=evil=%é") with input.parameters as {"anySigner": true}
	got == "image=x%7F%26namespace%3Devil%3D%25%C3%A9"
}
