# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

package lib.reference_test

import data.lib.reference

_hex := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

_digest := concat("", ["sha256:", _hex])

_at(name) := concat("", [name, "@", _digest])

_parse(text) := reference.parse({text})[text]

_exempt(image, patterns) if image in reference.exempt(reference.exemptions(patterns), reference.parse({image}))

_in_scope(image, patterns) if image in reference.in_scope(reference.scope(patterns), reference.parse({image}))

_long(part, times) := concat("", [part | some _ in numbers.range(1, times)])

test_one_spelling_for_all_that_pull_the_same[note] if {
	some note, tc in {
		"as written": {"image": "ghcr.io/acme/api", "want": "ghcr.io/acme/api"},
		"upper-case registry": {"image": "GHCR.IO/acme/api", "want": "ghcr.io/acme/api"},
		"port 443": {"image": "ghcr.io:443/acme/api", "want": "ghcr.io/acme/api"},
		"port 0443": {"image": "ghcr.io:0443/acme/api", "want": "ghcr.io/acme/api"},
		"another port": {"image": "ghcr.io:4430/acme/api", "want": "ghcr.io:4430/acme/api"},
		"official image": {"image": "nginx", "want": "docker.io/library/nginx"},
		"docker hub user": {"image": "acme/api", "want": "docker.io/acme/api"},
		"official image by registry": {"image": "docker.io/nginx", "want": "docker.io/library/nginx"},
		"docker hub's port": {"image": "docker.io:443/nginx", "want": "docker.io/library/nginx"},
		"index.docker.io": {"image": "index.docker.io/library/nginx", "want": "docker.io/library/nginx"},
		"registry-1.docker.io": {"image": "registry-1.docker.io/library/nginx", "want": "docker.io/library/nginx"},
		"registry.hub.docker.com": {"image": "registry.hub.docker.com/acme/api", "want": "docker.io/acme/api"},
		"localhost": {"image": "localhost/api", "want": "localhost/api"},
		"a port makes a registry": {"image": "registry:5000/api", "want": "registry:5000/api"},
		"a capital makes a registry": {"image": "Registry/api", "want": "registry/api"},
		"IPv4": {"image": "10.0.0.1:5000/api", "want": "10.0.0.1:5000/api"},
		"IPv6": {"image": "[2001:DB8::1]:5000/api", "want": "[2001:db8::1]:5000/api"},
		"separators in a path": {"image": "ghcr.io/a.b/c_d/e__f/g--h", "want": "ghcr.io/a.b/c_d/e__f/g--h"},
		"longest path": {"image": concat("", ["ghcr.io/", _long("a", 255)]), "want": concat("", ["ghcr.io/", _long("a", 255)])},
	}
	_parse(_at(tc.image)).repository == tc.want
	_parse(tc.image).repository == tc.want
}

test_tag_and_digest_are_apart[note] if {
	some note, tc in {
		"neither": {"image": "ghcr.io/acme/api", "tag": "", "digest": ""},
		"tag": {"image": "ghcr.io/acme/api:v1.2_3-rc", "tag": "v1.2_3-rc", "digest": ""},
		"digest": {"image": _at("ghcr.io/acme/api"), "tag": "", "digest": _digest},
		"both": {"image": _at("ghcr.io:5000/acme/api:v1"), "tag": "v1", "digest": _digest},
		"tag without a registry": {"image": "nginx:1.27", "tag": "1.27", "digest": ""},
	}
	ref := _parse(tc.image)
	ref.tag == tc.tag
	ref.digest == tc.digest
}

test_a_registry_in_capitals_is_told if {
	not _parse("GHCR.IO/acme/api").lower
	_parse("ghcr.io/acme/api").lower
	_parse("acme/api").lower
}

