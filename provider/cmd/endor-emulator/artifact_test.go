// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

func TestImagesAreSignedAndRevokedFromATerminal(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	emulator := start(t, "--log-level=error")
	defer func() {
		if stderr, err := emulator.stop(); err != nil {
			t.Errorf("%v: %s", err, stderr)
		}
	}()
	t.Setenv("ENDOR_API", emulator.url)
	t.Setenv("ENDOR_NAMESPACE", endortest.DefaultNamespace)
	t.Setenv("ENDOR_API_CREDENTIALS_KEY", endortest.DefaultAPIKey)
	t.Setenv("ENDOR_API_CREDENTIALS_SECRET", endortest.DefaultAPISecret)

	for _, step := range []struct {
		args []string
		says string // on standard output, or as an error
		code int    // of the error
	}{
		{args: []string{"revoke-signature", "--name=" + unsigned}, says: "RESULT_NO_ARTIFACT", code: 1},
		{args: []string{"sign", "--name=" + unsigned, "--source-repository=acme/new"}, says: "Signed " + unsigned},
		{args: []string{"revoke-signature", "--name=" + unsigned}, says: "Revoked " + unsigned},
		{args: []string{"sign", "--name=no image"}, says: "RESULT_INVALID_ARTIFACT_NAME", code: 1},
		{args: []string{"sign"}, says: "--name", code: 2},
		{args: []string{"sign", "extra"}, says: "extra", code: 2},
	} {
		var stdout bytes.Buffer
		err := run(t.Context(), append([]string{"artifact"}, step.args...), &stdout, io.Discard)
		if err == nil {
			if step.code != 0 || strings.TrimSpace(stdout.String()) != step.says {
				t.Errorf("%q: %q, want %q and code %d", step.args, stdout.String(), step.says, step.code)
			}
			continue
		}
		if exitCode(err) != step.code || !strings.Contains(err.Error(), step.says) {
			t.Errorf("%q: %v, want %q and code %d", step.args, err, step.says, step.code)
		}
	}

	t.Setenv("ENDOR_API_CREDENTIALS_SECRET", "another-secret")
	err := run(t.Context(), []string{"artifact", "sign", "--name=" + unsigned}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "another-secret") {
		t.Errorf("with a wrong secret: %v", err)
	}
}

// Whoever follows the tutorial with the variables of a real account set must not
// sign there.
func TestNothingIsSignedOutsideOfAnEmulator(t *testing.T) {
	t.Setenv("ENDOR_NAMESPACE", "acme")
	for _, api := range []string{"", "https://api.endorlabs.com", "http://192.0.2.1:80", "http://localhost.example.com", "::"} {
		t.Setenv("ENDOR_API", api)
		err := run(t.Context(), []string{"artifact", "sign", "--name=" + unsigned}, io.Discard, io.Discard)
		if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), "not an emulator") {
			t.Errorf("%q: %v", api, err)
		}
	}
}
