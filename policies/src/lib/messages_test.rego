# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

package lib.messages_test

import data.lib.messages

_hex := "1a2bcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"

_digest := concat("", ["sha256:", _hex])

_image(name) := {"kind": "container", "name": "api", "image": concat("", [name, "@", _digest])}

_context := {"namespace": "acme", "signers": [{"sourceRepository": "acme/api"}]}

_long(part, times) := concat("", [part | some _ in numbers.range(1, times)])

_codes := {
	"NOT_SIGNED", "REVOKED", "WRONG_SIGNER", "UNTRUSTED_CERTIFICATE", "SIGNED_OUTSIDE_VALIDITY", "INVALID_SIGNATURE",
	"UNRECOGNIZED_RESULT", "NO_DIGEST", "BAD_REFERENCE", "BAD_KEY", "REFUSED_BY_API", "BAD_REQUEST", "TOO_OLD",
	"TOO_MANY_IMAGES", "UNAVAILABLE", "MISCONFIGURED", "BAD_PARAMETERS",
}

_sound(message) if {
	regex.match(`^\[[A-Z_]+\] [ -~]+$`, message)
	count(message) <= 200
}

test_the_line_and_its_details if {
	got := messages.image_refused(_image("ghcr.io/acme/api"), _digest, {"code": "NOT_SIGNED"}, _context)
	got.msg == concat("", [
		"[NOT_SIGNED] container \"api\": ghcr.io/acme/api@sha256:1a2b... ",
		"has no Endor Labs signature. Sign it in CI (endorctl artifact sign), then redeploy.",
	])
	got.details == {
		"code": "NOT_SIGNED",
		"class": "rejected",
		"container": "api",
		"image": concat("", ["ghcr.io/acme/api@", _digest]),
		"digest": _digest,
		"namespace": "acme",
		"signers": [{"sourceRepository": "acme/api"}],
		"fix": "Sign it in CI (endorctl artifact sign), then redeploy.",
	}
}

test_every_code_fits_for_every_image[note] if {
	some code in _codes
	some kind in ["container", "ephemeralContainer"]
	some size in [1, 60, 255]
	some words in [0, 3, 40]
	note := sprintf("%s, %s, %d letters, %d words", [code, kind, size, words])
	image := {"kind": kind, "name": _long("n", size), "image": concat("", ["ghcr.io/", _long("r", size), "@", _digest])}
	verdict := {"code": code, "sentence": _long("word ", words)}
	got := messages.image_refused(image, _digest, verdict, _context).msg
	_sound(got)
	startswith(got, concat("", ["[", code, "] ", kind, " \"n"]))
	contains(got, "ghcr.io/r")
	contains(got, "@sha256:1a2b...")
}

test_advice_is_kept_while_the_image_can_be_squeezed if {
	got := messages.image_refused(_image(concat("/", ["ghcr.io", _long("a", 255)])), _digest, {"code": "NOT_SIGNED"}, _context).msg
	count(got) == 200
	regex.match(`: ghcr\.io/a+\.\.\.a+@sha256:1a2b\.\.\. has no Endor Labs signature\. Sign it .* redeploy\.$`, got)
}

test_long_reasons_cost_the_advice_then_their_end if {
	one := messages.image_refused(_image("ghcr.io/acme/api"), _digest, {"code": "WRONG_SIGNER", "sentence": _long("x", 75)}, _context).msg
	endswith(one, concat("", ["signer: ", _long("x", 75), "."]))
	two := messages.image_refused(_image("ghcr.io/acme/api"), _digest, {"code": "WRONG_SIGNER", "sentence": _long("x", 750)}, _context).msg
	endswith(two, "xxx....")
	count(two) == 200
}

test_explanations[note] if {
	some note, tc in {
		"told": {
			"verdict": {"code": "WRONG_SIGNER", "sentence": "it was built from evil/api."},
			"want": "has no signature of an accepted signer: it was built from evil/api. Build",
		},
		"none": {"verdict": {"code": "WRONG_SIGNER"}, "want": "has no signature of an accepted signer. Build"},
		"empty": {"verdict": {"code": "WRONG_SIGNER", "sentence": ""}, "want": "has no signature of an accepted signer. Build"},
		"not for all codes": {"verdict": {"code": "NOT_SIGNED", "sentence": "nobody signed it"}, "want": "has no Endor Labs signature. Sign"},
		"not ASCII": {"verdict": {"code": "WRONG_SIGNER", "sentence": "é\n"}, "want": "signer: %C3%A9%0A. Build"},
	}
	contains(messages.image_refused(_image("ghcr.io/acme/api"), _digest, tc.verdict, _context).msg, tc.want)
}

test_hostile_images[note] if {
	some note, tc in {
		"nothing": {"image": "", "want": "\"api\": (empty) is no"},
		"not a string": {"image": null, "want": "\"api\": (unreadable) is no"},
		"control characters": {"image": "x\u007f\n\u001b[2J", "want": "\"api\": x%7F%0A%1B%5B2J is no"},
		"a sentence": {"image": "x is fine.", "want": "\"api\": x%20is%20fine. is no"},
		"quotes that close the name": {"image": `x" is fine`, "want": "\"api\": x%22%20is%20fine is no"},
		"beyond the basic plane": {"image": "x😀", "want": "\"api\": x%F0%9F%98%80 is no"},
	}
	got := messages.image_refused({"kind": "container", "name": "api", "image": tc.image}, "", {"code": "BAD_REFERENCE"}, _context).msg
	_sound(got)
	contains(got, tc.want)
}

test_huge_strings_are_cut if {
	image := {"kind": "container", "name": _long("é", 5000), "image": _long("é", 5000)}
	got := messages.image_refused(image, "", {"code": "BAD_REFERENCE"}, _context)
	_sound(got.msg)
	count(got.details.container) == 253
	count(got.details.image) == 512
}

test_an_unreadable_image_has_details if {
	image := {"kind": "container", "name": "", "image": null}
	messages.image_refused(image, "", {"code": "BAD_REFERENCE"}, _context).details.image == ""
}

test_objects if {
	got := messages.object_refused("Deployment", {"code": "TOO_MANY_IMAGES", "sentence": "257, at most 256 are judged"}, _context)
	got.msg == "[TOO_MANY_IMAGES] object: Deployment has too many images: 257, at most 256 are judged. Split it up."
	got.details == {
		"code": "TOO_MANY_IMAGES",
		"class": "rejected",
		"container": "",
		"image": "",
		"digest": "",
		"namespace": "acme",
		"signers": [{"sourceRepository": "acme/api"}],
		"fix": "Split it up.",
	}
}

test_class[note] if {
	some note, want in {
		"NOT_SIGNED": "rejected",
		"BAD_REQUEST": "rejected",
		"TOO_OLD": "rejected",
		"UNAVAILABLE": "unavailable",
		"MISCONFIGURED": "misconfigured",
		"BAD_PARAMETERS": "misconfigured",
		"A_CODE_OF_TOMORROW": "rejected",
	}
	messages.class({"code": note}) == want
}
