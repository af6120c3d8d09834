// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/wholefile"
)

// surroundings are what a provider has around it in a cluster, so that all of
// its metrics have something to tell.
type surroundings struct {
	dir   string
	redis string // address; empty for none
	api   string // URL of the API server
}

// flags writes the files that the provider's flags name.
func (s surroundings) flags() ([]string, error) {
	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	err := os.WriteFile(kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: soak
clusters: [{name: soak, cluster: {server: %q}}]
users: [{name: soak, user: {}}]
contexts: [{name: soak, context: {cluster: soak, user: soak}}]
`, s.api), 0o600)
	args := []string{"--kubeconfig=" + kubeconfig, "--count-constraints-of=endor-gatekeeper-provider"}
	if s.redis == "" {
		return args, err
	}
	url, key := filepath.Join(s.dir, "redis-url"), filepath.Join(s.dir, "redis-hmac-key")
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return append(args, "--redis-url-file="+url, "--redis-hmac-key-file="+key), errors.Join(err,
		os.WriteFile(url, []byte("redis://"+s.redis), 0o600),
		os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600))
}

// constraints is an API server that knows two constraints and nothing else.
func constraints(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/apis/constraints.gatekeeper.sh/v1beta1/k8sendorsignedimages" {
		http.NotFound(w, r)
		return
	}
	constraint := func(name, action string) map[string]any {
		return map[string]any{
			"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sEndorSignedImages",
			"metadata": map[string]any{"name": name}, "spec": map[string]any{"enforcementAction": action},
		}
	}
	w.Header().Set("Content-Type", "application/json")
	// Whom a broken connection keeps from reading it asks again.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sEndorSignedImagesList", "metadata": map[string]any{"resourceVersion": "1"},
		"items": []any{constraint("production", "deny"), constraint("staging", "dryrun")},
	})
}

// tell writes where a Prometheus finds the provider's metrics, as a file of its
// file_sd_configs.
func tell(file string, provider *testbed.Provider) error {
	address := provider.OpsURL[len("http://"):]
	content, err := json.Marshal([]any{map[string]any{"targets": []string{address}}})
	if err != nil {
		return err
	}
	// In one step: Prometheus may look at any time.
	return wholefile.Write(file, content, 0o600)
}
