// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
)

// input is what was read, by what it is for.
type input struct {
	templates, constraints, objects []manifest.Object
	namespaces                      map[string]*corev1.Namespace
	suites                          []string       // files
	ofTools                         map[string]int // :: kind → objects that no webhook sees
	shipped                         bool           // the template of this version was added
}

// ofTools are groups of files that lie beside manifests: kustomizations,
// Gatekeeper's own configuration.
var ofTools = []string{"kustomize.config.k8s.io", "externaldata.gatekeeper.sh", "expansion.gatekeeper.sh"}

const suiteGroup = "test.gatekeeper.sh"

// sortOut sorts what was read. named are the files that -f names themselves,
// which belong to nobody else.
func sortOut(all []manifest.Object, named []string) (*input, error) {
	in := &input{namespaces: map[string]*corev1.Namespace{}, ofTools: map[string]int{}}
	owned, err := in.takeSuites(all)
	errs := []error{err}
	for _, o := range all {
		if owned[filepath.Clean(o.File)] && !slices.Contains(named, o.File) {
			continue
		}
		switch {
		case reader.IsTemplate(o.Unstructured):
			in.templates = append(in.templates, o)
		case reader.IsConstraint(o.Unstructured):
			in.constraints = append(in.constraints, o)
		case o.GroupVersionKind() == corev1.SchemeGroupVersion.WithKind("Namespace"):
			ns := &corev1.Namespace{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, ns); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", o.Where(), err))
				continue
			}
			in.namespaces[ns.Name] = ns
		case o.GroupVersionKind().Group == suiteGroup:
			// Taken before.
		case slices.Contains(ofTools, o.GroupVersionKind().Group):
			in.ofTools[kindOf(o.Unstructured)]++
		default:
			in.objects = append(in.objects, o)
		}
	}
	return in, errors.Join(append(errs, in.addShipped())...)
}

// takeSuites finds gator's suites, and the files that are theirs.
func (in *input) takeSuites(all []manifest.Object) (owned map[string]bool, err error) {
	owned = map[string]bool{}
	var errs []error
	for _, o := range all {
		if o.GroupVersionKind().Group != suiteGroup {
			continue
		}
		if o.File == "-" {
			errs = append(errs, fmt.Errorf("%s: a suite names files beside it, so it cannot come from standard input", o.Where()))
			continue
		}
		files, err := engine.SuiteFiles(o.Unstructured, filepath.Dir(o.File))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Where(), err))
			continue
		}
		for _, file := range files {
			owned[file] = true
		}
		if !slices.Contains(in.suites, o.File) {
			in.suites = append(in.suites, o.File)
		}
	}
	return owned, errors.Join(errs...)
}

// addShipped adds the template of this version where it is wanted.
func (in *input) addShipped() error {
	wanted := slices.ContainsFunc(in.constraints, func(c manifest.Object) bool { return c.GetKind() == policies.Kind })
	given := slices.ContainsFunc(in.templates, func(t manifest.Object) bool {
		kind, _, _ := unstructured.NestedString(t.Object, "spec", "crd", "spec", "names", "kind")
		return kind == policies.Kind
	})
	if !wanted || given {
		return nil
	}
	templates, err := manifest.Decode(bytes.NewReader(policies.Template), "the template of this version")
	in.templates = append(in.templates, templates...)
	in.shipped = true
	return err
}

// check says what is missing for there to be anything to find out.
func (in *input) check() error {
	switch {
	case len(in.suites) > 0 && len(in.objects) == 0:
		return nil
	case len(in.constraints) == 0:
		return errors.New("no constraint in what -f names")
	case len(in.templates) == 0:
		return errors.New("no ConstraintTemplate in what -f names")
	case len(in.objects) == 0:
		return errors.New("no object to judge in what -f names")
	}
	return nil
}

// notices are what there is to know of the input.
func (in *input) notices() []string {
	var list []string
	if in.shipped {
		list = append(list, "-f names no ConstraintTemplate of "+policies.Kind+": that of this version is used.")
	}
	if len(in.ofTools) > 0 {
		list = append(list, "Not judged, as no API server or webhook sees them: "+kinds(in.ofTools)+".")
	}
	return list
}
