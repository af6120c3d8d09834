// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestGeneratedCertificates runs scripts/gen-certs.sh and holds that the chart
// takes its values, and that the pair of its Secret is one that Gatekeeper
// accepts with the caBundle of the Provider object that comes out.
func TestGeneratedCertificates(t *testing.T) {
	out := filepath.Join(t.TempDir(), "certs")
	leftovers := t.TempDir()
	genCerts(t, leftovers, "--out", out)

	generated, err := chartutil.ReadValuesFile(filepath.Join(out, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var provider struct {
		Spec struct {
			URL      string
			CABundle string
		}
	}
	for _, document := range documents(t, rendered(t, generated).Manifest) {
		if strings.Contains(string(document), "kind: Provider\n") {
			if err := yaml.Unmarshal(document, &provider); err != nil {
				t.Fatal(err)
			}
		}
	}
	secret := readSecret(t, out)
	if secret.Name != generated["tls"].(values)["existingSecret"] {
		t.Errorf("the Secret is called %s, the values say %v", secret.Name, generated["tls"])
	}

	verifies(t, secret, provider.Spec.CABundle, 1)

	if info, err := os.Stat(filepath.Join(out, "secret.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secret.yaml: %v, error %v, want mode 0600", info.Mode(), err)
	}
	for _, folder := range []string{out, leftovers} {
		for _, file := range files(t, folder) {
			if name := filepath.Base(file); name != "secret.yaml" && name != "values.yaml" {
				t.Errorf("%s was left behind", file)
			}
		}
	}
}

// TestRenewedCertificates holds that a renewal never has to be applied in one
// instant: its values trust the certificate before, too.
func TestRenewedCertificates(t *testing.T) {
	old, renewed := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new")
	genCerts(t, t.TempDir(), "--out", old)
	genCerts(t, t.TempDir(), "--out", renewed, "--previous", filepath.Join(old, "values.yaml"))
	generated, err := chartutil.ReadValuesFile(filepath.Join(renewed, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	bundle := generated["provider"].(values)["caBundle"].(string)
	verifies(t, readSecret(t, old), bundle, 2)
	verifies(t, readSecret(t, renewed), bundle, 2)

	third := filepath.Join(t.TempDir(), "third")
	genCerts(t, t.TempDir(), "--out", third, "--previous", filepath.Join(renewed, "values.yaml"))
	if generated, err = chartutil.ReadValuesFile(filepath.Join(third, "values.yaml")); err != nil {
		t.Fatal(err)
	}
	verifies(t, readSecret(t, third), generated["provider"].(values)["caBundle"].(string), 2)
}

// TestLongNames holds that every name that Kubernetes takes is taken, and that
// names which YAML reads as something else stay names.
func TestLongNames(t *testing.T) {
	for _, service := range []string{strings.Repeat("a", 62), strings.Repeat("a", 63)} {
		out := filepath.Join(t.TempDir(), "certs")
		genCerts(t, t.TempDir(), "--out", out, "--name", service, "--namespace", "123")
		secret := readSecret(t, out)
		pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Leaf.VerifyHostname(service + ".123.svc"); err != nil {
			t.Error(err)
		}
		if secret.Name != service+"-generated" || secret.Namespace != "123" {
			t.Errorf("the Secret is %s/%s", secret.Namespace, secret.Name)
		}
	}
}

func TestGenCertsRefuses(t *testing.T) {
	existing := filepath.Join(t.TempDir(), "certs")
	genCerts(t, t.TempDir(), "--out", existing)
	for what, args := range map[string][]string{
		"a folder with a certificate": {"--out", existing},
		"a name with a dot":           {"--name", "a.b"},
		"days that are no number":     {"--days", "many"},
		"an unknown option":           {"--day", "3"},
		"an option without its value": {"--namespace"},
		"values without a caBundle":   {"--previous", filepath.Join(existing, "secret.yaml")},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(repository, "scripts/gen-certs.sh"), args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
		if !strings.HasPrefix(strings.Join(args, " "), "--out") {
			cmd.Args = append([]string{cmd.Args[0], "--out", filepath.Join(t.TempDir(), "certs")}, args...)
		}
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%s: taken", what)
		}
		t.Logf("%s: %s", what, out)
	}
}

func genCerts(t *testing.T, temporary string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(repository, "scripts/gen-certs.sh"), args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func readSecret(t *testing.T, folder string) corev1.Secret {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(folder, "secret.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var secret corev1.Secret
	if err := yaml.UnmarshalStrict(manifest, &secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

// verifies checks a pair as a client does that knows the URL of the Provider
// object and its caBundle.
func verifies(t *testing.T, secret corev1.Secret, caBundle string, cas int) {
	t.Helper()
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := base64.StdEncoding.DecodeString(caBundle)
	if err != nil {
		t.Fatal(err)
	}
	roots, found := x509.NewCertPool(), 0
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(ca)
		found++
	}
	if found != cas {
		t.Errorf("caBundle has %d CAs, want %d", found, cas)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{
		DNSName:     name + "." + name + ".svc",
		Roots:       roots,
		CurrentTime: time.Now().Add(364 * 24 * time.Hour),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		t.Error(err)
	}
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	if err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, file)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}
