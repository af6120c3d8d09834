# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

package k8sendorsignedimages_test

import data.k8sendorsignedimages

_digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

_at(name) := concat("", [name, "@", _digest])

_good := _at("ghcr.io/acme/api")

_bad := _at("ghcr.io/acme/unsigned")

_parameters := {"namespace": "acme", "signers": [{"sourceRepository": "acme/api"}]}

_review(kind, object) := {"kind": kind, "operation": "CREATE", "object": object}

_pod(spec) := _review({"group": "", "version": "v1", "kind": "Pod"}, {"spec": spec})

_runs(images) := {"containers": [{"name": sprintf("c%d", [i]), "image": image} | some i, image in images]}

# A provider that vouches for every image but those that are called unsigned.
_provider(request) := {
	"responses": [[key, {"verified": true, "code": "VERIFIED", "digest": _digest, "stale": false, "signed_at": "2026-01-01T00:00:00Z"}] |
		some key in request.keys
		not contains(key, "unsigned")
	],
	"errors": [[key, "NOT_SIGNED: nobody signed it"] | some key in request.keys; contains(key, "unsigned")],
	"status_code": 200,
	"system_error": "",
}

_out(_) := {"responses": null, "errors": null, "status_code": 500, "system_error": "UNAVAILABLE: no answer"}

_misconfigured(_) := {"responses": null, "errors": null, "status_code": 400, "system_error": "key is not found in provider cache"}

_never(request) := 1 if request.keys == "never"

# Tells in its system error what it was asked.
_told(request) := {"responses": [], "errors": [], "status_code": 200, "system_error": concat(" ", array.concat(["BAD_REQUEST:", request.provider], request.keys))}

_violations(review, parameters) := found if {
	found := k8sendorsignedimages.violation with input as {"review": review, "parameters": parameters} with external_data as _provider
}

_codes(review, parameters) := {violation.details.code | some violation in _violations(review, parameters)}

_asked(review, parameters) := message if {
	found := k8sendorsignedimages.violation with input as {"review": review, "parameters": parameters} with external_data as _told
	some violation in found
	message := violation.details.code
}

test_a_signed_image_is_admitted if _violations(_pod(_runs([_good])), _parameters) == set()

test_an_unsigned_image_is_refused if {
	_violations(_pod(_runs([_bad])), _parameters) == {{
		"msg": concat("", [
			"[NOT_SIGNED] container \"c0\": ghcr.io/acme/unsigned@sha256:0123... ",
			"has no Endor Labs signature. Sign it in CI (endorctl artifact sign), then redeploy.",
		]),
		"details": {
			"code": "NOT_SIGNED",
			"class": "rejected",
			"container": "c0",
			"image": _bad,
			"digest": _digest,
			"namespace": "acme",
			"signers": [{"sourceRepository": "acme/api"}],
			"fix": "Sign it in CI (endorctl artifact sign), then redeploy.",
		},
	}}
}

test_each_container_is_named if {
	review := _pod({
		"containers": [{"name": "a", "image": _good}, {"name": "b", "image": _bad}, {"name": "c", "image": _bad}],
		"initContainers": [{"name": "d", "image": _bad}],
		"ephemeralContainers": [{"name": "e", "image": _bad}],
		"volumes": [{"name": "f", "image": {"reference": _bad}}],
	})
	{violation.details.container | some violation in _violations(review, _parameters)} == {"b", "c", "d", "e", "f"}
}

test_judged_without_a_call[note] if {
	some note, tc in {
		"tag": {"image": "ghcr.io/acme/api:v1", "want": "NO_DIGEST"},
		"no tag": {"image": "nginx", "want": "NO_DIGEST"},
		"empty": {"image": "", "want": "BAD_REFERENCE"},
		"null": {"image": null, "want": "BAD_REFERENCE"},
		"control character": {"image": "x\u007f", "want": "BAD_REFERENCE"},
		"capitals": {"image": _at("GHCR.IO/acme/api"), "want": "BAD_REFERENCE"},
	}
	found := k8sendorsignedimages.violation with input as {"review": _pod(_runs([tc.image])), "parameters": _parameters}
		with external_data as _told
	{violation.details.code | some violation in found} == {tc.want}
}

test_a_broken_image_does_not_hide_another if {
	_codes(_pod(_runs(["x\u007f", _bad, _good])), _parameters) == {"BAD_REFERENCE", "NOT_SIGNED"}
}

