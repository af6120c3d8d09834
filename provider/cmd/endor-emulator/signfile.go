// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// signing is one entry of the file of --sign.
type signing struct {
	entry   int // counted from 1
	sign    endortest.Signing
	revoked bool
	damage  endortest.Damage
}

// apply signs, and does what the entry says to the result.
func (s signing) apply(e *endortest.Emulator) error {
	if err := e.Sign(s.sign); err != nil {
		return err
	}
	if s.damage != "" {
		if err := e.Damage(s.sign.Namespace, s.sign.Image, s.damage); err != nil {
			return err
		}
	}
	if s.revoked {
		return e.Revoke(s.sign.Namespace, s.sign.Image, "")
	}
	return nil
}

// readSignFile reads all entries, none when there is no file. The namespaces are those
// that can be asked about. The error names the file and every problem of every entry.
func readSignFile(file string, namespaces []string, now time.Time) ([]signing, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--sign: %w", err)
	}
	doc, err := yaml.YAMLToJSONStrict(b)
	if err != nil {
		return nil, fmt.Errorf("%s: not YAML: %w", file, err)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(doc, &entries); err != nil {
		return nil, fmt.Errorf("%s: not a list of entries such as {image: …, claims: {…}}", file)
	}
	var (
		signings []signing
		errs     []error
	)
	for i, entry := range entries {
		s, err := readEntry(entry, namespaces, now)
		s.entry = i + 1
		for _, problem := range unjoin(err) {
			errs = append(errs, fmt.Errorf("%s: entry %d: %w", file, s.entry, problem))
		}
		signings = append(signings, s)
	}
	return signings, errors.Join(errs...)
}

func readEntry(entry json.RawMessage, namespaces []string, now time.Time) (signing, error) {
	var (
		s      signing
		claims json.RawMessage
		age    string
	)
	err := readFields(entry, map[string]any{
		"image":     &s.sign.Image,
		"namespace": &s.sign.Namespace,
		"claims":    &claims,
		"age":       &age,
		"revoked":   &s.revoked,
		"damage":    &s.damage,
	})
	errs := []error{err}
	switch {
	case s.sign.Image != "":
		errs = append(errs, endortest.CheckArtifactName(s.sign.Image))
	case err == nil:
		errs = append(errs, errors.New("image is required"))
	}
	if ns := s.sign.Namespace; ns != "" && !slices.Contains(namespaces, ns) {
		errs = append(errs, fmt.Errorf("namespace %q is not one of --namespace %v, so nobody could ask for it", ns, namespaces))
	}
	if claims != nil {
		c := &s.sign.Claims
		err := readFields(claims, map[string]any{
			"certificateOidcIssuer":  &c.CertificateOIDCIssuer,
			"certificateIdentity":    &c.CertificateIdentity,
			"sourceRepository":       &c.SourceRepository,
			"sourceRepositoryOwner":  &c.SourceRepositoryOwner,
			"sourceRepositoryRef":    &c.SourceRepositoryRef,
			"sourceRepositoryDigest": &c.SourceRepositoryDigest,
			"buildConfigName":        &c.BuildConfigName,
			"buildConfigDigest":      &c.BuildConfigDigest,
			"runnerEnvironment":      &c.RunnerEnvironment,
		})
		for _, problem := range unjoin(err) {
			errs = append(errs, fmt.Errorf("claims: %w", problem))
		}
	}
	if age != "" {
		ago, err := time.ParseDuration(age)
		if err != nil || ago < 0 {
			errs = append(errs, fmt.Errorf("age %q is not a duration such as 240h", age))
		}
		s.sign.At = now.Add(-ago)
	}
	if s.damage != "" && !slices.Contains(endortest.Damages(), s.damage) {
		errs = append(errs, fmt.Errorf("damage %q is not one of %v", s.damage, endortest.Damages()))
	}
	return s, errors.Join(errs...)
}

// readFields decodes an object whose members are exactly named; encoding/json would take
// "Image" for image. It names every member that is unknown or of another type.
func readFields(object json.RawMessage, into map[string]any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil || members == nil {
		return errors.New("not a mapping of fields")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		target, known := into[name]
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("unknown field %q: the fields are %v", name, slices.Sorted(maps.Keys(into))))
		case bytes.Equal(members[name], []byte("null")):
			errs = append(errs, fmt.Errorf("%s has no value: give one or leave it out", name))
		default:
			if err := json.Unmarshal(members[name], target); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s is not what belongs there; strings that look like numbers need quotes", name, members[name]))
			}
		}
	}
	return errors.Join(errs...)
}

// unjoin splits what errors.Join made, so that each problem is told with its place.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, unjoin(e)...)
	}
	return all
}
