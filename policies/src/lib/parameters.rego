# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Reads and checks a constraint's parameters.
#
# All of it is checked here, not only what the schema cannot say: an API server
# may have stored a constraint before the schema was stricter, and drops fields
# that it does not know for clients that do not ask to be told. A condition that
# is misspelled must not become no condition.
package lib.parameters

import data.lib.reference

_names := {
	"provider",
	"namespace",
	"signers",
	"anySigner",
	"images",
	"exemptImages",
	"exemptContainers",
	"maxAge",
	"acceptStale",
	"failOn",
	"recheckUnchangedImages",
}

# The claims of a signer and their names in a key.
_claims := {
	"certificateOidcIssuer": "certificate_oidc_issuer",
	"certificateIdentity": "certificate_identity",
	"sourceRepository": "source_repository",
	"sourceRepositoryOwner": "source_repository_owner",
	"sourceRepositoryRef": "source_repository_ref",
	"sourceRepositoryDigest": "source_repository_digest",
	"buildConfigName": "build_config_name",
	"buildConfigDigest": "build_config_digest",
	"runnerEnvironment": "runner_environment",
}

_classes := {"rejected", "unavailable", "misconfigured"}

# With these and the longest image a key stays under the provider's 8 KiB.
_max_query_bytes := 6144

default _given := {}

_given := input.parameters if _readable

_readable if is_object(input.parameters)

provider := object.get(_given, "provider", "endor-gatekeeper-provider")

recheck := object.get(_given, "recheckUnchangedImages", false)

fail_on := {class | some class in object.get(_given, "failOn", _classes)}

# exempt_images is undefined where none are.
exempt_images := reference.exemptions(_given.exemptImages)

# exempt_containers are prepared patterns by container name.
exempt_containers := {name: reference.exemptions(object.keys(patterns)) |
	some name, patterns in object.union_n([{container.name: {container.image: true}} |
		some container in _given.exemptContainers
	])
}

# scope is undefined where all images are checked.
scope := reference.scope(_given.images)

# demands is what the constraint wants of an answer besides the right image.
demands := {
	"accept_stale": object.get(_given, "acceptStale", true),
	"max_age_ns": _max_age_ns,
}

# 0 where any age will do.
default _max_age_ns := 0

_max_age_ns := (to_number(trim_right(_given.maxAge, "hd")) * _hours[substring(_given.maxAge, count(_given.maxAge) - 1, 1)]) * 3600000000000

_hours := {"h": 1, "d": 24}

# context is what the details of a violation repeat.
context := {
	"namespace": object.get(_given, "namespace", ""),
	"signers": object.get(_given, "signers", []),
}

# key is the question about one image: everything that decides the answer, in
# ASCII. Gatekeeper keeps answers by key and by nothing else.
key(image) := urlquery.encode_object(object.union(_question, {"image": image}))

_question := object.union(_who, _where)

_who := {} if {
	object.get(_given, "anySigner", false)
} else := _query(_given.signers[0]) if {
	count(_given.signers) == 1
} else := {"signer": [urlquery.encode_object(_query(signer)) | some signer in _given.signers]}

_where := {"namespace": _given.namespace} if {
	_given.namespace
} else := {}

_query(signer) := {_claims[claim]: value | some claim, value in signer}

# problems are all reasons not to use the parameters, as sentences.
problems contains "parameters are not an object" if not _readable

problems contains concat(" ", [name, "is no parameter"]) if {
	some name in (object.keys(_given) - _names)
}

problems contains "provider is not the name of a Provider" if {
	value := _given.provider
	not _like(value, `^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
}

problems contains "namespace is not the name of an Endor namespace" if {
	value := _given.namespace
	not _like(value, `^[a-z0-9_-]{1,32}(\.[a-z0-9_-]{1,32})*$`)
}

problems contains "it takes either signers or anySigner: true" if {
	count({name | some name in ["signers", "anySigner"]; object.get(_given, name, false) != false}) != 1
}

problems contains "signers is not a list of one to eight signers" if {
	value := _given.signers
	not _list(value, 1, 8)
}

problems contains concat(" ", ["a signer has no claim", claim]) if {
	some claim in ({claim | some signer in _given.signers; some claim, _ in signer} - object.keys(_claims))
}

problems contains "a signer has no claim besides its issuer" if {
	some signer in _given.signers
	not _narrow(signer)
}

problems contains concat(" ", [claim, "is empty or not a string"]) if {
	some signer in _given.signers
	some claim, value in signer
	not _like(value, `.`)
}

problems contains concat(" ", [claim, "begins with *, which accepts any owner"]) if {
	some signer in _given.signers
	some claim, value in signer
	startswith(value, "*")
}

problems contains "certificateOidcIssuer takes no *" if {
	some signer in _given.signers
	contains(signer.certificateOidcIssuer, "*")
}

problems contains "signers and namespace are too long for a key" if {
	count(urlquery.encode_object(_question)) > _max_query_bytes
}

problems contains "images is not a list of at least one pattern" if {
	value := _given.images
	not _list(value, 1, 1000)
}

problems contains "exemptImages is not a list" if {
	value := _given.exemptImages
	not _list(value, 0, 1000)
}

problems contains concat(" ", [name, "has something that is no pattern"]) if {
	some name in ["images", "exemptImages"]
	read := reference.patterns(_given[name])
	some text in _given[name]
	not read[text]
}

problems contains "exemptContainers is not a list" if {
	value := _given.exemptContainers
	not _list(value, 0, 1000)
}

problems contains "exemptContainers has an entry that is not a name and a pattern for its image" if {
	some container in _given.exemptContainers
	not _exempts(container)
}

problems contains "maxAge is not a number of hours (h) or days (d)" if {
	value := _given.maxAge
	not _like(value, `^[1-9][0-9]*(h|d)$`)
}

problems contains concat(" ", [name, "is neither true nor false"]) if {
	some name in ["anySigner", "acceptStale", "recheckUnchangedImages"]
	value := _given[name]
	not is_boolean(value)
}

problems contains "failOn is not a list of rejected, unavailable and misconfigured" if {
	value := _given.failOn
	not _list(value, 1, 3)
}

problems contains "failOn is not a list of rejected, unavailable and misconfigured" if {
	some class in _given.failOn
	not class in _classes
}

_like(value, pattern) if {
	is_string(value)
	regex.match(pattern, value)
}

_list(value, least, most) if {
	is_array(value)
	count(value) >= least
	count(value) <= most
}

_narrow(signer) if count(object.keys(signer) - {"certificateOidcIssuer"}) > 0

_exempts(container) if {
	object.keys(container) == {"name", "image"}
	_like(container.name, `.`)
	reference.patterns({container.image})[container.image]
}
