// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"encoding/json"
	"time"
)

// Commands of an artifact operation.
const (
	commandSign   = "ARTIFACT_OPERATION_COMMAND_SIGN"
	commandVerify = "ARTIFACT_OPERATION_COMMAND_VERIFY"
	commandRevoke = "ARTIFACT_OPERATION_COMMAND_REVOKE_SIGNATURE"
)

const artifactTypeContainer = "ARTIFACT_TYPE_CONTAINER"

// artifactTypes are the documented ones but UNSPECIFIED, which is what a missing type means.
var artifactTypes = map[string]bool{
	artifactTypeContainer: true,
	"ARTIFACT_TYPE_JAR":   true,
	"ARTIFACT_TYPE_WHEEL": true,
	"ARTIFACT_TYPE_DLL":   true,
	"ARTIFACT_TYPE_ELF":   true,
	"ARTIFACT_TYPE_SBOM":  true,
	"ARTIFACT_TYPE_BLOB":  true,
}

// operationRequest is ArtifactOperationServiceCreateArtifactOperationBody. UUID and
// Response are read-only there: accepted, and ignored.
type operationRequest struct {
	UUID       string                     `json:"uuid"`
	TenantMeta *tenantMeta                `json:"tenant_meta"`
	Meta       map[string]json.RawMessage `json:"meta"`
	Spec       *operationSpec             `json:"spec"`
	Response   json.RawMessage            `json:"response"`
}

// operationSpec is v1ArtifactOperationSpec.
type operationSpec struct {
	Command      string  `json:"command"`
	ArtifactName string  `json:"artifact_name"`
	Digest       string  `json:"digest"`
	Extensions   *Claims `json:"extensions"`
	ArtifactType string  `json:"artifact_type"`
}

// operationAnswer is v1ArtifactOperation. As in the API's default encoding, members
// that are not set are there and null or empty.
type operationAnswer struct {
	UUID       string             `json:"uuid"`
	TenantMeta tenantMeta         `json:"tenant_meta"`
	Meta       objectMeta         `json:"meta"`
	Spec       *operationSpec     `json:"spec"`
	Response   *operationResponse `json:"response"`
}

type operationResponse struct {
	Result            Result             `json:"result"`
	ArtifactSignature *artifactSignature `json:"artifact_signature"`
}

type tenantMeta struct {
	Namespace string `json:"namespace"`
}

type objectMeta struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Version    string `json:"version"`
	CreateTime string `json:"create_time"`
	UpdateTime string `json:"update_time"`
}

// artifactSignature is v1ArtifactSignature.
type artifactSignature struct {
	UUID       string        `json:"uuid"`
	TenantMeta tenantMeta    `json:"tenant_meta"`
	Meta       objectMeta    `json:"meta"`
	Spec       signatureSpec `json:"spec"`
}

type signatureSpec struct {
	Certificate          string           `json:"certificate"`
	Signature            string           `json:"signature"`
	Timestamp            string           `json:"timestamp"`
	SimpleContainerImage *simpleContainer `json:"simple_container_image"`
	Revoked              bool             `json:"revoked"`
	ArtifactType         string           `json:"artifact_type"`
	ArtifactDigest       string           `json:"artifact_digest"`
	SourceRepositoryRef  string           `json:"source_repository_ref"`
	Provenance           *Claims          `json:"provenance"`
	ArtifactName         string           `json:"artifact_name"`
}

// simpleContainer is v1SimpleContainerImage: the payload, in the API's spelling of its names.
type simpleContainer struct {
	Critical struct {
		Type     string `json:"type"`
		Identity struct {
			DockerReference string `json:"docker_reference"`
		} `json:"identity"`
		Image struct {
			DockerManifestImage  string `json:"docker_manifest_image"`
			DockerManifestDigest string `json:"docker_manifest_digest"`
		} `json:"image"`
	} `json:"critical"`
}

func metaOf(name, kind string, at time.Time) objectMeta {
	stamp := at.UTC().Format(time.RFC3339Nano)
	return objectMeta{Name: name, Kind: kind, Version: "v1", CreateTime: stamp, UpdateTime: stamp}
}

// wire is the record as an answer shows it.
func (r *record) wire(namespace string) *artifactSignature {
	var signed payload
	// What was stored is shown even when it is not a payload; then there is nothing to show.
	_ = json.Unmarshal(r.payload, &signed)
	image := new(simpleContainer)
	image.Critical.Type = signed.Critical.Type
	image.Critical.Identity.DockerReference = signed.Critical.Identity.DockerReference
	image.Critical.Image.DockerManifestDigest = signed.Critical.Image.DockerManifestDigest

	s := &artifactSignature{
		UUID:       r.uuid,
		TenantMeta: tenantMeta{Namespace: namespace},
		Meta:       metaOf(r.artifact.name, "ArtifactSignature", r.timestamp),
		Spec: signatureSpec{
			Certificate:          r.certificate,
			Signature:            r.signature,
			Timestamp:            r.timestamp.Format(time.RFC3339Nano),
			SimpleContainerImage: image,
			Revoked:              r.revoked,
			ArtifactType:         r.artifactType,
			ArtifactDigest:       r.artifact.digest,
			SourceRepositoryRef:  r.sourceRef,
			Provenance:           r.provenance,
			ArtifactName:         r.artifact.name,
		},
	}
	if r.alter != nil {
		return r.alter(s)
	}
	return s
}

// compact drops what application/jsoncompact drops: members that are null, empty,
// zero or false, at every depth.
func compact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member = compact(member); member == nil {
				delete(v, name)
			} else {
				v[name] = member
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}
