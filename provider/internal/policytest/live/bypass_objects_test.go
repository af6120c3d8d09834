// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// kind is a kind that holds a Pod spec, and where.
type kind struct {
	apiVersion, name string
	spec             []string
}

var (
	podKind = kind{"v1", "Pod", []string{"spec"}}

	kinds = []kind{
		podKind,
		{"v1", "PodTemplate", []string{"template", "spec"}},
		{"v1", "ReplicationController", []string{"spec", "template", "spec"}},
		{"apps/v1", "Deployment", []string{"spec", "template", "spec"}},
		{"apps/v1", "ReplicaSet", []string{"spec", "template", "spec"}},
		{"apps/v1", "StatefulSet", []string{"spec", "template", "spec"}},
		{"apps/v1", "DaemonSet", []string{"spec", "template", "spec"}},
		{"batch/v1", "Job", []string{"spec", "template", "spec"}},
		{"batch/v1", "CronJob", []string{"spec", "jobTemplate", "spec", "template", "spec"}},
	}

	workloads = kinds[1:]
)

// list is a list of a Pod spec that names images, and what messages call an
// entry of it.
type list struct{ field, entry string }

var (
	containers = list{"containers", "container"}
	volumes    = list{"volumes", "imageVolume"}
	lists      = []list{containers, {"initContainers", "initContainer"}, {"ephemeralContainers", "ephemeralContainer"}, volumes}
)

// of makes one entry of the list.
func (l list) of(name string, image any) map[string]any {
	if l == volumes {
		return map[string]any{"name": name, "image": map[string]any{"reference": image}}
	}
	return map[string]any{"name": name, "image": image}
}

// object makes an object of a kind around a Pod spec.
func (k kind) object(spec any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": k.apiVersion,
		"kind":       k.name,
		"metadata":   map[string]any{"name": "api", "namespace": "production"},
	}}
	inner := u.Object
	for _, field := range k.spec[:len(k.spec)-1] {
		next := map[string]any{}
		inner[field] = next
		inner = next
	}
	inner[k.spec[len(k.spec)-1]] = spec
	return u
}

func spec(entries map[list][]any) map[string]any {
	s := map[string]any{}
	for l, items := range entries {
		s[l.field] = items
	}
	return s
}

// pod is a Pod of containers c0, c1 and so on.
func pod(images ...any) *unstructured.Unstructured {
	items := make([]any, len(images))
	for i, image := range images {
		items[i] = containers.of(fmt.Sprintf("c%d", i), image)
	}
	return podKind.object(spec(map[list][]any{containers: items}))
}

func create(u *unstructured.Unstructured) engine.Request { return engine.Request{Object: u} }

func update(from, to *unstructured.Unstructured) engine.Request {
	return engine.Request{Object: to, OldObject: from, Operation: admissionv1.Update}
}

func twin(u *unstructured.Unstructured) *engine.Request { return &engine.Request{Object: u} }

func twinUpdate(from, to *unstructured.Unstructured) *engine.Request {
	req := update(from, to)
	return &req
}

var (
	signed   = ref("ghcr.io/acme/signed")
	unsigned = ref("ghcr.io/acme/unsigned")
)

