// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

const (
	namespace = "acme"
	child     = "acme.team"
	prefix    = "docker.io/library/throw-away" // so that names of Docker Hub can be looked at
)

// environment is that of somebody who lets it sign.
func environment(url string) map[string]string {
	return map[string]string{
		"ENDOR_API": url, "ENDOR_NAMESPACE": namespace,
		"ENDOR_API_CREDENTIALS_KEY": endortest.DefaultAPIKey, "ENDOR_API_CREDENTIALS_SECRET": endortest.DefaultAPISecret,
		"CONFORMANCE_SIGN": "1", "CONFORMANCE_PREFIX": prefix, "CONFORMANCE_CHILD_NAMESPACE": child,
	}
}

func conformance(ctx context.Context, env map[string]string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, args, func(name string) string { return env[name] }, &out, &errs)
	return status, out.String(), errs.String()
}

func emulator(t *testing.T) *endortest.Emulator {
	t.Helper()
	e, err := endortest.New(endortest.Config{Namespaces: []string{namespace, child}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhatTheEmulatorDoesHolds(t *testing.T) {
	t.Parallel()
	e := emulator(t)
	status, stdout, stderr := conformance(t.Context(), environment(tell(t, e, nil)))
	if status != statusHolds || stderr != "" {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if want := "\n30 hold, 0 differ, 0 could not be found out, 6 are not testable here and not counted as passed\n"; !strings.HasSuffix(stdout, want) {
		t.Errorf("it prints\n%s, want at its end %q", stdout, want)
	}
	for _, secret := range []string{endortest.DefaultAPIKey, endortest.DefaultAPISecret, "Bearer"} {
		if strings.Contains(stdout, secret) {
			t.Errorf("it prints %s", secret)
		}
	}
	holdRevoked(t, e, 2)
}

// holdRevoked holds that so many signatures were made and none is left.
func holdRevoked(t *testing.T, e *endortest.Emulator, want int) {
	t.Helper()
	url := tell(t, e, nil)
	a := newAPI(url)
	s, err := a.login(t.Context(), endortest.DefaultAPIKey, endortest.DefaultAPISecret)
	if err != nil {
		t.Fatal(err)
	}
	a.token = s.token
	signed := 0
	for _, op := range e.Operations() {
		if op.Command != "ARTIFACT_OPERATION_COMMAND_SIGN" {
			continue
		}
		signed++
		if !strings.HasPrefix(op.ArtifactName, prefix+"/endor-conformance-") {
			t.Errorf("it signed %s", op.ArtifactName)
		}
		got, err := a.operate(t.Context(), operation{
			namespace: op.Namespace, command: commandVerify, artifact: op.ArtifactName, claims: question.Claims(op.Extensions),
		})
		if err != nil || got.result == success {
			t.Errorf("%s is left signed: %v, %v", op.ArtifactName, got, err)
		}
	}
	if signed != want {
		t.Errorf("it signed %d times, want %d", signed, want)
	}
}

func TestNothingIsSignedUnlessAskedFor(t *testing.T) {
	t.Parallel()
	e := emulator(t)
	env := environment(tell(t, e, nil))
	delete(env, "CONFORMANCE_SIGN")
	status, stdout, stderr := conformance(t.Context(), env)
	if status != statusHolds || !strings.Contains(stdout, "needs CONFORMANCE_SIGN=1 and CONFORMANCE_PREFIX") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	ops := e.Operations()
	if len(ops) == 0 {
		t.Error("nothing was asked")
	}
	for _, op := range ops {
		if op.Command != "ARTIFACT_OPERATION_COMMAND_VERIFY" || !strings.HasPrefix(op.ArtifactName, "conformance.invalid/") {
			t.Errorf("it did %s of %s", op.Command, op.ArtifactName)
		}
	}
}

func TestWithoutWhatItNeedsItIsNotPassed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, variable, value, want string
	}{
		{"no credentials", "ENDOR_API_CREDENTIALS_KEY", "", "the key is missing"},
		{"no namespace", "ENDOR_NAMESPACE", "", "ENDOR_NAMESPACE must be"},
		{"another kind of credentials as well", "ENDOR_TOKEN", "x", "more than one kind"},
		{"an address that tokens must not go to", "ENDOR_API", "http://api.example", "use https"},
		{"a refused key", "ENDOR_API_CREDENTIALS_SECRET", "wrong", "HTTP 401"},
		{"a child of another namespace", "CONFORMANCE_CHILD_NAMESPACE", "other.team", "no child of ENDOR_NAMESPACE"},
		{"nowhere to sign", "CONFORMANCE_PREFIX", "", "CONFORMANCE_PREFIX"},
		{"a name with a tag to sign", "CONFORMANCE_PREFIX", "registry.example/x:v1", "CONFORMANCE_PREFIX"},
		{"the name of no registry to sign", "CONFORMANCE_PREFIX", "nginx", "CONFORMANCE_PREFIX"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := emulator(t)
			env := environment(tell(t, e, nil))
			env[tc.variable] = tc.value
			status, stdout, stderr := conformance(t.Context(), env)
			if status != statusUnknown || !strings.Contains(stderr, tc.want) || !strings.Contains(stderr, "does not count as passed") || stdout != "" {
				t.Errorf("status %d\n%s%s, want %q", status, stdout, stderr, tc.want)
			}
			if ops := e.Operations(); len(ops) > 0 {
				t.Errorf("it asked %v", ops)
			}
		})
	}
	t.Run("nothing at all", func(t *testing.T) {
		t.Parallel()
		status, _, stderr := conformance(t.Context(), nil)
		if status != statusUnknown || !strings.Contains(stderr, "there are no credentials: set ENDOR_API_CREDENTIALS_KEY") {
			t.Errorf("status %d, %s", status, stderr)
		}
	})
}

func TestAnOutageIsNeitherHoldsNorDiffers(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := conformance(t.Context(), environment(tell(t, emulator(t), func(q *asked, a *told) {
		if q.command != "" {
			a.status, a.body = 503, map[string]any{"code": 14}
		}
	})))
	// What needs no answer is known: how the token ended, and that nothing was redirected.
	if status != statusUnknown || !strings.Contains(stdout, "\n2 hold, 0 differ, 10 could not be found out, 24 are not testable") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if !strings.Contains(stderr, "NOT CLEANED UP") {
		t.Errorf("it does not say that something may be left: %s", stderr)
	}
}

func TestAnInterruptLeavesNothingSigned(t *testing.T) {
	t.Parallel()
	e := emulator(t)
	ctx, cancel := context.WithCancel(t.Context())
	status, _, stderr := conformance(ctx, environment(tell(t, e, func(q *asked, _ *told) {
		if q.command == commandVerify && strings.HasPrefix(q.artifact, prefix) {
			cancel()
		}
	})))
	if status != statusUnknown || stderr != "" {
		t.Errorf("status %d, %s", status, stderr)
	}
	holdRevoked(t, e, 2)
}

func TestWhatIsLeftSignedIsSaid(t *testing.T) {
	t.Parallel()
	status, _, stderr := conformance(t.Context(), environment(tell(t, emulator(t), func(q *asked, a *told) {
		if q.command == commandRevoke {
			a.status, a.body = 403, map[string]any{"code": 7}
		}
		if q.revoked && q.command == commandVerify && strings.HasPrefix(q.artifact, prefix) {
			a.result(success)
		}
	})))
	if status != statusUnknown || strings.Count(stderr, "endorctl artifact revoke-signature --name "+prefix+"/endor-conformance-") != 2 {
		t.Errorf("status %d, %s", status, stderr)
	}
}

func TestATokenIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	url := tell(t, emulator(t), nil)
	s, err := newAPI(url).login(t.Context(), endortest.DefaultAPIKey, endortest.DefaultAPISecret)
	if err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := conformance(t.Context(), map[string]string{"ENDOR_API": url, "ENDOR_NAMESPACE": namespace, "ENDOR_TOKEN": s.token})
	if status != statusHolds || !strings.Contains(stdout, "ENDOR_TOKEN is not exchanged") || strings.Contains(stdout, s.token) {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}
