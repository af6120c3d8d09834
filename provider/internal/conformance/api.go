// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// api makes calls as they are written, without what the provider's client does
// to survive: retries, and a reading that takes two forms for one. It follows no
// redirect.
type api struct {
	base  string
	token string
	http  *http.Client

	redirects []string // what was answered with one
}

func newAPI(base string) *api {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &api{base: base, http: &http.Client{
		Timeout:       30 * time.Second,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reply is a response, read.
type reply struct {
	status int
	header http.Header
	at     time.Time // when it had arrived
	body   []byte

	code      int    // of an error of the API
	legacy    bool   // says "not signed" as the API did until May 2024
	result    string // without its prefix; empty if there is none
	signature *signature
}

// signature is what an answer shows of one.
type signature struct {
	ArtifactName   string          `json:"artifact_name"`
	ArtifactDigest string          `json:"artifact_digest"`
	Timestamp      string          `json:"timestamp"`
	Provenance     question.Claims `json:"provenance"`
}

// String tells result, or status and code: never the body, which may repeat what
// was sent.
func (r reply) String() string {
	if r.result != "" && r.status == http.StatusOK {
		return printable.Cut(r.result, 60)
	}
	s := fmt.Sprintf("HTTP %d", r.status)
	if r.code != 0 {
		s += fmt.Sprintf(", code %d", r.code)
	}
	if r.result != "" {
		s += ", " + printable.Cut(r.result, 60)
	}
	return s
}

const maxBody = 1 << 20

func (a *api) post(ctx context.Context, path string, body any) (reply, error) {
	sent, err := json.Marshal(body)
	if err != nil {
		return reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+path, bytes.NewReader(sent))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.http.Do(req)
	if broken, ok := errors.AsType[*url.Error](err); ok {
		return reply{}, broken.Err // without the address, which is told once
	}
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	got := reply{status: resp.StatusCode, header: resp.Header, at: time.Now()}
	if got.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody)); err != nil {
		return reply{}, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		a.redirects = append(a.redirects, path)
	}
	return got, nil
}

// Commands of an operation.
const (
	commandSign   = "SIGN"
	commandVerify = "VERIFY"
	commandRevoke = "REVOKE_SIGNATURE"
)

// operation is one to ask for.
type operation struct {
	namespace string
	command   string
	artifact  string
	claims    question.Claims
	digest    string // of the source repository, to revoke
	name      string // default: the one that the provider sends
}

// operate carries an operation out. Its error means that there is no answer to
// look at: no connection, a refused token, a limit, a broken server.
func (a *api) operate(ctx context.Context, op operation) (reply, error) {
	if op.name == "" {
		op.name = "endor-gatekeeper-provider"
	}
	got, err := a.post(ctx, "/v1/namespaces/"+op.namespace+"/artifact-operations", map[string]any{
		"meta":        map[string]any{"name": op.name},
		"tenant_meta": map[string]any{"namespace": op.namespace},
		"spec": map[string]any{
			"command":       "ARTIFACT_OPERATION_COMMAND_" + op.command,
			"artifact_name": op.artifact,
			"artifact_type": "ARTIFACT_TYPE_CONTAINER",
			"digest":        op.digest,
			"extensions":    op.claims,
		},
	})
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", op.command, err)
	}
	got.decode()
	switch {
	case got.result != "" || got.legacy:
		return got, nil
	case got.status == http.StatusUnauthorized, got.status == http.StatusRequestTimeout, got.status == http.StatusTooManyRequests, got.status >= 500:
		return reply{}, fmt.Errorf("%s was answered with %v", op.command, got)
	}
	return got, nil
}

// decode reads an operation out of the body; what is none leaves the fields empty.
func (r *reply) decode() {
	var got struct {
		Code     int    `json:"code"`
		Message  string `json:"message"`
		Response *struct {
			Result    string `json:"result"`
			Signature *struct {
				Spec signature `json:"spec"`
			} `json:"artifact_signature"`
		} `json:"response"`
	}
	if json.Unmarshal(r.body, &got) != nil {
		return
	}
	r.code = got.Code
	r.legacy = r.status == http.StatusInternalServerError && got.Code == 13 && strings.Contains(got.Message, "no matching signatures")
	if got.Response == nil {
		return
	}
	r.result = strings.TrimPrefix(got.Response.Result, "ARTIFACT_OPERATION_RESULT_")
	if got.Response.Signature != nil {
		r.signature = &got.Response.Signature.Spec
	}
}

// session is an answer to an API key.
type session struct {
	token  string
	spoken string        // how the end is called; empty if it is not told
	lasts  time.Duration // until then
}

// login exchanges an API key for a token.
func (a *api) login(ctx context.Context, key, secret string) (session, error) {
	got, err := a.post(ctx, "/v1/auth/api-key", map[string]string{"key": key, "secret": secret})
	if err != nil {
		return session{}, fmt.Errorf("exchange the API key: %w", err)
	}
	if got.status != http.StatusOK {
		return session{}, fmt.Errorf("exchange the API key: HTTP %d", got.status)
	}
	var fields map[string]any
	if err := json.Unmarshal(got.body, &fields); err != nil {
		return session{}, errors.New("exchange the API key: the answer is no JSON object")
	}
	token, ok := fields["token"].(string)
	if !ok || token == "" {
		return session{}, errors.New("exchange the API key: the answer holds no token")
	}
	s := session{token: token}
	for _, name := range []string{"expirationTime", "expiration_time"} {
		text, ok := fields[name].(string)
		if end, err := time.Parse(time.RFC3339, text); ok && err == nil {
			s.spoken, s.lasts = name, end.Sub(got.at)
			break
		}
	}
	return s, nil
}