// An unsigned image in each list of each kind: alone, beside signed ones in the
// same list, and with all other lists signed.
func unsignedInEveryList() []attempt {
	var all []attempt
	for _, k := range kinds {
		for _, l := range lists {
			for where, build := range map[string]func(image string) map[list][]any{
				"alone in": func(image string) map[list][]any {
					return map[list][]any{l: {l.of("evil", image)}}
				},
				"between signed images in": func(image string) map[list][]any {
					return map[list][]any{l: {l.of("first", signed), l.of("evil", image), l.of("last", signed)}}
				},
				"while all is signed outside": func(image string) map[list][]any {
					entries := map[list][]any{}
					for _, other := range lists {
						entries[other] = []any{other.of("good-"+other.field, signed)}
					}
					entries[l] = []any{l.of("evil", image)}
					return entries
				},
			} {
				all = append(all, attempt{
					name:   fmt.Sprintf("unsigned image %s %s of a %s", where, l.field, k.name),
					attack: create(k.object(spec(build(unsigned)))),
					want:   []string{refusal("NOT_SIGNED", l.entry, "evil")},
					twin:   twin(k.object(spec(build(signed)))),
				})
			}
		}
	}
	return append(all,
		attempt{
			name: "unsigned images in all lists at once",
			attack: create(podKind.object(spec(map[list][]any{
				lists[0]: {lists[0].of("a", unsigned)}, lists[1]: {lists[1].of("b", unsigned)},
				lists[2]: {lists[2].of("c", unsigned)}, lists[3]: {lists[3].of("d", unsigned)},
			}))),
			want: []string{
				`NOT_SIGNED container "a"`, `NOT_SIGNED initContainer "b"`, `NOT_SIGNED ephemeralContainer "c"`, `NOT_SIGNED imageVolume "d"`,
			},
		},
		attempt{
			name: "image volume behind volumes of other types",
			attack: create(podKind.object(map[string]any{
				"containers": []any{containers.of("api", signed)},
				"volumes": []any{
					map[string]any{"name": "tmp", "emptyDir": map[string]any{}}, map[string]any{"name": "null", "image": nil},
					volumes.of("evil", unsigned), map[string]any{"name": "cm", "configMap": map[string]any{"name": "x"}},
				},
			})),
			want: []string{`NOT_SIGNED imageVolume "evil"`},
			twin: twin(podKind.object(map[string]any{
				"containers": []any{containers.of("api", signed)},
				"volumes": []any{
					map[string]any{"name": "tmp", "emptyDir": map[string]any{}}, map[string]any{"name": "null", "image": nil},
					volumes.of("good", signed), map[string]any{"name": "cm", "configMap": map[string]any{"name": "x"}},
				},
			})),
		},
	)
}

// What Endor Labs knows of an image and does not like, beside a signed one.
func everyVerdict() []attempt {
	library := func(repository, sum string) string { return "ghcr.io/acme/" + repository + "@sha256:" + sum }
	return each([][3]string{
		{"revoked", library("revoked", "388f70f3b3112088b1a9b0cc7cdf2eb7f5a741a5cecdc4546a7a407caa4f5cee"), "REVOKED"},
		{"signed late", library("expired", "93b263360cf6fc64f79777de5e8166f193c8a4f09d627943bc71fd6674d7fc20"), "SIGNED_OUTSIDE_VALIDITY"},
		{"signed by a stranger", library("stranger", "5be6d2fa15f259dea2b0d78ebd45e46c903c7adb6851bfe07a56462976951703"), "WRONG_SIGNER"},
		{"never signed", unsigned, "NOT_SIGNED"},
		{"signed in another Endor namespace", library("payments", "6985ba3672a11bfd84826d79e1c23c23d26e332ff4a2106830d20ba7ff3a6bb1"), "NOT_SIGNED"},
		{"signed under another digest", "ghcr.io/acme/signed@" + digest("other"), "NOT_SIGNED"},
		{"by tag", "ghcr.io/acme/signed:v1", "NO_DIGEST"},
		{"by no tag", "ghcr.io/acme/signed", "NO_DIGEST"},
	}, func(v [3]string) attempt {
		return attempt{
			name:   "image " + v[0] + " beside a signed one",
			attack: create(pod(signed, v[1])),
			want:   []string{refusal(v[2], "container", "c1")},
			twin:   twin(pod(signed, ref("acme/signed"))),
		}
	})
}