test_what_is_not_read[note] if {
	some note, image in {
		"null": null,
		"number": 7,
		"empty": "",
		"space": " ghcr.io/acme/api",
		"newline at the end": "ghcr.io/acme/api\n",
		"delete": "x\u007f",
		"letter that is not ASCII": "ghcr.io/аcme/api",
		"capital in the path": "ghcr.io/Acme/api",
		"image id": _hex,
		"sha512": concat("", ["ghcr.io/acme/api@sha512:", _hex, _hex]),
		"digest in capitals": upper(_at("x")),
		"short digest": "ghcr.io/acme/api@sha256:0123",
		"long digest": concat("", [_at("ghcr.io/acme/api"), "0"]),
		"two digests": _at(_at("ghcr.io/acme/api")),
		"no digest after @": "ghcr.io/acme/api@",
		"no tag after :": "ghcr.io/acme/api:",
		"tag of 129 characters": concat(":", ["api", _long("a", 129)]),
		"nothing after the registry": "ghcr.io/",
		"nothing before the path": "/api",
		"double slash": "ghcr.io//api",
		"dot segment": "ghcr.io/../api",
		"scheme": "https://ghcr.io/acme/api",
		"query": "ghcr.io/acme/api?x=1",
		"host with underscores, a path to others": "foo__bar.com/api",
		"registry that ends in a dot": "ghcr.io./acme/api",
		"path of 256 characters": concat("", ["ghcr.io/", _long("a", 256)]),
		"longer than 512 characters": concat("", [_long("a.", 300), "io/api"]),
	}
	not _parse(image)
}

test_what_is_a_pattern[note] if {
	some note, tc in {
		"exact": {"text": "ghcr.io/acme/api", "want": {"exempts": "ghcr.io/acme/api ", "repositories": {"ghcr.io/acme/api"}, "prefixes": set()}},
		"exact with tag": {"text": "nginx:1.27", "want": {"exempts": "docker.io/library/nginx:1.27 ", "repositories": {"docker.io/library/nginx"}, "prefixes": set()}},
		"registry": {"text": "GHCR.io/*", "want": {"exempts": "ghcr.io/", "repositories": set(), "prefixes": {"ghcr.io/"}}},
		"name that begins like localhost": {"text": "localhosts", "want": {"exempts": "docker.io/library/localhosts ", "repositories": {"docker.io/library/localhosts"}, "prefixes": set()}},
		"docker hub": {"text": "docker.io/*", "want": {"exempts": "docker.io/", "repositories": set(), "prefixes": {"docker.io/"}}},
		"owner": {"text": "istio/*", "want": {"exempts": "docker.io/istio/", "repositories": set(), "prefixes": {"docker.io/istio/"}}},
		"tags": {"text": "ghcr.io/acme/api:*", "want": {"exempts": "ghcr.io/acme/api:", "repositories": {"ghcr.io/acme/api"}, "prefixes": set()}},
		"digests": {"text": "ghcr.io/acme/api@*", "want": {"exempts": "ghcr.io/acme/api@sha256:", "repositories": {"ghcr.io/acme/api"}, "prefixes": set()}},
		"sha256 digests": {"text": "ghcr.io/acme/api@sha256:*", "want": {"exempts": "ghcr.io/acme/api@sha256:", "repositories": {"ghcr.io/acme/api"}, "prefixes": set()}},
	}
	reference.exemptions([tc.text]) == {tc.want.exempts}
	reference.scope([tc.text]) == object.remove(tc.want, ["exempts"])
}

test_what_is_no_pattern[note] if {
	some note, text in {
		"number": 7,
		"empty": "",
		"everything": "*",
		"slash": "/*",
		"half a name": "ghcr.io/acme*",
		"half a tag": "ghcr.io/acme/api:v*",
		"in the middle": "ghcr.io/*/api",
		"two stars": "ghcr.io/**",
		"after another digest": "ghcr.io/acme/api@sha512:*",
		"registry alone": "ghcr.io",
		"registry alone and any port": "ghcr.io:*",
		"registry alone and a digest": _at("ghcr.io"),
		"localhost alone": "localhost",
		"localhost and a port": "localhost:5000",
		"space": "ghcr.io/acme/ *",
	}
	not reference.patterns([text])[text]
}

