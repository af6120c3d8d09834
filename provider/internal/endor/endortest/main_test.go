// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest_test

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	image      = "ghcr.io/acme/api@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
	otherImage = "ghcr.io/acme/api@sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	strange    = "ghcr.io/stranger/api@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
)

var acmeAPI = endortest.GitHubClaims("acme", "api", "refs/heads/main")

// reply is an answer as it came: tests read the JSON by name, not through the types of the package.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// at follows a path such as response.artifact_signature.spec.revoked; nil when it ends early.
func (r reply) at(path string) any {
	var v any = r.json
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

func (r reply) result() string {
	s, _ := r.at("response.result").(string)
	return strings.TrimPrefix(s, "ARTIFACT_OPERATION_RESULT_")
}

// client speaks to a server as a careful user of the API's documents would.
type client struct {
	t     testing.TB
	http  *http.Client
	url   string
	ns    string
	token string
}

func newClient(t testing.TB, s *endortest.Server) *client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	c := &client{t: t, url: s.URL, ns: s.Namespace, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	token, ok := c.exchange(s.APIKey, s.APISecret).at("token").(string)
	if ok {
		c.token = token
	}
	return c
}

func (c *client) exchange(key, secret string) reply {
	c.t.Helper()
	return c.do(http.MethodPost, "/v1/auth/api-key", map[string]any{"key": key, "secret": secret})
}

func (c *client) verify(artifact string, extensions map[string]any) reply {
	c.t.Helper()
	return c.operate("VERIFY", map[string]any{"artifact_name": artifact, "extensions": extensions})
}

// tryVerify may be called by any goroutine.
func (c *client) tryVerify(artifact string) (reply, error) {
	return c.try(http.MethodPost, "/v1/namespaces/"+c.ns+"/artifact-operations", `{"meta":{"name":"endortest"},"spec":{`+
		`"command":"ARTIFACT_OPERATION_COMMAND_VERIFY","artifact_type":"ARTIFACT_TYPE_CONTAINER","artifact_name":"`+artifact+`"}}`)
}

func (c *client) operate(command string, spec map[string]any) reply {
	c.t.Helper()
	spec["command"] = "ARTIFACT_OPERATION_COMMAND_" + command
	spec["artifact_type"] = "ARTIFACT_TYPE_CONTAINER"
	return c.do(http.MethodPost, "/v1/namespaces/"+c.ns+"/artifact-operations", map[string]any{
		"meta": map[string]any{"name": "endortest"},
		"spec": spec,
	})
}

func (c *client) do(method, path string, body any) reply {
	c.t.Helper()
	r, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (c *client) try(method, path string, body any) (reply, error) {
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return reply{}, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, payload)
	if err != nil {
		return reply{}, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.send(req)
}

func (c *client) send(req *http.Request) (reply, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: res.StatusCode, header: res.Header, body: string(b)}
	_ = json.Unmarshal(b, &r.json) // HTML is not, and has no members then
	return r, nil
}

func mustSign(t testing.TB, s *endortest.Server, image string, claims endortest.Claims) {
	t.Helper()
	if err := s.Sign(endortest.Signing{Image: image, Claims: claims}); err != nil {
		t.Fatal(err)
	}
}

func mustInject(t testing.TB, s *endortest.Server, faults ...endortest.Fault) {
	t.Helper()
	if err := s.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

// A misunderstanding that client and emulator share would be invisible to every test.
func TestImportsNothingElseOfThisProject(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || path == "testing" {
				t.Errorf("%s imports %s; the emulator needs only the standard library, without testing", entry.Name(), path)
			}
		}
	}
}
