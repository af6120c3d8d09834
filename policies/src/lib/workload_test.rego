# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

package lib.workload_test

import data.lib.workload

_spec := {"containers": [{"name": "api", "image": "a"}]}

_review(group, kind, object) := {"kind": {"group": group, "version": "v1", "kind": kind}, "operation": "CREATE", "object": object}

_pod(spec) := _review("", "Pod", {"spec": spec})

_update(old, new) := object.union(_pod(new), {"operation": "UPDATE", "oldObject": {"spec": old}})

test_every_kind_that_runs_images[note] if {
	template := {"template": {"spec": _spec}}
	some note, review in {
		"Pod": _pod(_spec),
		"PodTemplate": _review("", "PodTemplate", template),
		"ReplicationController": _review("", "ReplicationController", {"spec": template}),
		"DaemonSet": _review("apps", "DaemonSet", {"spec": template}),
		"Deployment": _review("apps", "Deployment", {"spec": template}),
		"ReplicaSet": _review("apps", "ReplicaSet", {"spec": template}),
		"StatefulSet": _review("apps", "StatefulSet", {"spec": template}),
		"Job": _review("batch", "Job", {"spec": template}),
		"CronJob": _review("batch", "CronJob", {"spec": {"jobTemplate": {"spec": template}}}),
		"core group left out": {"kind": {"kind": "Pod"}, "object": {"spec": _spec}},
	}
	workload.judged with input.review as review
	workload.images == {{"kind": "container", "name": "api", "image": "a"}} with input.review as review
}

test_not_judged[note] if {
	some note, review in {
		"another kind": _review("", "ConfigMap", {"data": {}}),
		"a Job of others": _review("batch.volcano.sh", "Job", {"spec": {}}),
		"a scale": _review("autoscaling", "Scale", {"spec": {"replicas": 0}}),
		"a deletion": object.union(_pod(_spec), {"operation": "DELETE"}),
		"no kind": {"object": {"spec": _spec}},
	}
	not workload.judged with input.review as review
}

test_every_list_of_images if {
	spec := {
		"containers": [{"name": "a", "image": "1"}],
		"initContainers": [{"name": "b", "image": "2"}],
		"ephemeralContainers": [{"name": "c", "image": "3"}],
		"volumes": [
			{"name": "d", "image": {"reference": "4"}},
			{"name": "e", "emptyDir": {}},
			{"name": "f", "image": null},
		],
	}
	want := {
		{"kind": "container", "name": "a", "image": "1"},
		{"kind": "initContainer", "name": "b", "image": "2"},
		{"kind": "ephemeralContainer", "name": "c", "image": "3"},
		{"kind": "imageVolume", "name": "d", "image": "4"},
	}
	workload.images == want with input.review as _pod(spec)
	workload.size == 4 with input.review as _pod(spec)
}

test_nothing_runs[note] if {
	some note, spec in {
		"no lists": {},
		"null lists": {"containers": null, "initContainers": null, "ephemeralContainers": null, "volumes": null},
		"empty lists": {"containers": [], "volumes": []},
	}
	workload.images == set() with input.review as _pod(spec)
	workload.size == 0 with input.review as _pod(spec)
}

test_what_cannot_be_read_is_an_image[note] if {
	some note, tc in {
		"no image": {"spec": {"containers": [{"name": "a"}]}, "want": {"kind": "container", "name": "a", "image": ""}},
		"no name": {"spec": {"containers": [{"image": "1"}]}, "want": {"kind": "container", "name": "", "image": "1"}},
		"name that is no string": {"spec": {"containers": [{"name": 7, "image": "1"}]}, "want": {"kind": "container", "name": "", "image": "1"}},
		"image that is no string": {"spec": {"containers": [{"name": "a", "image": ["1"]}]}, "want": {"kind": "container", "name": "a", "image": null}},
		"container that is no object": {"spec": {"containers": ["1"]}, "want": {"kind": "container", "name": "", "image": null}},
		"null container": {"spec": {"initContainers": [null]}, "want": {"kind": "initContainer", "name": "", "image": null}},
		"object for a list": {"spec": {"containers": {"name": "a", "image": "1"}}, "want": {"kind": "container", "name": "", "image": null}},
		"false for a list": {"spec": {"ephemeralContainers": false}, "want": {"kind": "ephemeralContainer", "name": "", "image": null}},
		"volume that is no object": {"spec": {"volumes": ["1"]}, "want": {"kind": "imageVolume", "name": "", "image": null}},
		"text for volumes": {"spec": {"volumes": "1"}, "want": {"kind": "imageVolume", "name": "", "image": null}},
		"image volume without reference": {"spec": {"volumes": [{"name": "d", "image": {}}]}, "want": {"kind": "imageVolume", "name": "d", "image": ""}},
		"image volume that is a string": {"spec": {"volumes": [{"name": "d", "image": "4"}]}, "want": {"kind": "imageVolume", "name": "d", "image": ""}},
	}
	workload.images == {tc.want} with input.review as _pod(tc.spec)
	workload.size == 1 with input.review as _pod(tc.spec)
}

test_no_spec[note] if {
	some note, object in {"absent": {}, "null": {"spec": null}, "a list": {"spec": []}, "no object": null}
	workload.judged with input.review as _review("", "Pod", object)
	not workload.spec with input.review as _review("", "Pod", object)
}

test_an_update_changes[note] if {
	old := {"containers": [{"name": "api", "image": "a"}, {"name": "proxy", "image": "p"}]}
	some note, tc in {
		"nothing": {"new": old, "want": set()},
		"the order": {"new": {"containers": [{"name": "proxy", "image": "p"}, {"name": "api", "image": "a"}]}, "want": set()},
		"a command": {"new": {"containers": [{"name": "api", "image": "a", "command": ["sh"]}]}, "want": set()},
		"an image": {
			"new": {"containers": [{"name": "api", "image": "b"}, {"name": "proxy", "image": "p"}]},
			"want": {{"kind": "container", "name": "api", "image": "b"}},
		},
		"the container of an image": {
			"new": {"containers": [{"name": "api", "image": "p"}]},
			"want": {{"kind": "container", "name": "api", "image": "p"}},
		},
		"the list of a container": {
			"new": {"ephemeralContainers": [{"name": "api", "image": "a"}]},
			"want": {{"kind": "ephemeralContainer", "name": "api", "image": "a"}},
		},
		"a volume to a container's image": {
			"new": {"volumes": [{"name": "api", "image": {"reference": "a"}}]},
			"want": {{"kind": "imageVolume", "name": "api", "image": "a"}},
		},
	}
	workload.changed == tc.want with input.review as _update(old, tc.new)
}

test_unreadable_images_never_count_as_unchanged if {
	spec := {"containers": [{"name": "a", "image": 7}]}
	count(workload.changed) == 1 with input.review as _update(spec, spec)
}

test_all_is_new_without_an_old_object[note] if {
	some note, review in {
		"creation": _pod(_spec),
		"audit": object.remove(_pod(_spec), ["operation"]),
		"expansion of an update": object.union(_pod(_spec), {"operation": "UPDATE", "oldObject": null}),
		"update from nothing": object.union(_pod(_spec), {"operation": "UPDATE", "oldObject": {"spec": null}}),
		"creation with an old object": object.union(_pod(_spec), {"oldObject": {"spec": _spec}}),
	}
	count(workload.changed) == 1 with input.review as review
	not workload.same with input.review as review
}

test_same if {
	workload.same with input.review as _update(_spec, object.union(_spec, {"nodeName": "n"}))
	not workload.same with input.review as _update(_spec, object.union(_spec, {"volumes": []}))
}
