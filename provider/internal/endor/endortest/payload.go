// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"encoding/json"
	"fmt"
)

// payloadType is what the format demands of critical.type.
const payloadType = "atomic container signature"

// payload is the signed statement, in the names of the signature format
// (https://github.com/containers/image/blob/main/docs/containers-signature.5.md).
type payload struct {
	Critical struct {
		Identity struct {
			DockerReference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			DockerManifestDigest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
}

// statementAbout returns the bytes to sign for an image.
func statementAbout(image artifactName) ([]byte, error) {
	var p payload
	p.Critical.Type = payloadType
	p.Critical.Identity.DockerReference = image.name
	p.Critical.Image.DockerManifestDigest = image.digest
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return b, nil
}

// isAbout reports whether the signed bytes speak of the image.
func isAbout(signed []byte, image artifactName) bool {
	var p payload
	if err := json.Unmarshal(signed, &p); err != nil {
		return false
	}
	return p.Critical.Type == payloadType &&
		p.Critical.Identity.DockerReference == image.name &&
		p.Critical.Image.DockerManifestDigest == image.digest
}
