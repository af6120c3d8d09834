# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Says why an object is refused, in one line that fits anywhere.
#
# A message has the code first, is printable ASCII of at most 200 bytes, and is
# the same for the same cause, since people, logs and GitOps tools compare it.
# Every function here is total: a violation whose message is undefined would be
# no violation.
package lib.messages

_max_bytes := 200

# An image is not squeezed below this for the sake of the advice.
_least_bytes := 40

# Classes, words and advice by code.
_codes := {
	"NOT_SIGNED": {
		"class": "rejected",
		"says": "has no Endor Labs signature",
		"fix": "Sign it in CI (endorctl artifact sign), then redeploy.",
	},
	"REVOKED": {
		"class": "rejected",
		"says": "has a revoked signature",
		"fix": "Deploy a newer build, or ask who revoked it.",
	},
	"WRONG_SIGNER": {
		"class": "rejected",
		"says": "has no signature of an accepted signer",
		"fix": "Build and sign it where the constraint's signers say.",
	},
	"UNTRUSTED_CERTIFICATE": {
		"class": "rejected",
		"says": "is signed with a certificate that Endor Labs does not trust",
		"fix": "Sign it again in CI.",
	},
	"SIGNED_OUTSIDE_VALIDITY": {
		"class": "rejected",
		"says": "was signed outside its certificate's validity",
		"fix": "Sign it again in CI.",
	},
	"INVALID_SIGNATURE": {
		"class": "rejected",
		"says": "has a signature that does not verify",
		"fix": "Treat it as tampered with; rebuild and sign it.",
	},
	"UNRECOGNIZED_RESULT": {
		"class": "rejected",
		"says": "got an answer that decides nothing",
		"fix": "Cluster operator: see the provider's log.",
	},
	"NO_DIGEST": {
		"class": "rejected",
		"says": "names no digest",
		"fix": "Deploy name@sha256:... (crane digest prints it).",
	},
	"BAD_REFERENCE": {
		"class": "rejected",
		"says": "is no usable image reference",
		"fix": "Write registry/name@sha256:<64 hex digits>, registry in lower case.",
	},
	"BAD_KEY": {
		"class": "rejected",
		"says": "was asked for in words the provider does not know",
		"fix": "Cluster operator: correct the constraint, or upgrade the provider.",
	},
	"REFUSED_BY_API": {
		"class": "rejected",
		"says": "is refused by the Endor Labs API",
		"fix": "Check its name, then ask the cluster operator.",
	},
	"BAD_REQUEST": {
		"class": "rejected",
		"says": "was part of a request that the provider refused",
		"fix": "Cluster operator: see the provider's log.",
	},
	"TOO_OLD": {
		"class": "rejected",
		"says": "has a signature older than maxAge, or of unknown age",
		"fix": "Rebuild and sign it.",
	},
	"TOO_MANY_IMAGES": {
		"class": "rejected",
		"says": "has too many images",
		"fix": "Split it up.",
	},
	"UNAVAILABLE": {
		"class": "unavailable",
		"says": "could not be checked",
		"fix": "This is no verdict on the image; try again in a minute.",
	},
	"MISCONFIGURED": {
		"class": "misconfigured",
		"says": "could not be checked",
		"fix": "Cluster operator: see the provider's log.",
	},
	"BAD_PARAMETERS": {
		"class": "misconfigured",
		"says": "is refused whatever it holds",
		"fix": "Correct spec.parameters of the constraint.",
	},
}

# Codes whose cause is told by who found it better than by a word for all.
_explained := {
	"BAD_KEY",
	"BAD_PARAMETERS",
	"BAD_REFERENCE",
	"BAD_REQUEST",
	"MISCONFIGURED",
	"REFUSED_BY_API",
	"TOO_MANY_IMAGES",
	"UNAVAILABLE",
	"UNRECOGNIZED_RESULT",
	"WRONG_SIGNER",
}

_about(code) := _codes[code] if {
	_codes[code]
} else := _codes.UNRECOGNIZED_RESULT

