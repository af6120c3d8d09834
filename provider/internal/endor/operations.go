// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	strictjson "sigs.k8s.io/json"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/imageref"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// This file holds all that is known of the endpoint that verifies. Shapes and
// results are those of Endor Labs' OpenAPI document of January 2026 and of its
// example admission controller, which uses the endpoint; the public reference
// of later in 2026 does not list it any more.

// Result is how Endor Labs ended a VERIFY. The list may grow inside v1 of the
// API, so a value that is not listed here is possible.
type Result string

// The results of a VERIFY. The API prefixes each with ARTIFACT_OPERATION_RESULT_.
const (
	ResultSuccess             Result = "SUCCESS"
	ResultNoArtifact          Result = "NO_ARTIFACT"
	ResultNoSignature         Result = "NO_SIGNATURE"
	ResultTimeMismatch        Result = "TIME_MISMATCH"
	ResultInvalidSignature    Result = "INVALID_SIGNATURE"
	ResultUnknownCA           Result = "UNKNOWN_CA"
	ResultRevokedSignature    Result = "REVOKED_SIGNATURE"
	ResultClaimsMismatch      Result = "CLAIMS_MISMATCH"
	ResultBadCertificate      Result = "BAD_CERTIFICATE"
	ResultInvalidKeyType      Result = "INVALID_KEY_TYPE"
	ResultCorruptedSignature  Result = "CORRUPTED_SIGNATURE"
	ResultInvalidArtifactName Result = "INVALID_ARTIFACT_NAME"
)

const resultPrefix = "ARTIFACT_OPERATION_RESULT_"

// Answer is what Endor Labs says of one artifact.
type Answer struct {
	Result Result

	// Signature is what was found; nil if Endor did not send it. It is filled
	// on success, and is not bound to the question: compare it.
	Signature *Signature
}

// Signature is a signature as Endor Labs stores it. Fields that were not sent
// are empty.
type Signature struct {
	ArtifactName   string          `json:"artifact_name"`
	ArtifactDigest string          `json:"artifact_digest"`
	Revoked        bool            `json:"revoked"`
	Timestamp      time.Time       `json:"timestamp"`
	Provenance     question.Claims `json:"provenance"`
}

type operation struct {
	Meta       operationMeta   `json:"meta"`
	TenantMeta operationTenant `json:"tenant_meta"`
	Spec       operationSpec   `json:"spec"`
}

type operationMeta struct {
	Name string `json:"name"`
}

type operationTenant struct {
	Namespace string `json:"namespace"`
}

type operationSpec struct {
	Command      string          `json:"command"`
	ArtifactName string          `json:"artifact_name"`
	ArtifactType string          `json:"artifact_type"`
	Extensions   question.Claims `json:"extensions"`
}

// Verify asks whether image was signed in namespace with exactly these claims,
// which must hold no `*`. Namespace must be one that
// [question.ValidNamespace] accepts, since it becomes part of the path.
//
// Any decision of Endor's is an Answer; an error is always an [*Error].
func (c *Client) Verify(ctx context.Context, namespace string, image imageref.Ref, claims question.Claims) (Answer, error) {
	const op = "verify artifact"
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	got, err := c.authorized(ctx, call{op: op, path: "/v1/namespaces/" + namespace + "/artifact-operations", body: operation{
		// A constant: the reference allows 63 characters, fewer than a digest has.
		Meta:       operationMeta{Name: "endor-gatekeeper-provider"},
		TenantMeta: operationTenant{Namespace: namespace},
		Spec: operationSpec{
			Command:      "ARTIFACT_OPERATION_COMMAND_VERIFY",
			ArtifactName: image.Artifact(),
			ArtifactType: "ARTIFACT_TYPE_CONTAINER",
			Extensions:   claims,
		},
	}})
	if err != nil {
		return Answer{}, err
	}
	if answer, ok := decodeAnswer(got.status, got.body); ok {
		return answer, nil
	}
	return Answer{}, got.failure()
}

// decodeAnswer reads a decision from a response of any status, and false where
// there is none. Of a server that says both yes and no, the no is heard: a
// success counts only beside HTTP 200 and without an error, with nothing said
// twice, and with a signature, if any, that is understood.
func decodeAnswer(status int, body []byte) (Answer, bool) {
	var got struct {
		Response *struct {
			Result    json.RawMessage `json:"result"`
			Signature json.RawMessage `json:"artifact_signature"`

			// Endor's sources know two spellings of some names. In this one the
			// signature would say nothing of what it is about.
			OtherSpelling json.RawMessage `json:"artifactSignature"`
		} `json:"response"`
		rpcStatus
	}
	if err := unmarshal(body, &got); err != nil {
		return Answer{}, false
	}
	if got.Response == nil {
		return Answer{Result: ResultNoSignature}, status == http.StatusInternalServerError && got.saysNotSigned()
	}
	result, named := decodeResult(got.Response.Result)
	signature, err := decodeSignature(got.Response.Signature)
	if result == ResultSuccess {
		believable := err == nil && got.Response.OtherSpelling == nil && got.Code == 0
		return Answer{Result: result, Signature: signature}, status == http.StatusOK && believable
	}
	// Beside another status, what is not the name of a result is somebody else's page.
	return Answer{Result: result, Signature: signature}, status == http.StatusOK || named
}

// unmarshal reads JSON by the letter: encoding/json would take "Revoked" for
// "revoked", and of a name that stands twice the last.
func unmarshal(raw []byte, into any) error {
	twice, err := strictjson.UnmarshalStrict(raw, into, strictjson.DisallowDuplicateFields)
	return errors.Join(append(twice, err)...)
}

// decodeResult reads the name of a result. What is not one of the API's names,
// with their prefix, is kept as it is written, to be refused as a result that
// nobody knows.
func decodeResult(raw json.RawMessage) (result Result, named bool) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if name, ok := strings.CutPrefix(s, resultPrefix); ok {
			return Result(printable.Cut(name, 100)), true
		}
	}
	return Result(printable.Cut(string(raw), 100)), false
}

// maxClaim is longer than any claim that can be compared: a key holds fewer
// bytes. What is longer would only fill caches.
const maxClaim = 2 << 10

// decodeSignature is nil where there is no signature or one that is not understood.
func decodeSignature(raw json.RawMessage) (*Signature, error) {
	if raw == nil {
		return nil, nil
	}
	var got *struct {
		Spec *struct {
			Signature
			// A time that cannot be read is one that was not sent: it decides
			// nothing but age, and there a missing one counts as too old.
			Timestamp looseTime `json:"timestamp"`

			OtherName   json.RawMessage `json:"artifactName"`
			OtherDigest json.RawMessage `json:"artifactDigest"`
		} `json:"spec"`
	}
	if err := unmarshal(raw, &got); err != nil || got == nil || got.Spec == nil {
		return nil, err
	}
	if got.Spec.OtherName != nil || got.Spec.OtherDigest != nil {
		return nil, errors.New("names in a spelling that is not known")
	}
	for name, value := range got.Spec.Provenance.All() {
		if len(value) > maxClaim {
			return nil, fmt.Errorf("%s has %d bytes", name, len(value))
		}
	}
	got.Spec.Signature.Timestamp = got.Spec.Timestamp.Time
	return &got.Spec.Signature, nil
}

// saysNotSigned recognizes how the API said "not signed" until May 2024: HTTP
// 500, code 13, "Unable to verify certificate: no matching signatures". No
// source says that it is gone everywhere.
func (s rpcStatus) saysNotSigned() bool {
	return s.Code == 13 && strings.Contains(s.Message, "no matching signatures")
}
