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
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// artifactCommand has the two commands of endorctl that the tutorial needs, under
// the same names, for an emulator that runs.
func artifactCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "artifact",
		Short: "Sign at a running emulator, as endorctl artifact does at Endor Labs",
		Long: `Sign at a running emulator, as endorctl artifact does at Endor Labs. ENDOR_API,
ENDOR_NAMESPACE, ENDOR_API_CREDENTIALS_KEY and ENDOR_API_CREDENTIALS_SECRET say
where and as whom.`,
		Args: noArguments,
	}
	sign := operation{command: "SIGN", done: "Signed"}
	signCmd := sign.cobra(getenv, "sign", "Sign an image")
	f := signCmd.Flags()
	f.StringVar(&sign.claims.CertificateOIDCIssuer, "certificate-oidc-issuer", "https://token.actions.githubusercontent.com", "who vouched for the build")
	f.StringVar(&sign.claims.SourceRepository, "source-repository", "", "repository that it was built from")
	f.StringVar(&sign.claims.SourceRepositoryRef, "source-repository-ref", "", "branch or tag that it was built from")

	revoke := operation{command: "REVOKE_SIGNATURE", done: "Revoked"}
	cmd.AddCommand(signCmd, revoke.cobra(getenv, "revoke-signature", "Revoke all signatures of an image"))
	return cmd
}

// operation is one call of artifact-operations.
type operation struct {
	command string // as the API calls it
	done    string // as a person is told
	name    string
	claims  endortest.Claims
}

func (o *operation) cobra(getenv func(string) string, use, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " --name IMAGE", Short: short, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
			defer cancel()
			if err := o.do(ctx, getenv); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", o.done, o.name)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "the image, as name@sha256:DIGEST")
	return cmd
}

func (o *operation) do(ctx context.Context, getenv func(string) string) error {
	api, namespace := strings.TrimSuffix(getenv("ENDOR_API"), "/"), getenv("ENDOR_NAMESPACE")
	if o.name == "" || namespace == "" {
		return &usageError{errors.New("--name and ENDOR_NAMESPACE are required")}
	}
	if err := isEmulator(api); err != nil {
		return &usageError{err}
	}
	var token struct{ Token string }
	credentials := map[string]string{"key": getenv("ENDOR_API_CREDENTIALS_KEY"), "secret": getenv("ENDOR_API_CREDENTIALS_SECRET")}
	if err := call(ctx, api+"/v1/auth/api-key", "", credentials, &token); err != nil {
		return err
	}
	var answer struct{ Response struct{ Result string } }
	err := call(ctx, api+"/v1/namespaces/"+url.PathEscape(namespace)+"/artifact-operations", token.Token, map[string]any{
		"meta": map[string]string{"name": "endor-emulator artifact"},
		"spec": map[string]any{
			"command": "ARTIFACT_OPERATION_COMMAND_" + o.command, "artifact_name": o.name,
			"artifact_type": "ARTIFACT_TYPE_CONTAINER", "extensions": o.claims,
		},
	}, &answer)
	if err != nil {
		return err
	}
	if answer.Response.Result != string(endortest.ResultSuccess) {
		return fmt.Errorf("%s: the emulator says %q", o.name, answer.Response.Result)
	}
	return nil
}

// isEmulator keeps whoever has the variables of a real account from signing there
// what only a tutorial is about.
func isEmulator(api string) error {
	u, err := url.Parse(api)
	if err == nil {
		if addr, parseErr := netip.ParseAddr(u.Hostname()); parseErr == nil && addr.IsLoopback() || u.Hostname() == "localhost" {
			return nil
		}
	}
	return fmt.Errorf("ENDOR_API %q is not an emulator on loopback; at Endor Labs endorctl signs", api)
}

// call posts JSON and reads the answer. An error tells the first words of a refusal.
func call(ctx context.Context, address, token string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the emulator says %s: %.200q", resp.Status, content)
	}
	return json.Unmarshal(content, into)
}