// What an operation or metadata might excuse.
func updates() []attempt {
	one := func(image string) map[string]any {
		return spec(map[list][]any{containers: {containers.of("api", image)}})
	}
	leaving := map[string]any{"name": "api", "namespace": "production", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": []any{"x/y"}}
	var all []attempt
	for _, k := range kinds {
		good, evil := k.object(one(signed)), k.object(one(unsigned))
		dying := k.object(one(unsigned))
		dying.Object["metadata"] = leaving
		living := k.object(one(signed))
		living.Object["metadata"] = leaving
		all = append(all,
			attempt{
				name:   "UPDATE of a " + k.name + " to an unsigned image",
				attack: update(good, evil),
				want:   []string{`NOT_SIGNED container "api"`},
				twin:   twinUpdate(good, k.object(one(ref("quay.io/acme/signed")))),
			},
			attempt{
				name:   "UPDATE of a " + k.name + " without oldObject",
				attack: update(nil, evil),
				want:   []string{`NOT_SIGNED container "api"`},
				twin:   twinUpdate(nil, good),
			},
			attempt{
				name:   "deletionTimestamp on a new " + k.name,
				attack: create(dying),
				want:   []string{`NOT_SIGNED container "api"`},
				twin:   twin(living),
			},
			attempt{
				name:     "DELETE of a " + k.name + ", which runs nothing",
				attack:   engine.Request{OldObject: evil, Operation: admissionv1.Delete},
				admitted: "what was admitted before may be deleted",
			},
			attempt{
				name:     "UPDATE of the labels of a " + k.name + " that was admitted before",
				attack:   update(evil, relabeled(evil)),
				admitted: "an outage or a revocation must not block finalizers and scaling",
			},
		)
		if k.name == podKind.name {
			continue
		}
		withTemplate := func(image string) *unstructured.Unstructured {
			u := k.object(one(image))
			path := append(slices.Clone(k.spec[:len(k.spec)-1]), "metadata")
			if err := unstructured.SetNestedField(u.Object, map[string]any{"deletionTimestamp": "2026-01-01T00:00:00Z"}, path...); err != nil {
				panic(err)
			}
			return u
		}
		all = append(all, attempt{
			name:   "deletionTimestamp in the template of a " + k.name,
			attack: create(withTemplate(unsigned)),
			want:   []string{`NOT_SIGNED container "api"`},
			twin:   twin(withTemplate(signed)),
		})
	}
	return append(all, attempt{
		name:   "UPDATE of the labels under recheckUnchangedImages",
		given:  with(strict(), "recheckUnchangedImages", true),
		attack: update(pod(unsigned), relabeled(pod(unsigned))),
		want:   []string{`NOT_SIGNED container "c0"`},
		twin:   twinUpdate(pod(signed), relabeled(pod(signed))),
	})
}

func relabeled(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	u.SetLabels(map[string]string{"a": "b"})
	return u
}

// An update that brings an image that was there before, but elsewhere, where it
// was admitted for another reason or not at all.
func movedImages() []attempt {
	var all []attempt
	for _, from := range lists {
		for _, to := range lists {
			if from == to {
				continue
			}
			before := podKind.object(spec(map[list][]any{from: {from.of("x", unsigned)}}))
			after := func(image string) *unstructured.Unstructured {
				return podKind.object(spec(map[list][]any{from: {from.of("x", unsigned)}, to: {to.of("x", image)}}))
			}
			all = append(all, attempt{
				name:   fmt.Sprintf("UPDATE repeats a running image of %s in %s", from.field, to.field),
				attack: update(before, after(unsigned)),
				want:   []string{refusal("NOT_SIGNED", to.entry, "x")},
				twin:   twinUpdate(before, after(signed)),
			})
		}
	}
	sidecar := with(strict(), "exemptContainers", []any{map[string]any{"name": "istio-proxy", "image": "ghcr.io/acme/unsigned@*"}})
	named := func(pairs ...string) *unstructured.Unstructured {
		var items []any
		for i := 0; i < len(pairs); i += 2 {
			items = append(items, containers.of(pairs[i], pairs[i+1]))
		}
		return podKind.object(spec(map[list][]any{containers: items}))
	}
	return append(all,
		attempt{
			name: "UPDATE moves an exempt image to a container of another name", given: sidecar,
			attack: update(named("istio-proxy", unsigned), named("istio-proxy", unsigned, "main", unsigned)),
			want:   []string{`NOT_SIGNED container "main"`},
			twin:   twinUpdate(named("istio-proxy", unsigned), named("istio-proxy", unsigned, "main", signed)),
		},
		attempt{
			name: "UPDATE renames the container of an exempt image", given: sidecar,
			attack: update(named("istio-proxy", unsigned), named("main", unsigned)),
			want:   []string{`NOT_SIGNED container "main"`},
			twin:   twinUpdate(named("istio-proxy", unsigned), named("main", signed)),
		},
		attempt{
			name:   "UPDATE moves an exempt image to a volume of the same name",
			given:  sidecar,
			attack: update(named("istio-proxy", unsigned), podKind.object(spec(map[list][]any{volumes: {volumes.of("istio-proxy", unsigned)}}))),
			want:   []string{`NOT_SIGNED imageVolume "istio-proxy"`},
			twin:   twinUpdate(named("istio-proxy", unsigned), podKind.object(spec(map[list][]any{volumes: {volumes.of("istio-proxy", signed)}}))),
		},
		attempt{
			name:   "UPDATE renames the container of a running image",
			attack: update(named("a", unsigned), named("b", unsigned)),
			want:   []string{`NOT_SIGNED container "b"`},
			twin:   twinUpdate(named("a", unsigned), named("b", signed)),
		},
		attempt{
			name:   "UPDATE swaps the images of two containers",
			attack: update(named("a", unsigned, "b", signed), named("a", signed, "b", unsigned)),
			want:   []string{`NOT_SIGNED container "b"`},
			twin:   twinUpdate(named("a", unsigned, "b", signed), named("a", signed, "b", signed)),
		},
		attempt{
			name:   "UPDATE adds a second container under the name of a running one",
			attack: update(named("a", signed), named("a", signed, "a", unsigned)),
			want:   []string{`NOT_SIGNED container "a"`},
			twin:   twinUpdate(named("a", signed), named("a", signed, "a", ref("acme/signed"))),
		},
		attempt{
			name:   "UPDATE puts a tag for the digest of a running image",
			attack: update(named("a", signed), named("a", "ghcr.io/acme/signed:v1")),
			want:   []string{`NO_DIGEST container "a"`},
			twin:   twinUpdate(named("a", signed), named("a", "ghcr.io/acme/signed:v1@"+digest("ghcr.io/acme/signed"))),
		},
		attempt{
			name:   "UPDATE keeps an image that cannot be read and changes another",
			attack: update(pod(nil, signed), pod(nil, unsigned)),
			want:   []string{`BAD_REFERENCE container "c0"`, `NOT_SIGNED container "c1"`},
			twin:   twinUpdate(pod(signed, signed), pod(signed, ref("acme/signed"))),
		},
		attempt{
			name:   "UPDATE of an object whose old lists are no lists",
			attack: update(podKind.object(map[string]any{"containers": "x"}), pod(unsigned)),
			want:   []string{`NOT_SIGNED container "c0"`},
			twin:   twinUpdate(podKind.object(map[string]any{"containers": "x"}), pod(signed)),
		},
		attempt{
			name:   "UPDATE of an object whose old spec is null",
			attack: update(podKind.object(nil), pod(unsigned)),
			want:   []string{`NOT_SIGNED container "c0"`},
			twin:   twinUpdate(podKind.object(nil), pod(signed)),
		},
		attempt{
			name:   "CREATE that brings an oldObject along",
			attack: engine.Request{Object: pod(unsigned), OldObject: pod(unsigned)},
			want:   []string{`NOT_SIGNED container "c0"`},
			twin:   &engine.Request{Object: pod(signed), OldObject: pod(unsigned)},
		},
		attempt{
			name:   "UPDATE adds an ephemeral container to a running Pod",
			attack: update(pod(signed), podKind.object(spec(map[list][]any{containers: {containers.of("c0", signed)}, lists[2]: {lists[2].of("debug", unsigned)}}))),
			want:   []string{`NOT_SIGNED ephemeralContainer "debug"`},
			twin:   twinUpdate(pod(signed), podKind.object(spec(map[list][]any{containers: {containers.of("c0", signed)}, lists[2]: {lists[2].of("debug", signed)}}))),
		},
	)
}

// Objects of no sound shape. Kubernetes refuses most of them by itself; the
// policy does not count on that.
func brokenObjects() []attempt {
	var all []attempt
	for _, k := range kinds {
		bare := k.object(nil)
		unstructured.RemoveNestedField(bare.Object, k.spec...)
		for how, u := range map[string]*unstructured.Unstructured{
			"no Pod spec":     bare,
			"a null Pod spec": k.object(nil),
		} {
			all = append(all, attempt{
				name:   k.name + " with " + how,
				attack: create(u),
				want:   []string{"BAD_REFERENCE object"},
				twin:   twin(k.object(spec(map[list][]any{containers: {containers.of("api", signed)}}))),
			})
		}
	}
	for how, value := range map[string]any{
		"a list":   []any{map[string]any{"containers": []any{containers.of("api", unsigned)}}},
		"a string": "containers",
		"a number": int64(7),
		"false":    false,
	} {
		all = append(all, attempt{
			name:   "Pod spec that is " + how,
			attack: create(podKind.object(value)),
			want:   []string{"BAD_REFERENCE object"},
			twin:   twin(pod(signed)),
		})
	}
	for _, l := range lists {
		for how, value := range map[string]any{
			"an object": map[string]any{"evil": l.of("evil", unsigned)},
			"a string":  unsigned,
			"a number":  int64(1),
			"false":     false,
		} {
			s := spec(map[list][]any{containers: {containers.of("api", signed)}})
			s[l.field] = value
			all = append(all, attempt{
				name:   fmt.Sprintf("%s that is %s", l.field, how),
				attack: create(podKind.object(s)),
				want:   []string{refusal("BAD_REFERENCE", l.entry, "")},
				twin:   twin(podKind.object(spec(map[list][]any{containers: {containers.of("api", signed)}, l: {l.of("good", signed)}}))),
			})
		}
		for how, value := range map[string]any{
			"null":         nil,
			"a string":     unsigned,
			"a number":     int64(1),
			"a list":       []any{l.of("evil", unsigned)},
			"false":        false,
			"an empty one": map[string]any{},
		} {
			if l == volumes && how == "an empty one" {
				continue // a volume of no type, which names no image
			}
			all = append(all, attempt{
				name:   fmt.Sprintf("entry of %s that is %s", l.field, how),
				attack: create(podKind.object(spec(map[list][]any{l: {l.of("good", signed), value}}))),
				want:   []string{refusal("BAD_REFERENCE", l.entry, "")},
				twin:   twin(podKind.object(spec(map[list][]any{l: {l.of("good", signed), l.of("better", signed)}}))),
			})
		}
		for how, value := range map[string]any{
			"null":      nil,
			"empty":     "",
			"a number":  int64(7),
			"a list":    []any{signed},
			"an object": map[string]any{"reference": signed},
			"true":      true,
		} {
			all = append(all, attempt{
				name:   fmt.Sprintf("image that is %s in %s, beside a signed one", how, l.field),
				attack: create(podKind.object(spec(map[list][]any{l: {l.of("good", signed), l.of("evil", value)}}))),
				want:   []string{refusal("BAD_REFERENCE", l.entry, "evil")},
				twin:   twin(podKind.object(spec(map[list][]any{l: {l.of("good", signed), l.of("evil", signed)}}))),
			})
		}
		// A list that is null must hide neither itself nor the others.
		other := lists[(slices.Index(lists, l)+1)%len(lists)]
		hidden := func(image string) *unstructured.Unstructured {
			s := spec(map[list][]any{other: {other.of("evil", image)}})
			s[l.field] = nil
			return podKind.object(s)
		}
		all = append(all, attempt{
			name:   fmt.Sprintf("unsigned image in %s while %s is null", other.field, l.field),
			attack: create(hidden(unsigned)),
			want:   []string{refusal("NOT_SIGNED", other.entry, "evil")},
			twin:   twin(hidden(signed)),
		})
	}
	for _, k := range workloads {
		all = append(all, attempt{
			name:   "empty image in the template of a " + k.name,
			attack: create(k.object(spec(map[list][]any{containers: {containers.of("api", "")}}))),
			want:   []string{`BAD_REFERENCE container "api"`},
			twin:   twin(k.object(spec(map[list][]any{containers: {containers.of("api", signed)}}))),
		})
	}
	nameless := func(image string) *unstructured.Unstructured {
		return podKind.object(map[string]any{"containers": []any{map[string]any{"image": image}, map[string]any{"name": int64(7), "image": image}}})
	}
	return append(all,
		attempt{
			name:   "containers without a name, or with a number for one",
			attack: create(nameless(unsigned)),
			want:   []string{`NOT_SIGNED container ""`},
			twin:   twin(nameless(signed)),
		},
		attempt{
			name:   "image volume without a reference",
			attack: create(podKind.object(map[string]any{"volumes": []any{map[string]any{"name": "evil", "image": map[string]any{}}}})),
			want:   []string{`BAD_REFERENCE imageVolume "evil"`},
		},
		attempt{
			name:   "image volume whose image is a string",
			attack: create(podKind.object(map[string]any{"volumes": []any{map[string]any{"name": "evil", "image": signed}}})),
			want:   []string{`BAD_REFERENCE imageVolume "evil"`},
		},
		attempt{
			name:     "Pod spec without any list, which runs nothing",
			attack:   create(podKind.object(map[string]any{})),
			admitted: "there is no image",
		},
	)
}

// Objects that are large enough to tire a review out, with the image that is
// wanted in front, where the kubelet starts.
func crowds() []attempt {
	crowd := func(l list, count int, image func(i int) any) *unstructured.Unstructured {
		items := make([]any, count)
		for i := range items {
			items[i] = l.of(fmt.Sprintf("c%d", i), image(i))
		}
		return podKind.object(spec(map[list][]any{l: items}))
	}
	all := func(image string) func(int) any { return func(int) any { return image } }
	evilFirst := func(rest any) func(int) any {
		return func(i int) any {
			if i == 0 {
				return unsigned
			}
			return rest
		}
	}
	tooMany := []string{"TOO_MANY_IMAGES object"}
	attempts := []attempt{
		{
			name:   "unsigned image before 255 signed ones",
			attack: create(crowd(containers, 256, evilFirst(signed))),
			want:   []string{`NOT_SIGNED container "c0"`},
			twin:   twin(crowd(containers, 256, all(signed))),
		},
		{
			name: "unsigned image before 255 of as many repositories",
			attack: create(crowd(containers, 256, func(i int) any {
				if i == 0 {
					return unsigned
				}
				return ref(fmt.Sprintf("ghcr.io/acme/crowd-%d", i))
			})),
			given: with(strict(), "images", []any{"ghcr.io/acme/unsigned"}),
			want:  []string{`NOT_SIGNED container "c0"`},
			twin:  twin(crowd(containers, 256, func(i int) any { return ref(fmt.Sprintf("ghcr.io/acme/crowd-%d", i)) })),
		},
		{
			name:   "unsigned image before 10,000 signed ones",
			attack: create(crowd(containers, 10_000, evilFirst(signed))),
			want:   tooMany,
		},
		{
			name:   "unsigned image before 10,000 that cannot be read",
			attack: create(crowd(containers, 10_000, evilFirst("x\u007f"))),
			want:   tooMany,
		},
		{
			name:   "260 images spread over all lists",
			attack: create(mixedCrowd(65, signed)),
			want:   tooMany,
			twin:   twin(mixedCrowd(64, signed)),
		},
		{
			name:   "one changed image of 257, on UPDATE",
			attack: update(crowd(containers, 257, all(signed)), crowd(containers, 257, evilFirst(signed))),
			want:   tooMany,
			twin:   twinUpdate(crowd(containers, 256, all(signed)), crowd(containers, 256, all(ref("acme/signed")))),
		},
		{
			name:   "257 images under failOn [rejected]",
			given:  with(strict(), "failOn", []any{"rejected"}),
			attack: create(crowd(containers, 257, all(unsigned))),
			want:   tooMany,
			twin:   twin(crowd(containers, 256, all(signed))),
		},
		{
			name:   "257 images under recheckUnchangedImages, on UPDATE of the labels",
			given:  with(strict(), "recheckUnchangedImages", true),
			attack: update(crowd(containers, 257, all(signed)), relabeled(crowd(containers, 257, all(signed)))),
			want:   tooMany,
			twin:   twinUpdate(crowd(containers, 256, all(signed)), relabeled(crowd(containers, 256, all(signed)))),
		},
		{
			name:     "UPDATE of the labels of 10,000 images that were admitted before",
			attack:   update(crowd(containers, 10_000, all(unsigned)), relabeled(crowd(containers, 10_000, all(unsigned)))),
			admitted: "an update that changes no image is admitted at any size",
		},
	}
	for _, l := range lists {
		attempts = append(attempts, attempt{
			name:   fmt.Sprintf("unsigned image before 256 signed ones in %s", l.field),
			attack: create(crowd(l, 257, evilFirst(signed))),
			want:   tooMany,
			twin:   twin(crowd(l, 256, all(signed))),
		})
	}
	emptyDirs := func(image string) *unstructured.Unstructured {
		items := []any{volumes.of("model", image)}
		for i := range 300 {
			items = append(items, map[string]any{"name": fmt.Sprintf("v%d", i), "emptyDir": map[string]any{}})
		}
		return podKind.object(map[string]any{"volumes": items})
	}
	return append(attempts, attempt{
		name:   "unsigned image volume before 300 volumes without images, which do not count",
		attack: create(emptyDirs(unsigned)),
		want:   []string{`NOT_SIGNED imageVolume "model"`},
		twin:   twin(emptyDirs(signed)),
	})
}

// mixedCrowd has as many images in each list.
func mixedCrowd(each int, image string) *unstructured.Unstructured {
	entries := map[list][]any{}
	for _, l := range lists {
		for i := range each {
			entries[l] = append(entries[l], l.of(fmt.Sprintf("c%d", i), image))
		}
	}
	return podKind.object(spec(entries))
}