test_one_request_with_sorted_and_distinct_keys if {
	images := ["ghcr.io/z/z", "ghcr.io/a/a", "ghcr.io/z/z", "nginx", "ghcr.io/exempt/x"]
	review := _pod(_runs([_at(image) | some image in images]))
	parameters := {"anySigner": true, "provider": "p", "exemptImages": ["ghcr.io/exempt/*"]}
	got := k8sendorsignedimages._answers with input as {"review": review, "parameters": parameters} with external_data as _told
	key := concat("", ["%40", replace(_digest, ":", "%3A")])
	got.system_error == concat(" ", [
		"BAD_REQUEST: p",
		concat("", ["image=ghcr.io%2Fa%2Fa", key]),
		concat("", ["image=ghcr.io%2Fz%2Fz", key]),
		concat("", ["image=nginx", key]),
	])
}

test_no_answer[note] if {
	some note, tc in {
		"all": {"parameters": _parameters, "outage": {"UNAVAILABLE"}, "mistake": {"MISCONFIGURED"}, "undefined": {"UNRECOGNIZED_RESULT"}},
		"rejected only": {
			"parameters": object.union(_parameters, {"failOn": ["rejected"]}),
			"outage": set(),
			"mistake": set(),
			"undefined": {"UNRECOGNIZED_RESULT"},
		},
		"unavailable only": {
			"parameters": object.union(_parameters, {"failOn": ["unavailable"]}),
			"outage": {"UNAVAILABLE"},
			"mistake": set(),
			"undefined": set(),
		},
	}
	reviewed := {"review": _pod(_runs([_good])), "parameters": tc.parameters}
	outage := k8sendorsignedimages.violation with input as reviewed with external_data as _out
	{violation.details.code | some violation in outage} == tc.outage
	mistake := k8sendorsignedimages.violation with input as reviewed with external_data as _misconfigured
	{violation.details.code | some violation in mistake} == tc.mistake
	undefined := k8sendorsignedimages.violation with input as reviewed with external_data as _never
	{violation.details.code | some violation in undefined} == tc.undefined
}

test_a_refused_request_is_rejected if {
	_asked(_pod(_runs([_good])), object.union(_parameters, {"failOn": ["rejected"]})) == "BAD_REQUEST"
}

test_a_verdict_that_cannot_be_had_is_a_refusal if {
	found := k8sendorsignedimages.violation with input as {"review": _pod(_runs([_good])), "parameters": _parameters}
		with data.lib.answers.judge as _nothing
		with external_data as _provider
	{violation.details.code | some violation in found} == {"UNRECOGNIZED_RESULT"}
}

_nothing(_, key, _) := 1 if key == "never"

test_bad_parameters_refuse_whatever_fail_on_says[note] if {
	some note, parameters in {
		"none": {},
		"misspelled": {"signres": [], "anySigner": true, "failOn": ["unavailable"]},
		"fail on": object.union(_parameters, {"failOn": ["denied"]}),
	}
	_codes(_pod(_runs([_good])), parameters) == {"BAD_PARAMETERS"}
}

test_bad_parameters_say_why if {
	some violation in _violations(_pod({}), {"anySigner": true, "signres": []})
	violation.msg == concat(" ", [
		"[BAD_PARAMETERS] object: Pod is refused whatever it holds: signres is no parameter.",
		"Correct spec.parameters of the constraint.",
	])
	violation.details.class == "misconfigured"
}

test_an_object_without_a_spec if _codes(_review({"group": "apps", "kind": "Deployment"}, {}), _parameters) == {"BAD_REFERENCE"}

test_no_containers if _violations(_pod({"containers": null}), _parameters) == set()

test_other_kinds_and_deletions_are_not_judged if {
	_violations(_review({"group": "", "kind": "ConfigMap"}, {}), {}) == set()
	_violations(object.union(_pod(_runs([_bad])), {"operation": "DELETE"}), {}) == set()
}

_many(count) := [_good | some _ in numbers.range(1, count)]

test_256_images_are_judged if _violations(_pod(_runs(_many(256))), _parameters) == set()

