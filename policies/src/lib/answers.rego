# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Asks the provider and reads its answers.
#
# An image is verified by a value that says so about this very digest, and by
# nothing else: no error, no silence and no shape that is not known counts.
# What is not known to be an outage or a mistake of the operator is "rejected",
# because the author of a Pod might be able to bring it about.
package lib.answers

# ask gives what was answered: by key the errors and the values, and what is said
# of the request as a whole.
ask(provider, keys) := {
	"errors": _by_key(object.get(response, "errors", [])),
	"values": _by_key(object.get(response, "responses", [])),
	"system_error": object.get(response, "system_error", ""),
} if {
	count(keys) > 0

	# The keys are an array: of a set, or of a string that is not ASCII, Gatekeeper
	# makes no request at all and the call is undefined.
	response := external_data({"provider": provider, "keys": keys})
} else := {"errors": {}, "values": {}, "system_error": ""}

# _by_key collects the distinct values of each key. The values are made keys
# because union_n merges objects, and two half answers must not become a whole one.
_by_key(pairs) := object.union_n([{key: {value: true}} | some [key, value] in pairs])

# judge says what the answers mean for questions, which are {text: {"key",
# "digest"}}: which texts are verified, and why each of the others is not, as
# {"code"} and, where somebody explained it, "sentence". Demands are whether stale
# answers will do, and how old a signature may be (0 for any age).
#
# All questions are judged at once, by what is left of them after each demand, and
# reasons are sought for the others only. A function for one image would be called
# with all answers: OPA compares the arguments of a call with those of earlier
# ones, and the work would grow with the square.
judge(answers, questions, demands) := {"verified": verified, "refused": refused} if {
	vouched := _vouched(answers, questions)
	recent := _recent(vouched, demands)
	young := _young(recent, demands)
	verified := object.keys(young)
	refused := {text: _why(said, answers.system_error) |
		some text in (object.keys(questions) - verified)
		key := questions[text].key
		said := {
			"errors": object.keys(object.get(answers.errors, key, {})),
			"values": object.keys(object.get(answers.values, key, {})),
			"vouched": object.get(vouched, text, null),
			"recent": object.get(recent, text, null),
		}
	}
}

# _vouched has the values that say so about the digest, by text. Two different
# values for one key contradict each other, and an error contradicts any.
_vouched(answers, questions) := {text: value |
	some text, question in questions
	not answers.errors[question.key]
	values := answers.values[question.key]
	count(values) == 1
	some value, _ in values
	value.verified == true
	value.code == "VERIFIED"
	value.digest == question.digest
}

_recent(vouched, demands) := vouched if {
	demands.accept_stale
} else := {text: value | some text, value in vouched; value.stale == false}

_young(recent, demands) := recent if {
	demands.max_age_ns == 0
} else := {text: value |
	some text, value in recent
	age := time.now_ns() - time.parse_rfc3339_ns(value.signed_at)
	age < demands.max_age_ns

	# Clocks differ by minutes; a signature from tomorrow is a forged or broken time.
	age >= (-5 * 60) * 1000000000
}

_why(said, system_error) := _refusal(min(said.errors)) if {
	count(said.errors) > 0
} else := {"code": "TOO_OLD"} if {
	said.recent != null
} else := {"code": "UNAVAILABLE", "sentence": "the last answer is stale and this constraint accepts none"} if {
	said.vouched.stale == true
} else := {"code": "UNRECOGNIZED_RESULT"} if {
	count(said.values) > 0
} else := undecided(system_error)

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
