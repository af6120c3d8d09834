# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Reads image references and patterns of images, as the kubelet reads them.
#
# What cannot be read for certain is not read at all: an undefined result
# means "in scope, not exempt, refused", whatever a container runtime makes of
# the string.
package lib.reference

_registry := `^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$`

_rest := `^([a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[a-f0-9]{64}))?$`

# Names under which Docker Hub serves the same content.
_aliases := {
	"index.docker.io": "docker.io",
	"registry-1.docker.io": "docker.io",
	"registry.hub.docker.com": "docker.io",
}

# parse gives the parts of an image reference in one spelling for all that pull
# the same content: domain in lower case, without :443, Docker Hub's short
# names written out.
parse(image) := {
	"repository": concat("/", [domain, path]),
	"tag": found[2],
	"digest": found[3],
	"lower": written.domain == lower(written.domain),
} if {
	is_string(image)

	# Characters, not bytes, but what follows accepts only characters of one byte.
	count(image) <= 512

	not _image_id(image)
	written := _split(image)
	regex.match(_registry, written.domain)
	found := regex.find_all_string_submatch_n(_rest, written.rest, 1)[0]
	count(found[1]) <= 255

	# Port 0443 is dialed as 443.
	plain := regex.replace(lower(written.domain), `:0*443$`, "")
	domain := object.get(_aliases, plain, plain)
	path := _official(domain, found[1])
}

# An image ID, with or without its algorithm, which a runtime may take for a
# local image, whatever is said of the name that it could be.
_image_id(image) if {
	count(image) == 64
	regex.match(`^[a-f0-9]+$`, image)
}

_image_id(image) if regex.match(`^sha[0-9]+(:|$)`, image)

# _split tells the registry from a first path segment as Docker does. A first
# part with a dot or a colon is always a registry: read as a path, foo__bar.com/x
# would count as Docker Hub's, while a runtime asks the host foo__bar.com.
_split(image) := {"domain": first, "rest": substring(image, count(first) + 1, -1)} if {
	first := substring(image, 0, indexof(image, "/"))
	regex.match(`[.:\[A-Z]|^localhost$`, first)
	contains(image, "/")
} else := {"domain": "docker.io", "rest": image}

_official(domain, path) := concat("/", ["library", path]) if {
	domain == "docker.io"
	not contains(path, "/")
} else := path

# spellings are the strings that an exemption may name: the whole reference,
# and, since a tag beside a digest decides nothing, the one without its tag. A
# reference with a digest is never spelled by its tag alone, because another
# digest may stand behind the same tag.
spellings(ref) := {_join(ref, ref.tag), _join(ref, "")} if {
	ref.digest != ""
} else := {_join(ref, ref.tag)}

_join(ref, tag) := concat("", [
	ref.repository,
	_after(":", tag),
	_after("@", ref.digest),
])

_after(_, "") := ""

_after(sign, text) := concat("", [sign, text]) if text != ""

# pattern reads an exact reference, or a prefix whose * follows "/", ":" or "@".
# The prefix is completed to a reference and read as one, so a pattern is as
# strict, and gets the same spelling, as the images that it is compared with.
# What only looks like a registry is no pattern.
pattern(text) := _pattern(text) if not _registry_alone(text)

_pattern(text) := {
	"prefix": trim_suffix(_join(ref, ref.tag), ending),
	"repository": ref.repository,
	"under": endswith(text, "/*"),
} if {
	endswith(text, "*")
	start := trim_suffix(text, "*")
	ending := _ending(start)
	ref := parse(concat("", [start, ending]))
}

_pattern(text) := {"exact": _join(ref, ref.tag), "repository": ref.repository} if {
	ref := parse(text)
}

# _registry_alone is ghcr.io or ghcr.io:*, which Docker reads as an image of
# Docker Hub: as a scope it would leave all of ghcr.io unchecked.
_registry_alone(text) if {
	not contains(text, "/")
	regex.match(`^(?:[^:@]*\.|localhost(?:$|[:@]))`, text)
}

# Two segments, so that docker.io/ is not completed to docker.io/library/.
_ending(start) := "a/a" if endswith(start, "/")

_ending(start) := "a" if {
	endswith(start, ":")
	not contains(start, "@")
}

_ending(start) := concat("", ["sha256:", _zeros]) if endswith(start, "@")

_ending(start) := _zeros if endswith(start, "@sha256:")

_zeros := "0000000000000000000000000000000000000000000000000000000000000000"

# exemptions prepares a list of patterns for exempt.
exemptions(texts) := {
	"exact": {p.exact | some p in patterns},
	"prefixes": {p.prefix | some p in patterns},
} if {
	patterns := [pattern(text) | some text in texts]
}

# exempt gives those of refs that are exempt. It takes all of them at once, as
# in_scope does, since OPA would compare the patterns again for each call.
exempt(prepared, refs) := {ref |
	some ref in refs
	some spelling in spellings(ref)
	spelling in prepared.exact
} | {ref |
	some ref in refs
	some spelling in spellings(ref)
	strings.any_prefix_match(spelling, prepared.prefixes)
}

# scope prepares a list of patterns for in_scope, which compares repositories
# only: whoever names an image chooses its tag and digest, so a pattern that
# were narrowed by them would be left by writing the same image otherwise.
scope(texts) := {
	"repositories": {p.repository | some p in patterns; not p.under},
	"prefixes": {p.prefix | some p in patterns; p.under},
} if {
	patterns := [pattern(text) | some text in texts]
}

in_scope(prepared, refs) := {ref |
	some ref in refs
	ref.repository in prepared.repositories
} | {ref |
	some ref in refs
	strings.any_prefix_match(ref.repository, prepared.prefixes)
}
