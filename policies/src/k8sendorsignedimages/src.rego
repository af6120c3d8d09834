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

violation contains messages.image_refused(checked.image, checked.ref.digest, verdict, parameters.context) if {
	workload.judged
	not _spoiled
	some checked in _checked
	verdict := _verdict(checked.image.image, checked.ref)
	verdict.code != "VERIFIED"
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

_images := set() if {
	_settled
} else := workload.images if {
	parameters.recheck
} else := workload.changed

# _references has each distinct image string that can be read.
_references := {text: ref |
	some text in {image.image | some image in _images}
	ref := reference.parse(text)
}

# What stands for the reference of an image that cannot be read.
_unread := {"digest": ""}

_checked := {{"image": image, "ref": ref} |
	some image in _images
	ref := object.get(_references, image.image, _unread)
	not _exempt(image, ref)
	not _out_of_scope(ref)
}

# What cannot be read is neither exempt nor out of scope, being none of these.
_refs := {ref | some ref in _references}

_exempt_refs := reference.exempt(parameters.exempt_images, _refs)

_refs_out_of_scope := _refs - reference.in_scope(parameters.scope, _refs)

_exempt(_, ref) if ref in _exempt_refs

_exempt(image, ref) if {
	image.kind != "imageVolume"
	ref in _refs
	ref in reference.exempt(parameters.exempt_containers[image.name], {ref})
}

_out_of_scope(ref) if ref in _refs_out_of_scope

_verdict(text, ref) := {"code": "BAD_REFERENCE"} if {
	ref == _unread
} else := {"code": "BAD_REFERENCE", "sentence": "its registry is not in lower case"} if {
	not ref.lower
} else := {"code": "NO_DIGEST"} if {
	ref.digest == ""
} else := verdict if {
	verdict := answers.judge(_answers[_keys[text]], ref.digest, parameters.demands)
} else := {"code": "UNRECOGNIZED_RESULT"}

# _keys has the question about each image string that is worth one.
_keys := {text: parameters.key(text) |
	some checked in _checked
	checked.ref.digest != ""
	checked.ref.lower
	text := checked.image.image
}

# An array, sorted and without repeats, so that constraints with the same
# signers ask for the same keys and share one call.
_answers := answers.ask(parameters.provider, sort({key | some key in _keys}))
