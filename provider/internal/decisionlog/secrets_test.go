// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/decisionlog"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/logtest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const (
	key, secret, token = "endr+the-key-itself", "endr+the-secret-itself", "eyJhbGciOi.the-token-itself.c2ln"

	resultPrefix = "ARTIFACT_OPERATION_RESULT_"
)

// No credential is in any line, whatever Endor Labs answers.
func TestNoCredentialIsInAnyLine(t *testing.T) {
	t.Parallel()
	everything := strings.Join([]string{key, secret, token, "Bearer " + token}, " ")
	quoted, err := json.Marshal(everything)
	if err != nil {
		t.Fatal(err)
	}
	claims := strings.ReplaceAll(`{"certificate_identity":S,"source_repository":S,"source_repository_owner":S,"source_repository_ref":S}`, "S", string(quoted))
	var answers []string
	for _, result := range []string{everything, resultPrefix + everything, resultPrefix + token, "SUCCESS", resultPrefix + "SUCCESS", resultPrefix + "CLAIMS_MISMATCH"} {
		name, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, fmt.Sprintf(`{"response":{"result":%s,"artifact_signature":{"spec":{"artifact_name":%s,"artifact_digest":%[2]s,"provenance":%s}}}}`, name, quoted, claims),
			fmt.Sprintf(`{"response":{"result":%s,"artifact_signature":{"spec":{"provenance":%s}}}}`, name, claims))
	}
	answers = append(answers, fmt.Sprintf(`{"response":{"result":{"x":%s}}}`, quoted), fmt.Sprintf(`{"code":16,"message":%s}`, quoted), everything)

	lines := 0
	for _, answer := range answers {
		for _, status := range []int{200, 400, 403, 404, 429, 500, 302} {
			out := decideOne(t, status, answer)
			lines += strings.Count(out, "\n")
			for _, s := range []string{key, secret, token, "itself", "Bearer"} {
				if strings.Contains(out, s) {
					t.Errorf("HTTP %d %s: the log holds %q:\n%s", status, answer, s, out)
				}
			}
		}
	}
	if want := len(answers) * 7; lines != want {
		t.Errorf("%d lines, want one for each of %d answers", lines, want)
	}
}

// decideOne gives the log of one question to which the API answers so.
func decideOne(t *testing.T, status int, answer string) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/auth/api-key") {
			fmt.Fprintf(w, `{"token":%q}`, token)
			return
		}
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer api.Close()
	client, err := endor.New(endor.Config{BaseURL: api.URL, Credentials: endor.Credentials{Key: key, Secret: secret}, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	out := &logtest.Log{}
	log := decisionlog.New(decisionlog.Config{Out: out})
	desk, err := verify.New(verify.NewEndor(client, nil), verify.Config{Resolver: verify.Resolver{Namespace: "acme"}, Observe: log.Observe})
	if err != nil {
		t.Fatal(err)
	}
	desk.Answers(t.Context(), []string{image})
	desk.Close()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
