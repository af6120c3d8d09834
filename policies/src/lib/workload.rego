# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Finds the images that an object makes the kubelet run.
package lib.workload

# Where each kind that is judged keeps its Pod spec, by group and kind.
_specs := {
	["", "Pod"]: ["spec"],
	["", "PodTemplate"]: ["template", "spec"],
	["", "ReplicationController"]: ["spec", "template", "spec"],
	["apps", "DaemonSet"]: ["spec", "template", "spec"],
	["apps", "Deployment"]: ["spec", "template", "spec"],
	["apps", "ReplicaSet"]: ["spec", "template", "spec"],
	["apps", "StatefulSet"]: ["spec", "template", "spec"],
	["batch", "CronJob"]: ["spec", "jobTemplate", "spec", "template", "spec"],
	["batch", "Job"]: ["spec", "template", "spec"],
}

# The lists of a Pod spec that name images: what messages call an entry, and
# where the entry has its image.
_lists := {
	"containers": {"kind": "container", "image": ["image"]},
	"initContainers": {"kind": "initContainer", "image": ["image"]},
	"ephemeralContainers": {"kind": "ephemeralContainer", "image": ["image"]},
	"volumes": {"kind": "imageVolume", "image": ["image", "reference"]},
}

_path := _specs[[object.get(input.review.kind, "group", ""), input.review.kind.kind]]

# judged says whether this object is looked at. Gatekeeper before 3.20 sends
# DELETE here whatever the template's operations say; a deletion runs nothing.
judged if {
	_path
	object.get(input.review, "operation", "") != "DELETE"
}

# spec is the Pod spec, undefined if there is none where the kind keeps it.
spec := found if {
	found := object.get(input.review, array.concat(["object"], _path), null)
	is_object(found)
}

# An UPDATE without oldObject, as expansion makes it, counts as all new.
_old_spec := found if {
	input.review.operation == "UPDATE"
	found := object.get(input.review, array.concat(["oldObject"], _path), null)
	is_object(found)
}

# same says that an UPDATE leaves every list as it was. It is one comparison, so
# a label can be changed on an object with any number of containers.
same if object.filter(spec, object.keys(_lists)) == object.filter(_old_spec, object.keys(_lists))

# size is how many images there are, counted before any of them is read.
size := sum([count(_items(spec, list)) | some list, _ in _lists])

# images are all images of the object, as {"kind", "name", "image"}. The image
# is null where it cannot be read.
images := _images(spec)

# changed are the images but for those that stood in the same list under the
# same name before. Those are admitted already: judging them again would let an
# outage or a revocation block finalizers, labels and scaling. The name counts
# because an exemption can hang on it.
changed := images - {image | some image in _images(_old_spec); is_string(image.image)} if {
	_old_spec
} else := images

_images(from) := {image |
	some list, read in _lists
	some item in _items(from, list)
	image := {
		"kind": read.kind,
		"name": _string(item, ["name"], ""),
		"image": _string(item, read.image, null),
	}
}

# _items are the entries of one list that name an image. Something that is
# neither absent nor a list stands for one entry that cannot be read.
_items(from, list) := [] if {
	object.get(from, list, null) == null
} else := [volume | some volume in from[list]; not _plain(volume)] if {
	list == "volumes"
	is_array(from[list])
} else := from[list] if {
	is_array(from[list])
} else := [null]

# _plain is a volume that is no image volume.
_plain(volume) if object.get(volume, "image", null) == null

_string(item, path, otherwise) := found if {
	found := object.get(item, path, "")
	is_string(found)
} else := otherwise
