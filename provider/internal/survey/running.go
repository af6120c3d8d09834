// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"strings"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// statusLists is where a Pod's status tells of the containers of each list.
var statusLists = map[string]string{
	"containers":          "containerStatuses",
	"initContainers":      "initContainerStatuses",
	"ephemeralContainers": "ephemeralContainerStatuses",
}

// runs notes the digest that a node reports of a running container, if it is
// another than the one that the Pod names.
func (row *image) runs(pod *unstructured.Unstructured, use podspec.Image) {
	field, ok := statusLists[use.List]
	if !ok {
		return
	}
	value, _, _ := unstructured.NestedFieldNoCopy(pod.Object, "status", field)
	statuses, _ := value.([]any)
	for _, entry := range statuses {
		status, _ := entry.(map[string]any)
		if status["name"] != use.Name {
			continue
		}
		id, _ := status["imageID"].(string)
		if digest := otherDigest(use.Reference, id); digest != "" {
			row.running[digest]++
		}
	}
}

// otherDigest is the digest of a runtime's image id, if it is of the same
// repository as an image reference and not the digest that this one names.
//
// Runtimes report digests of different kinds: of the index or manifest that was
// pulled, as name@sha256:…, or of the image's configuration, as sha256:… alone.
// Only the former can be compared.
func otherDigest(image, id string) string {
	if _, rest, ok := strings.Cut(id, "://"); ok {
		id = rest // docker-pullable://
	}
	if id == image {
		return "" // mostly
	}
	runs, err := reference.ParseNormalizedNamed(id)
	if err != nil {
		return ""
	}
	digested, ok := runs.(reference.Digested)
	if !ok {
		return ""
	}
	wants, err := reference.ParseNormalizedNamed(image)
	if err != nil || wants.Name() != runs.Name() {
		return ""
	}
	if want, ok := wants.(reference.Digested); ok && want.Digest() == digested.Digest() {
		return ""
	}
	return digested.Digest().String()
}
