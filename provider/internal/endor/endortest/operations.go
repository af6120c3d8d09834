// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxBody bounds every request body.
const maxBody = 1 << 20

// metaNameLimit is the documented length of meta.name, in characters.
const metaNameLimit = 63

// operate serves POST /v1/namespaces/{namespace}/artifact-operations.
func (e *Emulator) operate(w http.ResponseWriter, r *http.Request) {
	e.counters.inFlight(1)
	defer e.counters.inFlight(-1)

	body, refused := readBody(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	namespace := r.PathValue("namespace")
	req, malformed := decodeOperation(body)
	target := faultTarget{endpoint: EndpointOperations, namespace: namespace, artifact: req.Spec.ArtifactName}
	if malformed == nil {
		e.counters.asked(req.asked(namespace))
	}
	if e.disturb(w, r, target) {
		return
	}
	name, refused := e.admit(r, namespace, req, malformed)
	if refused != nil {
		refused.write(w)
		return
	}
	fault := e.faults.take(target, true).fault
	response := e.respond(namespace, req.Spec, fault)
	command := strings.TrimPrefix(req.Spec.Command, "ARTIFACT_OPERATION_COMMAND_")
	e.counters.carriedOut(command)
	e.log.LogAttrs(r.Context(), slog.LevelInfo, "operation",
		slog.String("command", command), slog.String("namespace", namespace),
		slog.String("artifact", req.Spec.ArtifactName), slog.String("result", string(response.Result)))
	e.answer(w, r, &operationAnswer{
		UUID:       newUUID(),
		TenantMeta: tenantMeta{Namespace: namespace},
		Meta:       metaOf(name, "ArtifactOperation", e.now()),
		Spec:       req.Spec,
		Response:   response,
	}, fault)
}

// admit returns meta.name of an operation that is well-formed and asked by someone who may.
func (e *Emulator) admit(r *http.Request, namespace string, req operationRequest, malformed error) (string, *refusal) {
	who, refused := e.auth.authenticate(r)
	if refused != nil {
		return "", refused
	}
	if refused := who.authorize(namespace); refused != nil {
		return "", refused
	}
	if malformed != nil {
		return "", refuse(http.StatusBadRequest, malformed.Error())
	}
	name, err := req.check(namespace)
	if err != nil {
		return "", refuse(http.StatusBadRequest, err.Error())
	}
	return name, nil
}

// respond carries the operation out, unless a fault has its result already.
func (e *Emulator) respond(namespace string, spec *operationSpec, f *Fault) *operationResponse {
	if f != nil && f.Result != "" {
		return &operationResponse{Result: f.Result}
	}
	image, err := parseArtifactName(spec.ArtifactName)
	if err != nil {
		return &operationResponse{Result: ResultInvalidArtifactName}
	}
	claims := Claims{}
	if spec.Extensions != nil {
		claims = *spec.Extensions
	}
	switch spec.Command {
	case commandSign:
		record, err := newRecord(e.ca, image, spec.ArtifactType, claims, e.now())
		if err != nil {
			return &operationResponse{Result: ResultSignFailure}
		}
		e.store.put(namespace, record)
		return &operationResponse{Result: ResultSuccess}
	case commandRevoke:
		return &operationResponse{Result: e.revoke(namespace, image, spec.Digest)}
	default: // VERIFY: check lets no other command in
		result, record := e.verify(namespace, image, claims)
		response := &operationResponse{Result: result}
		if record != nil {
			response.ArtifactSignature = record.wire(namespace)
		}
		return response
	}
}

// answer writes the answer in the shape that the fault says.
func (e *Emulator) answer(w http.ResponseWriter, r *http.Request, answer *operationAnswer, f *Fault) {
	status := http.StatusOK
	if f != nil {
		switch f.Kind {
		case FaultNoResponse:
			answer.Response = nil
		case FaultLegacyUnsigned:
			if result := answer.Response.Result; result == ResultNoArtifact || result == ResultNoSignature {
				noMatchingSignatures().write(w)
				return
			}
		default: // FaultResult: the last of the faults of answers
			status = statusOr(f.Status, status)
		}
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/jsoncompact" {
		writeJSON(w, status, answer)
		return
	}
	small, err := compacted(answer)
	if err != nil {
		refuse(http.StatusInternalServerError, err.Error()).write(w)
		return
	}
	writeJSON(w, status, small)
}

func compacted(answer *operationAnswer) (any, error) {
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	var loose any
	if err := json.Unmarshal(b, &loose); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	return compact(loose), nil
}

// decodeOperation returns what it could read beside the error, with a Spec in any case:
// faults may be about an artifact whatever else is wrong.
func decodeOperation(body []byte) (operationRequest, error) {
	var req operationRequest
	err := decodeStrict(body, &req)
	if req.Spec == nil {
		req.Spec = &operationSpec{}
		if err == nil {
			err = errors.New("spec is required")
		}
	}
	return req, err
}

// check returns meta.name, and names everything in the request that the API's schema does not allow.
func (req operationRequest) check(namespace string) (name string, err error) {
	var errs []error
	if raw, ok := req.Meta["name"]; !ok || json.Unmarshal(raw, &name) != nil || name == "" {
		errs = append(errs, errors.New("meta.name is required"))
	}
	if n := utf8.RuneCountInString(name); n > metaNameLimit {
		errs = append(errs, fmt.Errorf("meta.name has %d characters, at most %d are allowed", n, metaNameLimit))
	}
	if req.TenantMeta != nil && req.TenantMeta.Namespace != "" && req.TenantMeta.Namespace != namespace {
		errs = append(errs, errors.New("tenant_meta.namespace is not the namespace of the path"))
	}
	switch req.Spec.Command {
	case commandSign, commandVerify, commandRevoke:
	default:
		errs = append(errs, fmt.Errorf("spec.command %q is not SIGN, VERIFY or REVOKE_SIGNATURE with the prefix ARTIFACT_OPERATION_COMMAND_", req.Spec.Command))
	}
	if req.Spec.ArtifactName == "" {
		errs = append(errs, errors.New("spec.artifact_name is required"))
	}
	if !artifactTypes[req.Spec.ArtifactType] {
		errs = append(errs, fmt.Errorf("spec.artifact_type %q is not a type such as ARTIFACT_TYPE_CONTAINER", req.Spec.ArtifactType))
	}
	return name, errors.Join(errs...)
}

func (req operationRequest) asked(namespace string) Operation {
	op := Operation{
		Namespace:    namespace,
		Command:      req.Spec.Command,
		ArtifactName: req.Spec.ArtifactName,
		ArtifactType: req.Spec.ArtifactType,
		Digest:       req.Spec.Digest,
	}
	if req.Spec.Extensions != nil {
		op.Extensions = *req.Spec.Extensions
	}
	return op
}

// readBody reads all of a request, which also lets the server notice when the client leaves.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, refuse(http.StatusRequestEntityTooLarge, "The body is too large")
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "The body could not be read")
	}
	return body, nil
}

// decodeStrict decodes one JSON value, without unknown fields and with nothing behind it.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("decode JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("decode JSON: there is more than one value")
	}
	return nil
}