class(verdict) := _about(verdict.code).class

# image_refused is the violation for one image. The context is what details
# repeat of the constraint: its namespace and signers.
image_refused(image, digest, verdict, context) := _violation(
	concat("", [image.kind, " \"", squeeze(printable(squeeze(name, 32)), 32), "\""]),
	_shown(image.image, digest),
	verdict,
	object.union(context, {
		"container": name,
		"digest": digest,
		"image": _whole(image.image),
	}),
) if {
	name := substring(image.name, 0, 253)
}

# object_refused is the violation for an object of which no image is judged.
object_refused(kind, verdict, context) := _violation(
	"object",
	kind,
	verdict,
	object.union(context, {"container": "", "digest": "", "image": ""}),
)

_violation(where, what, verdict, details) := {
	"msg": _fit(concat("", ["[", verdict.code, "] ", where, ": "]), what, _reason(verdict), fix),
	"details": object.union(details, {
		"code": verdict.code,
		"class": about.class,
		"fix": fix,
	}),
} if {
	about := _about(verdict.code)
	fix := object.get(verdict, "fix", about.fix)
}

# What the code says of images does not fit everything that is refused.
_reason(verdict) := verdict.says if {
	verdict.says
} else := concat("", [_about(verdict.code).says, ": ", sentence]) if {
	verdict.code in _explained

	# What follows a semicolon is advice, and the policy has its own.
	sentence := trim_suffix(_sentence(split(verdict.sentence, ";")[0]), ".")
	sentence != ""
} else := _about(verdict.code).says

# _fit makes the line as short as it must be, at the cost of the middle of the
# image first, then of the advice, which details repeat, then of the reason's end.
_fit(head, what, reason, fix) := _line(head, squeeze(what, room), reason, fix) if {
	room := count(what) - (count(_line(head, what, reason, fix)) - _max_bytes)
	room >= min([count(what), _least_bytes])
} else := _line(head, shown, cut(reason, ((_max_bytes - count(head)) - count(shown)) - 2), "") if {
	room := count(what) - (count(_line(head, what, reason, "")) - _max_bytes)
	shown := squeeze(what, max([room, _least_bytes]))
}

_line(head, what, reason, "") := concat("", [head, what, " ", reason, "."])

_line(head, what, reason, fix) := concat("", [head, what, " ", reason, ". ", fix]) if fix != ""

# squeeze keeps both ends of a text: of an image, where it is from, and its digest.
squeeze(text, bytes) := text if {
	count(text) <= bytes
} else := concat("", [substring(text, 0, front), "...", substring(text, count(text) - back, -1)]) if {
	front := floor((bytes - 3) / 2)
	back := (bytes - 3) - front
}

cut(text, bytes) := text if {
	count(text) <= bytes
} else := concat("", [substring(text, 0, bytes - 3), "..."])

_shown(null, _) := "(unreadable)"

_shown("", _) := "(empty)"

_shown(image, "") := printable(squeeze(image, 80)) if {
	is_string(image)
	image != ""
}

# Of a digest, "@sha256:" and four digits remain.
_shown(image, digest) := concat("", [substring(image, 0, count(image) - 60), "..."]) if digest != ""

_whole(null) := ""

_whole(image) := substring(image, 0, 512) if is_string(image)

# printable percent-encodes all but visible ASCII, and quotes, so that no name
# can hide a part of the line, or pose as one. A text with anything else in it
# is encoded in one go: character by character, names made for the purpose would
# outlast the webhook.
printable(text) := text if {
	regex.match(`^[!#-~]*$`, text)
} else := strings.replace_n({"+": "%20", "%2F": "/", "%3A": ":", "%40": "@"}, urlquery.encode(text))

_sentence(text) := text if {
	regex.match(`^[ -~]*$`, text)
} else := strings.replace_n({"+": " ", "%2F": "/", "%3A": ":", "%40": "@"}, urlquery.encode(text))
