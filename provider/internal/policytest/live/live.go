// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package live puts the policies before the real thing: Gatekeeper's engine,
// the built provider over mutual TLS, and the built emulator of Endor Labs that
// signs and verifies. Nothing in between is a stand-in.
//
// It has its own package because an engine owns external_data for the whole
// process.
package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// Stage is an emulator and a provider that run.
type Stage struct {
	Emulator     *testbed.Emulator
	Provider     *testbed.Provider
	Certificates *testbed.Certificates

	dir string
}

// NewStage builds and starts the programs. signatures is the file of what is
// signed, in whatever Endor namespaces it names; args are further flags of the
// provider. Close must be called.
func NewStage(ctx context.Context, signatures string, args ...string) (_ *Stage, err error) {
	dir, err := os.MkdirTemp("", "endor-stage-")
	if err != nil {
		return nil, err
	}
	s := &Stage{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	programs, err := testbed.Build(dir, "endor-emulator", "endor-gatekeeper-provider")
	if err != nil {
		return nil, err
	}
	if s.Certificates, err = testbed.NewCertificates(dir); err != nil {
		return nil, err
	}
	namespaces, err := endorNamespaces(signatures)
	if err != nil {
		return nil, err
	}
	if s.Emulator, err = testbed.StartEmulator(programs[0], signatures, os.Stderr, "--admin", "--namespace="+strings.Join(namespaces, ",")); err != nil {
		return nil, err
	}
	s.Provider, err = testbed.Start(ctx, testbed.Config{
		Program: programs[1], Certificates: s.Certificates,
		API: s.Emulator.URL, Key: testbed.APIKey, Secret: testbed.APISecret, Namespace: testbed.Namespace, Args: args,
	})
	return s, err
}

// endorNamespaces are those that a file of signatures names.
func endorNamespaces(signatures string) ([]string, error) {
	content, err := os.ReadFile(signatures)
	if err != nil {
		return nil, err
	}
	var signed []struct {
		Namespace string `json:"namespace"`
	}
	if err := yaml.Unmarshal(content, &signed); err != nil {
		return nil, fmt.Errorf("%s: %w", signatures, err)
	}
	found := map[string]bool{testbed.Namespace: true}
	for _, s := range signed {
		if s.Namespace != "" {
			found[s.Namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Close ends the programs.
func (s *Stage) Close() error {
	var errs []error
	if s.Provider != nil {
		errs = append(errs, s.Provider.Stop())
	}
	if s.Emulator != nil {
		errs = append(errs, s.Emulator.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// Engine makes an engine that asks the provider of the stage, and others by
// their names. responseCache is how long it keeps answers; zero means not at all.
func (s *Stage) Engine(ctx context.Context, responseCache time.Duration, others ...engine.Provider) (*engine.Engine, error) {
	return s.EngineWith(ctx, responseCache, s.Provider.URL, others...)
}

// EngineWith is Engine with the provider at another URL, such as one at which
// nobody listens.
func (s *Stage) EngineWith(ctx context.Context, responseCache time.Duration, url string, others ...engine.Provider) (*engine.Engine, error) {
	cert, key := s.Certificates.ClientFiles()
	return engine.New(ctx, engine.Config{
		Providers: append([]engine.Provider{{
			Name: "endor-gatekeeper-provider", URL: url, CABundle: s.Certificates.ServerCA.CertPEM(),
		}}, others...),
		ClientCertFile: cert, ClientKeyFile: key, ResponseCacheTTL: responseCache,
	})
}

// Root is the root of the repository, found from the folder of a test.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", fmt.Errorf("no go.mod above %s", dir)
	}
}