test_more_are_refused_at_once[note] if {
	some note, spec in {
		"containers": _runs(_many(257)),
		"across lists": object.union(_runs(_many(256)), {"volumes": [{"name": "v", "image": {"reference": _good}}]}),
		"among exempt ones": _runs([_at("ghcr.io/exempt/x") | some _ in numbers.range(1, 257)]),
	}
	found := _violations(_pod(spec), object.union(_parameters, {"exemptImages": ["ghcr.io/exempt/*"]}))
	{violation.msg | some violation in found} == {"[TOO_MANY_IMAGES] object: Pod has too many images: 257, at most 256 are judged. Split it up."}
}

_update(old, new) := object.union(_pod(new), {"operation": "UPDATE", "oldObject": {"spec": old}})

test_updates[note] if {
	some note, tc in {
		"unchanged": {"old": _runs([_bad]), "new": object.union(_runs([_bad]), {"x": 1}), "want": set()},
		"unchanged beside a new one": {"old": _runs([_bad]), "new": _runs([_bad, "nginx"]), "want": {"NO_DIGEST"}},
		"new image": {"old": _runs([_good]), "new": _runs([_bad]), "want": {"NOT_SIGNED"}},
		"too many, unchanged": {"old": _runs(_many(300)), "new": _runs(_many(300)), "want": set()},
		"too many, changed": {"old": _runs(_many(300)), "new": _runs(_many(301)), "want": {"TOO_MANY_IMAGES"}},
	}
	_codes(_update(tc.old, tc.new), _parameters) == tc.want
}

test_unchanged_images_are_judged_again_on_demand if {
	parameters := object.union(_parameters, {"recheckUnchangedImages": true})
	_codes(_update(_runs([_bad]), _runs([_bad])), parameters) == {"NOT_SIGNED"}
	_codes(_update(_runs(_many(300)), _runs(_many(300))), parameters) == {"TOO_MANY_IMAGES"}
}

_sidecar(kind, name, image) := {kind: [{"name": name, "image": image}]}

test_exemptions[note] if {
	exempt := {
		"exemptImages": ["ghcr.io/exempt/*"],
		"exemptContainers": [{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:*"}],
	}
	proxy := "istio/proxyv2:1.27"
	some note, tc in {
		"image": {"spec": _runs(["ghcr.io/exempt/x:v1"]), "want": set()},
		"container": {"spec": _sidecar("containers", "istio-proxy", proxy), "want": set()},
		"init container": {"spec": _sidecar("initContainers", "istio-proxy", proxy), "want": set()},
		"another name": {"spec": _sidecar("containers", "main", proxy), "want": {"NO_DIGEST"}},
		"another image": {"spec": _sidecar("containers", "istio-proxy", "evil/proxyv2:1.27"), "want": {"NO_DIGEST"}},
		"image that cannot be read": {"spec": _sidecar("containers", "istio-proxy", "istio/proxyv2:*"), "want": {"BAD_REFERENCE"}},
		"volume": {
			"spec": {"volumes": [{"name": "istio-proxy", "image": {"reference": proxy}}]},
			"want": {"NO_DIGEST"},
		},
		"exempt image in a volume": {
			"spec": {"volumes": [{"name": "v", "image": {"reference": "ghcr.io/exempt/x:v1"}}]},
			"want": set(),
		},
	}
	_codes(_pod(tc.spec), object.union(_parameters, exempt)) == tc.want
}

test_scope[note] if {
	some note, tc in {
		"another registry": {"image": "quay.io/other/x:v1", "want": set()},
		"inside": {"image": _bad, "want": {"NOT_SIGNED"}},
		"inside, in capitals": {"image": _at("GHCR.IO/acme/unsigned"), "want": {"BAD_REFERENCE"}},
		"inside, with port": {"image": _at("ghcr.io:443/acme/unsigned"), "want": {"NOT_SIGNED"}},
		"cannot be read": {"image": "ghcr.io/Acme/unsigned", "want": {"BAD_REFERENCE"}},
		"empty": {"image": "", "want": {"BAD_REFERENCE"}},
	}
	_codes(_pod(_runs([tc.image])), object.union(_parameters, {"images": ["ghcr.io/acme/*"]})) == tc.want
}

test_age_and_staleness_reach_the_answers if {
	_codes(_pod(_runs([_good])), object.union(_parameters, {"maxAge": "1h"})) == {"TOO_OLD"}
	_codes(_pod(_runs([_good])), object.union(_parameters, {"acceptStale": false})) == set()
}
