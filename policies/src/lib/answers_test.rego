# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

package lib.answers_test

import data.lib.answers

_digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

_good := {"verified": true, "code": "VERIFIED", "digest": _digest, "stale": false, "signed_at": "2026-01-01T00:00:00Z"}

_demands := {"accept_stale": true, "max_age_ns": 0}

# What external_data gives for one key, in the shape of Gatekeeper's driver.
_response(responses, errors, system_error) := {
	"responses": responses,
	"errors": errors,
	"status_code": 200,
	"system_error": system_error,
}

_judge(response, demands) := _verdict(judged) if {
	judged := answers.judge(answers.ask("p", ["k"]), _questions, demands) with external_data as response
}

_questions := {"image": {"key": "k", "digest": _digest}}

# An image is verified or refused, and never both.
_verdict(judged) := {"code": "VERIFIED"} if judged == {"verified": {"image"}, "refused": {}}

_verdict(judged) := judged.refused.image if judged.verified == set()

test_asks_with_provider_and_keys if {
	got := answers.ask("p", ["a", "b"]) with external_data as _echo
	got == {"values": {"a": {"p": true}, "b": {"p": true}}, "errors": {}, "system_error": ""}
}

_echo(request) := _response([[key, request.provider] | some key in request.keys], [], "")

test_asks_nothing_without_keys if {
	got := answers.ask("p", []) with external_data as _response([["k", _good]], [], "UNAVAILABLE: no")
	got == {"values": {}, "errors": {}, "system_error": ""}
}

test_verified if _judge(_response([["k", _good]], [], ""), _demands).code == "VERIFIED"

test_verified_beside_trouble_of_others if {
	response := _response([["k", _good], ["j", null]], [["j", "NOT_SIGNED: no"]], "UNAVAILABLE: no answer")
	_judge(response, _demands).code == "VERIFIED"
}

test_verified_twice_in_the_same_words if {
	_judge(_response([["k", _good], ["k", _good]], [], ""), _demands).code == "VERIFIED"
}

test_no_shape_but_one_verifies[note] if {
	some note, value in {
		"null": null,
		"true": true,
		"text": "VERIFIED",
		"list": [_good],
		"empty object": {},
		"no verified": object.remove(_good, ["verified"]),
		"verified in text": object.union(_good, {"verified": "true"}),
		"not verified": object.union(_good, {"verified": false}),
		"no code": object.remove(_good, ["code"]),
		"another code": object.union(_good, {"code": "NOT_SIGNED"}),
		"no digest": object.remove(_good, ["digest"]),
		"another digest": object.union(_good, {"digest": "sha256:00"}),
		"list of digests": object.union(_good, {"digest": [_digest]}),
	}
	_judge(_response([["k", value]], [], ""), _demands) == {"code": "UNRECOGNIZED_RESULT"}
}

test_no_response_but_one_verifies[note] if {
	some note, response in {
		"null": null,
		"text": "VERIFIED",
		"empty object": {},
		"null lists": _response(null, null, ""),
		"text for lists": _response("k", "k", ""),
		"empty lists": _response([], [], ""),
		"pairs of one": _response([["k"]], [["k"]], ""),
		"triples": _response([["k", _good, ""]], [], ""),
		"objects for pairs": _response([{"k": _good}], [], ""),
		"another key": _response([["j", _good]], [], ""),
		"key in capitals": _response([["K", _good]], [], ""),
		"system error of an unknown kind": _response(null, null, "oops"),
		"system error that is no text": _response(null, null, {"code": "UNAVAILABLE"}),
		"system error with a code for images": _response(null, null, "NOT_SIGNED: no"),
		"code without a sentence": _response(null, null, "UNAVAILABLE"),
	}
	_judge(response, _demands) == {"code": "UNRECOGNIZED_RESULT"}
}

test_undefined_call_verifies_nothing if {
	got := answers.judge(answers.ask("p", ["k"]), _questions, _demands) with external_data as _never
	_verdict(got) == {"code": "UNRECOGNIZED_RESULT"}
}

_never(request) := 1 if request.provider == "another"

