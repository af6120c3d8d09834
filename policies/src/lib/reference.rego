# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Reads image references and patterns of images, as the kubelet reads them.
#
# What cannot be read for certain is not read at all: an undefined result
# means "in scope, not exempt, refused", whatever a container runtime makes of
# the string.
package lib.reference

# The whole grammar in one expression: registry, path, and tag and digest with and
# without their signs. A step of a policy takes OPA longer than all that this does,
# and each image and each pattern is read in every review: read part by part, a
# review of 3 images and 2 patterns allocates a quarter more.
#
# As Docker does, it takes a first part for a registry if it has a dot, a colon or
# a capital, whatever follows; _registry says which of them are none. Read as a
# path, foo__bar.com/x would count as Docker Hub's, while a runtime asks the host
# foo__bar.com.
_reference := `^(?:([^/]*[.:\[A-Z][^/]*|localhost)/)?([a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*)(:([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(sha256:[a-f0-9]{64}))?$`

# A registry, or that none is written.
_registry := `^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?)?$`

# An image ID, with or without its algorithm, which a runtime may take for a
# local image, whatever is said of the name that it could be.
_image_id := `^(?:[a-f0-9]{64}$|sha[0-9]+(?::|$))`

# Names under which Docker Hub serves the same content, and no name at all.
_aliases := {
	"": "docker.io",
	"index.docker.io": "docker.io",
	"registry-1.docker.io": "docker.io",
	"registry.hub.docker.com": "docker.io",
}

# parse gives {text: parts} for those of a set of texts that are image references,
# and {key: parts} for {key: text}. The parts are in one spelling for all that pull
# the same content: registry in lower case, without :443, Docker Hub's short names
# written out. The name is the whole reference and a space, which ends it and is in
# none.
parse(texts) := {key: {
	"repository": repository,
	"tag": found[4],
	"digest": found[6],
	"name": concat("", [repository, found[3], found[5], " "]),
	"lower": registry.lower,
} |
	some key, text in texts

	# Characters, not bytes, but what follows accepts only characters of one byte,
	# and only strings.
	count(text) <= 512
	not regex.match(_image_id, text)
	found := regex.find_all_string_submatch_n(_reference, text, 1)[0]
	count(found[2]) <= 255
	registry := _read_registry(found[1])
	repository := regex.replace(concat("/", [registry.domain, found[2]]), `^docker\.io/([^/]*)$`, "docker.io/library/$1")
}

# A function, because most images are of the same few registries, and OPA
# remembers what it gave for one during a review.
_read_registry(written) := {"domain": object.get(_aliases, plain, plain), "lower": written == domain} if {
	regex.match(_registry, written)
	domain := lower(written)

	# Port 0443 is dialed as 443.
	plain := regex.replace(domain, `:0*443$`, "")
}

# patterns gives {text: parts} for those of texts that are patterns: an exact
# reference, or a prefix whose * follows "/", ":" or "@". The prefix is completed
# to a reference and read as one, so a pattern is as strict, and gets the same
# spelling, as the images that it is compared with.
patterns(texts) := parse({text: strings.replace_n(_completions, text) |
	some text in texts
	not regex.match(_no_pattern, text)
})

# What has something behind a *. And ghcr.io or ghcr.io:*, which Docker reads as
# an image of Docker Hub: as a scope it would leave all of ghcr.io unchecked.
_no_pattern := `\*(?s:.)|^(?:[^/:@]*\.[^/]*|localhost(?:[:@][^/]*)?)$`

# Two segments for a path, so that docker.io/ is not completed to docker.io/library/.
_completions := {
	"/*": "/a/a",
	":*": ":a",
	"@*": "@sha256:0000000000000000000000000000000000000000000000000000000000000000",
	"@sha256:*": "@sha256:0000000000000000000000000000000000000000000000000000000000000000",
}

# What a prefix was completed by, behind the sign that was there.
_completion := `(/)a/a $|(:)a $|(@sha256:)0{64} $`

# exemptions prepares a list of patterns for exempt: beginnings of names. That of
# an exact reference is the whole name, with its end.
exemptions(texts) := exact | prefixes if {
	read := patterns(texts)
	exact := {ref.name | some text, ref in read; not endswith(text, "*")}
	prefixes := {regex.replace(ref.name, _completion, "$1$2$3") |
		some text, ref in read
		endswith(text, "*")
	}
}

# exempt gives those texts of {text: parts} that are exempt. An exemption may
# name the whole reference and, since a tag beside a digest decides nothing, the
# one without its tag. A reference with a digest is never spelled by its tag alone,
# because another digest may stand behind the same tag.
#
# It takes all of them at once, as in_scope does, since OPA would compare the
# patterns again for each call.
exempt(prepared, refs) := {text |
	some text, ref in refs
	strings.any_prefix_match([ref.name, regex.replace(ref.name, `:[^/:@]*@`, "@")], prepared)
}

# scope prepares a list of patterns for in_scope, which compares repositories
# only: whoever names an image chooses its tag and digest, so a pattern that
# were narrowed by them would be left by writing the same image otherwise.
scope(texts) := {
	"repositories": {ref.repository | some text, ref in read; not endswith(text, "/*")},
	"prefixes": {trim_suffix(ref.repository, "a/a") | some text, ref in read; endswith(text, "/*")},
} if {
	read := patterns(texts)
}

# in_scope gives those texts of {text: parts} that are in scope.
in_scope(prepared, refs) := {text |
	some text, ref in refs
	ref.repository in prepared.repositories
} | {text |
	some text, ref in refs
	strings.any_prefix_match(ref.repository, prepared.prefixes)
}
