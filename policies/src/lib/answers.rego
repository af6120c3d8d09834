# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Asks the provider and reads its answers.
#
# An image is verified by a value that says so about this very digest, and by
# nothing else: no error, no silence and no shape that is not known counts.
# What is not known to be an outage or a mistake of the operator is "rejected",
# because the author of a Pod might be able to bring it about.
package lib.answers

# ask gives what was answered about each key: the values, the errors, and why
# there is neither. All answers are taken apart here and handed to no function:
# OPA compares the arguments of a call with those of earlier ones, and comparing
# all answers for each image would make the work grow with the square.
ask(provider, keys) := {key: answer |
	some key in keys
	answer := {
		"errors": object.keys(object.get(errors, key, {})),
		"values": object.keys(object.get(values, key, {})),
		"undecided": why,
	}
} if {
	response := _response(provider, keys)
	errors := _by_key(object.get(response, "errors", []))
	values := _by_key(object.get(response, "responses", []))
	why := undecided(object.get(response, "system_error", ""))
}

# The keys are an array: of a set, or of a string that is not ASCII, Gatekeeper
# makes no request at all and the call is undefined.
_response(provider, keys) := response if {
	count(keys) > 0
	response := external_data({"provider": provider, "keys": keys})
	is_object(response)
} else := {}

# _by_key collects the distinct values of each key. The values are made keys
# because union_n merges objects, and two half answers must not become a whole one.
_by_key(pairs) := object.union_n([{key: {value: true}} | some [key, value] in pairs])

# judge says what an answer means for the image with this digest, as {"code"}
# and, where somebody explained it, "sentence". Demands are whether stale answers
# will do, and how old a signature may be (0 for any age).
judge(answer, digest, demands) := _refusal(min(answer.errors)) if {
	count(answer.errors) > 0
} else := _appraisal(answer.values, digest, demands) if {
	count(answer.values) > 0
} else := answer.undecided

# Codes that the provider gives to a single image. An outage is never among
# them: Gatekeeper would keep it for minutes.
_refusals := {
	"NOT_SIGNED",
	"REVOKED",
	"WRONG_SIGNER",
	"UNTRUSTED_CERTIFICATE",
	"SIGNED_OUTSIDE_VALIDITY",
	"INVALID_SIGNATURE",
	"UNRECOGNIZED_RESULT",
	"NO_DIGEST",
	"BAD_REFERENCE",
	"BAD_KEY",
	"REFUSED_BY_API",
}

_refusal(text) := _coded(text, _refusals)

# Codes that the provider gives to a whole request.
_failures := {"MISCONFIGURED", "UNAVAILABLE", "BAD_REQUEST"}

# _coded reads "CODE: sentence" with one of codes.
_coded(text, codes) := {"code": code, "sentence": substring(text, count(code) + 2, -1)} if {
	code := substring(text, 0, indexof(text, ": "))
	code in codes
} else := {"code": "UNRECOGNIZED_RESULT"}

_appraisal(values, digest, demands) := {"code": "VERIFIED"} if {
	_vouched(values, digest)
	_recent(values, demands)
	_young(values, demands)
} else := {"code": "TOO_OLD"} if {
	_vouched(values, digest)
	_recent(values, demands)
} else := {"code": "UNAVAILABLE", "sentence": "the last answer is stale and this constraint accepts none"} if {
	_vouched(values, digest)
	some value in values
	value.stale == true
} else := {"code": "UNRECOGNIZED_RESULT"}

# Two different values for one key contradict each other.
_vouched(values, digest) if {
	count(values) == 1
	some value in values
	value.verified == true
	value.code == "VERIFIED"
	value.digest == digest
}

_recent(_, demands) if demands.accept_stale

_recent(values, _) if {
	some value in values
	value.stale == false
}

_young(_, demands) if demands.max_age_ns == 0

_young(values, demands) if {
	some value in values
	age := time.now_ns() - time.parse_rfc3339_ns(value.signed_at)
	age < demands.max_age_ns

	# Clocks differ by minutes; a signature from tomorrow is a forged or broken time.
	age >= (-5 * 60) * 1000000000
}

# undecided says why there was no answer. Gatekeeper's own errors hold the
# Provider's URL and Go's words, so they are told in words of ours.
undecided(text) := _coded(text, _failures) if {
	some code in _failures
	startswith(text, concat("", [code, ": "]))
} else := {
	"code": "MISCONFIGURED",
	"sentence": "Gatekeeper has no Provider of that name; install the chart or correct the parameter provider",
} if {
	text == "key is not found in provider cache"
} else := {
	"code": "MISCONFIGURED",
	"sentence": "url or caBundle of the Provider object cannot be used",
} if {
	startswith(text, "failed to get HTTP client: ")
} else := {
	"code": "MISCONFIGURED",
	"sentence": "Gatekeeper has no client certificate to show to the provider",
} if {
	startswith(text, "certWatcher ")
} else := {
	"code": "UNAVAILABLE",
	"sentence": "the provider did not answer Gatekeeper in time",
} if {
	# Before certificates: TLS has words of its own for a connection that time cut.
	regex.match(`^failed to (send|read) external data re.*([Tt]imeout|deadline exceeded)`, text)
} else := {
	"code": "MISCONFIGURED",
	"sentence": "Gatekeeper and the provider do not accept each other's certificates",
} if {
	regex.match(`^failed to send external data re.*(x509: |tls: |HTTP response to HTTPS client)`, text)
} else := {
	"code": "UNAVAILABLE",
	"sentence": "Gatekeeper cannot reach the provider",
} if {
	regex.match(`^failed to (send|read) external data re`, text)
} else := {
	"code": "UNRECOGNIZED_RESULT",
	"sentence": "something else than the provider answered Gatekeeper",
} if {
	startswith(text, "failed to unmarshal external data response: ")
} else := {"code": "UNRECOGNIZED_RESULT"}