test_different_values_for_one_key_verify_nothing[note] if {
	some note, pairs in {
		"null after": [["k", _good], ["k", null]],
		"null before": [["k", null], ["k", _good]],
		"another digest": [["k", _good], ["k", object.union(_good, {"digest": "sha256:00"})]],
		"two halves": [["k", object.remove(_good, ["digest"])], ["k", {"digest": _digest}]],
	}
	_judge(_response(pairs, [], ""), _demands) == {"code": "UNRECOGNIZED_RESULT"}
}

test_an_error_wins if {
	_judge(_response([["k", _good]], [["k", "REVOKED: revoked"]], ""), _demands).code == "REVOKED"
}

test_item_errors[note] if {
	some note, tc in {
		"known": {"text": "WRONG_SIGNER: got a, want b", "want": {"code": "WRONG_SIGNER", "sentence": "got a, want b"}},
		"sentence with a colon": {"text": "BAD_KEY: a: b", "want": {"code": "BAD_KEY", "sentence": "a: b"}},
		"unknown": {"text": "NEW_CODE: what", "want": {"code": "UNRECOGNIZED_RESULT"}},
		"outage as a verdict": {"text": "UNAVAILABLE: no", "want": {"code": "UNRECOGNIZED_RESULT"}},
		"verified as an error": {"text": "VERIFIED: yes", "want": {"code": "UNRECOGNIZED_RESULT"}},
		"no code": {"text": "not signed", "want": {"code": "UNRECOGNIZED_RESULT"}},
		"no text": {"text": 7, "want": {"code": "UNRECOGNIZED_RESULT"}},
		"null": {"text": null, "want": {"code": "UNRECOGNIZED_RESULT"}},
	}
	_judge(_response([], [["k", tc.text]], ""), _demands) == tc.want
}

test_of_two_errors_one_is_told if {
	response := _response([], [["k", "REVOKED: b"], ["k", "NOT_SIGNED: a"]], "")
	_judge(response, _demands) == {"code": "NOT_SIGNED", "sentence": "a"}
}

test_stale[note] if {
	some note, tc in {
		"accepted": {"stale": true, "accept": true, "want": "VERIFIED"},
		"not accepted": {"stale": true, "accept": false, "want": "UNAVAILABLE"},
		"fresh": {"stale": false, "accept": false, "want": "VERIFIED"},
		"neither": {"stale": "no", "accept": false, "want": "UNRECOGNIZED_RESULT"},
		"null": {"stale": null, "accept": false, "want": "UNRECOGNIZED_RESULT"},
	}
	response := _response([["k", object.union(_good, {"stale": tc.stale})]], [], "")
	_judge(response, object.union(_demands, {"accept_stale": tc.accept})).code == tc.want
}

test_stale_unknown if {
	response := _response([["k", object.remove(_good, ["stale"])]], [], "")
	_judge(response, object.union(_demands, {"accept_stale": false})).code == "UNRECOGNIZED_RESULT"
}

_day := 86400000000000

test_max_age[note] if {
	some note, tc in {
		"younger": {"signed_at": "2026-01-01T00:00:00Z", "want": "VERIFIED"},
		"younger in another zone": {"signed_at": "2026-01-01T01:00:00+01:00", "want": "VERIFIED"},
		"by a second": {"signed_at": "2025-12-31T12:00:01Z", "want": "VERIFIED"},
		"exactly": {"signed_at": "2025-12-31T12:00:00Z", "want": "TOO_OLD"},
		"older": {"signed_at": "2025-12-01T00:00:00Z", "want": "TOO_OLD"},
		"in five minutes": {"signed_at": "2026-01-01T12:05:00Z", "want": "VERIFIED"},
		"in six minutes": {"signed_at": "2026-01-01T12:06:00Z", "want": "TOO_OLD"},
		"year 9999": {"signed_at": "9999-01-01T00:00:00Z", "want": "TOO_OLD"},
		"no time": {"signed_at": "yesterday", "want": "TOO_OLD"},
		"number": {"signed_at": 1767225600, "want": "TOO_OLD"},
		"empty": {"signed_at": "", "want": "TOO_OLD"},
		"null": {"signed_at": null, "want": "TOO_OLD"},
	}
	response := _response([["k", object.union(_good, {"signed_at": tc.signed_at})]], [], "")
	now := time.parse_rfc3339_ns("2026-01-01T12:00:00Z")
	verdict := _judge(response, object.union(_demands, {"max_age_ns": _day})) with time.now_ns as now
	verdict.code == tc.want
}

