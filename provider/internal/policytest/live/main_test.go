// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/policytest/live"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// stage is shared by the tests, which run one after the other.
var (
	stage *live.Stage
	root  string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if root, err = live.Root(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "endor-live-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	signatures := filepath.Join(dir, "signatures.yaml")
	if err := writeSignatures(signatures); err != nil {
		return 0, err
	}
	// What the emulator answers with an error must not be retried for long, and
	// how fast Endor Labs may be asked is not tested here.
	stage, err = live.NewStage(context.Background(), signatures, "--upstream-timeout=1s", "--upstream-qps=10000")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	faults, err := os.ReadFile(filepath.Join(root, "policies", "testdata", "faults.yaml"))
	if err != nil {
		return 0, err
	}
	var switches, renamed struct {
		Faults []map[string]any `json:"faults"`
	}
	if err := errors.Join(yaml.Unmarshal(faults, &switches), yaml.Unmarshal([]byte(rename(string(faults))), &renamed)); err != nil {
		return 0, err
	}
	switches.Faults = append(switches.Faults, renamed.Faults...)
	document, err := yaml.Marshal(switches)
	if err != nil {
		return 0, err
	}
	if document, err = yaml.YAMLToJSON(document); err != nil {
		return 0, err
	}
	if err := stage.Emulator.Switch(context.Background(), document); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// writeSignatures writes what is signed: for the suites of the library, the
// same after renaming, for the bypass suite, and by releases of this repository.
func writeSignatures(file string) error {
	library, err := os.ReadFile(filepath.Join(root, "policies", "testdata", "signatures.yaml"))
	if err != nil {
		return err
	}
	renamed, err := elsewhere(rename(string(library)), rename(testbed.Namespace))
	if err != nil {
		return err
	}
	content := string(library) + renamed + ownSignatures()
	for _, repository := range signedRepositories {
		content += fmt.Sprintf(`
- image: %s
  claims:
    certificateOidcIssuer: https://token.actions.githubusercontent.com
    certificateIdentity: repo:acme/signed:ref:refs/tags/v1.4.0
    sourceRepository: acme/signed
    sourceRepositoryOwner: acme
    sourceRepositoryRef: refs/tags/v1.4.0
    runnerEnvironment: github-hosted
`, ref(repository))
	}
	return os.WriteFile(file, []byte(content), 0o600)
}

// elsewhere puts signatures that name no Endor namespace into one.
func elsewhere(signatures, namespace string) (string, error) {
	var list []map[string]any
	if err := yaml.Unmarshal([]byte(signatures), &list); err != nil {
		return "", err
	}
	for _, s := range list {
		if s["namespace"] == nil {
			s["namespace"] = namespace
		}
	}
	content, err := yaml.Marshal(list)
	return string(content), err
}

// signedRepositories are the repositories that have a signed image for the
// bypass suite, in the spellings in which they were signed. All images named
// "unsigned" are not.
var signedRepositories = []string{
	"ghcr.io/acme/signed",
	"ghcr.io:443/acme/signed",
	"ghcr.io:0443/acme/signed",
	"ghcr.io/acme-evil/signed",
	"quay.io/acme/signed",
	"signed",
	"acme/signed",
	"library/signed",
	"docker.io/signed",
	"docker.io/acme/signed",
	"docker.io:443/acme/signed",
	"index.docker.io/acme/signed",
	"registry-1.docker.io/acme/signed",
	"registry.hub.docker.com/acme/signed",
}

// digest is that of the one image of a repository.
func digest(repository string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(repository)))
}

// ref is the one image of a repository.
func ref(repository string) string { return repository + "@" + digest(repository) }

func readObject(t testing.TB, path string) *unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(content, &u.Object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return u
}