test_exempt[note] if {
	some note, tc in {
		"under an owner": {"patterns": ["ghcr.io/acme/*"], "image": _at("ghcr.io/acme/api")},
		"in another spelling": {"patterns": ["ghcr.io/acme/*"], "image": _at("GHCR.IO:443/acme/api")},
		"any tag": {"patterns": ["nginx:*"], "image": "docker.io/nginx:1.27"},
		"any tag, with digest": {"patterns": ["nginx:*"], "image": _at("nginx:1.27")},
		"any digest, beside a tag": {"patterns": ["nginx@*"], "image": _at("nginx:1.27")},
		"this tag": {"patterns": ["acme/other", "nginx:1.27"], "image": "nginx:1.27"},
		"this digest": {"patterns": [_at("nginx")], "image": _at("nginx:1.27")},
	}
	_exempt(tc.image, tc.patterns)
}

test_not_exempt[note] if {
	some note, tc in {
		"no patterns": {"patterns": [], "image": "nginx"},
		"look-alike owner": {"patterns": ["ghcr.io/acme/*"], "image": "ghcr.io/acme-evil/api"},
		"look-alike registry": {"patterns": ["ghcr.io/*"], "image": "ghcr.io.evil.example/api"},
		"registry as a path": {"patterns": ["ghcr.io/*"], "image": "evil.example/ghcr.io/api"},
		"below an exact name": {"patterns": ["ghcr.io/acme/api"], "image": "ghcr.io/acme/api/evil"},
		"another tag": {"patterns": ["ghcr.io/acme/api:v1"], "image": "ghcr.io/acme/api:v10"},
		"any digest beside an exempt tag": {"patterns": ["ghcr.io/acme/api:v1"], "image": _at("ghcr.io/acme/api:v1")},
		"a tag where digests are": {"patterns": ["ghcr.io/acme/api@*"], "image": "ghcr.io/acme/api:v1"},
		"a pattern that is none": {"patterns": ["ghcr.io*"], "image": "ghcr.io/acme/api"},
		"beside a path that completes prefixes": {"patterns": ["ghcr.io/a/a"], "image": "ghcr.io/a/b"},
		"beside a tag that completes prefixes": {"patterns": ["ghcr.io/acme/api:a"], "image": "ghcr.io/acme/api:b"},
		"beside a digest that completes prefixes": {"patterns": [concat("", ["nginx@sha256:", _long("0", 64)])], "image": _at("nginx")},
		"an image whose name ends in a space": {"patterns": ["nginx"], "image": "nginx "},
	}
	not _exempt(tc.image, tc.patterns)
}

test_in_scope[note] if {
	some note, tc in {
		"under an owner": {"patterns": ["ghcr.io/acme/*"], "image": "GHCR.IO:443/acme/api"},
		"repository": {"patterns": ["ghcr.io/acme/api"], "image": _at("ghcr.io/acme/api:v1")},
		"a tag does not narrow": {"patterns": ["ghcr.io/acme/api:v1"], "image": _at("ghcr.io/acme/api")},
		"any tag, image by digest": {"patterns": ["ghcr.io/acme/api:*"], "image": _at("ghcr.io/acme/api")},
	}
	_in_scope(tc.image, tc.patterns)
}

test_not_in_scope[note] if {
	some note, tc in {
		"another owner": {"patterns": ["ghcr.io/acme/*"], "image": "ghcr.io/acme-evil/api"},
		"another repository": {"patterns": ["ghcr.io/acme/api:*"], "image": "ghcr.io/acme/api2"},
	}
	not _in_scope(tc.image, tc.patterns)
}

test_image_ids_name_no_image if {
	some digits in ["abcd12", concat("", ["ab" | some _ in numbers.range(1, 32)])]
	some id in [concat("", ["sha256:", digits]), concat("", ["sha512:", digits])]
	not _parse(id)
	not _parse(concat("", [id, "@sha256:", concat("", ["ab" | some _ in numbers.range(1, 32)])]))
}

test_a_repository_may_be_called_like_an_algorithm if {
	_parse("ghcr.io/acme/sha256:v1").repository == "ghcr.io/acme/sha256"
}