test_max_age_without_a_time if {
	response := _response([["k", object.remove(_good, ["signed_at"])]], [], "")
	_judge(response, object.union(_demands, {"max_age_ns": _day})).code == "TOO_OLD"
}

test_a_stale_answer_is_told_before_an_old_signature if {
	response := _response([["k", object.union(_good, {"stale": true})]], [], "")
	_judge(response, {"accept_stale": false, "max_age_ns": 1}).code == "UNAVAILABLE"
}

test_system_errors[note] if {
	post := "failed to send external data request: Post \"https://provider.example:8443/validate\": "
	some note, tc in {
		"outage": {"text": "UNAVAILABLE: Endor Labs does not answer", "code": "UNAVAILABLE", "says": "Endor Labs does not answer"},
		"misconfigured": {"text": "MISCONFIGURED: the key is refused", "code": "MISCONFIGURED", "says": "the key is refused"},
		"bad request": {"text": "BAD_REQUEST: too many keys", "code": "BAD_REQUEST", "says": "too many keys"},
		"no Provider": {"text": "key is not found in provider cache", "code": "MISCONFIGURED", "says": "no Provider of that name"},
		"bad bundle": {
			"text": "failed to get HTTP client: failed to append provider's CA bundle to certificate pool",
			"code": "MISCONFIGURED",
			"says": "caBundle of the Provider",
		},
		"no client certificate": {
			"text": "certWatcher should not be nil when enableExternalDataClientAuth is true",
			"code": "MISCONFIGURED",
			"says": "no client certificate",
		},
		"unknown authority": {
			"text": concat("", [post, "tls: failed to verify certificate: x509: certificate signed by unknown authority"]),
			"code": "MISCONFIGURED",
			"says": "each other's certificates",
		},
		"client certificate refused": {"text": concat("", [post, "remote error: tls: bad certificate"]), "code": "MISCONFIGURED", "says": "each other's certificates"},
		"plain HTTP": {"text": concat("", [post, "http: server gave HTTP response to HTTPS client"]), "code": "MISCONFIGURED", "says": "each other's certificates"},
		"deadline": {"text": concat("", [post, "context deadline exceeded"]), "code": "UNAVAILABLE", "says": "in time"},
		"handshake timeout": {"text": concat("", [post, "net/http: TLS handshake timeout"]), "code": "UNAVAILABLE", "says": "in time"},
		"dial timeout": {"text": concat("", [post, "dial tcp 10.0.0.1:8443: i/o timeout"]), "code": "UNAVAILABLE", "says": "in time"},
		"refused": {"text": concat("", [post, "dial tcp 10.0.0.1:8443: connect: connection refused"]), "code": "UNAVAILABLE", "says": "cannot reach"},
		"no such host": {"text": concat("", [post, "dial tcp: lookup provider.example: no such host"]), "code": "UNAVAILABLE", "says": "cannot reach"},
		"hung up": {"text": concat("", [post, "EOF"]), "code": "UNAVAILABLE", "says": "cannot reach"},
		"cut off": {"text": "failed to read external data response: unexpected EOF", "code": "UNAVAILABLE", "says": "cannot reach"},
		"slow body": {"text": "failed to read external data response: context deadline exceeded", "code": "UNAVAILABLE", "says": "in time"},
		"not JSON": {
			"text": "failed to unmarshal external data response: invalid character '<' looking for beginning of value",
			"code": "UNRECOGNIZED_RESULT",
			"says": "something else",
		},
	}
	verdict := _judge(_response(null, null, tc.text), _demands)
	verdict.code == tc.code
	contains(verdict.sentence, tc.says)
	not contains(verdict.sentence, "example")
	not contains(verdict.sentence, "10.0.0.1")
}
