# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Refuses objects with an image that Endor Labs does not vouch for.
#
# The rules start from the images of the object and demand a proof for each, so
# whatever goes wrong on the way to a proof ends in a refusal.
package k8sendorsignedimages

import data.lib.answers
import data.lib.messages
import data.lib.parameters
import data.lib.reference
import data.lib.workload

violation contains messages.object_refused(_kind, verdict, parameters.context) if {
	workload.judged
	verdict := _spoiled
	_counts(verdict)
}

violation contains messages.image_refused(image, ref.digest, verdict, parameters.context) if {
	workload.judged
	not _spoiled
	some image in _images
	not image.image in _proven
	ref := object.get(_references, image.image, _unread)
	verdict := _verdict(image.image, ref)
	_counts(verdict)
}

_kind := input.review.kind.kind

# _counts says whether this constraint refuses for this reason. Parameters that
# cannot be used refuse always: failOn may be what is wrong with them.
_counts(verdict) if verdict.code == "BAD_PARAMETERS"

_counts(verdict) if messages.class(verdict) in parameters.fail_on

# More images than this are refused unread, so that no object can make a review
# outlast the webhook, or a request larger than the provider takes.
_max_images := 256

# _spoiled says why the object as a whole is refused, undefined if it is not.
_spoiled := {"code": "BAD_PARAMETERS", "sentence": concat(", ", parameters.problems)} if {
	count(parameters.problems) > 0
} else := {
	"code": "BAD_REFERENCE",
	"says": "has no Pod spec that can be read",
	"fix": "Write one, or leave the object out of the constraint's match.",
} if {
	not workload.spec
} else := {"code": "TOO_MANY_IMAGES", "sentence": sprintf("%d, at most %d are judged", [workload.size, _max_images])} if {
	workload.size > _max_images
	not _settled
}

# _settled is an update that changes nothing we judge.
_settled if {
	not parameters.recheck
	workload.same
}

_present := set() if {
	_settled
} else := workload.images if {
	parameters.recheck
} else := workload.changed

_images := _present - _exempt_containers

# Looked at first, since few constraints have any.
_exempt_containers := {image |
	count(parameters.exempt_containers) > 0
	some image in _present
	patterns := parameters.exempt_containers[image.name]
	image.kind != "imageVolume"
	image.image in reference.exempt(patterns, reference.parse({image.image}))
}

_texts := {image.image | some image in _images}

# _references has each distinct image string that can be read.
_references := reference.parse(_texts)

# What stands for the reference of an image that cannot be read.
_unread := {"digest": ""}

# _proven are the image strings that may run. It is put together of sets: with a
# question for each image in turn, a review of 256 allocates half as much again.
# Why an image is refused is asked only if it is.
_proven := (_exempt | _out_of_scope) | _judged.verified

# What cannot be read is neither exempt nor out of scope, being no reference.
default _exempt := set()

_exempt := reference.exempt(parameters.exempt_images, _references)

default _out_of_scope := set()

_out_of_scope := object.keys(_references) - reference.in_scope(parameters.scope, _references)

_verdict(text, ref) := {"code": "BAD_REFERENCE"} if {
	ref == _unread
} else := {"code": "BAD_REFERENCE", "sentence": "its registry is not in lower case"} if {
	not ref.lower
} else := {"code": "NO_DIGEST"} if {
	ref.digest == ""
} else := verdict if {
	verdict := _judged.refused[text]
} else := {"code": "UNRECOGNIZED_RESULT"}

# _questions has the question about each image string that is worth one.
_questions := {text: {"key": parameters.key(text), "digest": ref.digest} |
	some text in ((_texts - _exempt) - _out_of_scope)
	ref := _references[text]
	ref.digest != ""
	ref.lower
}

default _judged := {"verified": set(), "refused": {}}

_judged := answers.judge(_answers, _questions, parameters.demands)

# An array, sorted and without repeats, so that constraints with the same
# signers ask for the same keys and share one call.
_answers := answers.ask(parameters.provider, sort({question.key | some question in _questions}))
