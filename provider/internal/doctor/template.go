// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	templatesv1 "github.com/open-policy-agent/frameworks/constraint/pkg/apis/templates/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
)

const templateFix = "Apply the template of this release: the chart's value policies.enabled: true, or policies/library/k8sendorsignedimages/template.yaml."

// template is the installed one.
func (s *scene) template() (*unstructured.Unstructured, error) {
	list, err := s.templates()
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].GetName() == strings.ToLower(policies.Kind) {
			return &list[i], nil
		}
	}
	return nil, needs("template-installed")
}

func templateInstalled(_ context.Context, s *scene) ([]result, error) {
	_, err := s.template()
	if _, none := errors.AsType[needs](err); none {
		return []result{bad(named("ConstraintTemplate", "", strings.ToLower(policies.Kind)), templateFix, "there is none, so there is no policy")}, nil
	}
	return nil, err
}

func templateIngested(_ context.Context, s *scene) ([]result, error) {
	template, err := as[templatesv1.ConstraintTemplate](s.template())
	if err != nil {
		return nil, err
	}
	object := named("ConstraintTemplate", "", template.Name)
	var results []result
	for _, status := range template.Status.ByPod {
		switch {
		case len(status.Errors) > 0:
			results = append(results, bad(object, templateFix, "the Pod %s of Gatekeeper cannot use it: %s", visible(status.ID), visible(status.Errors[0].Message)))
		case status.ObservedGeneration < template.Generation:
			results = append(results, warn(object, "Look at the log of that Pod if it stays so.", "the Pod %s of Gatekeeper uses an older state of it", visible(status.ID)))
		}
	}
	if len(results) == 0 && (!template.Status.Created || len(template.Status.ByPod) == 0) {
		results = append(results, bad(object, "Look at the log of Gatekeeper's Pods.", "no Pod of Gatekeeper has taken it in, so that nothing is judged by it"))
	}
	return results, nil
}

// versionAnnotation is where a template says its version.
const versionAnnotation = "metadata.gatekeeper.sh/version"

func templateCurrent(_ context.Context, s *scene) ([]result, error) {
	installed, err := s.template()
	if err != nil {
		return nil, err
	}
	shipped := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(policies.Template, &shipped.Object); err != nil {
		return nil, err
	}
	object := named("ConstraintTemplate", "", installed.GetName())
	theirs, ours := installed.GetAnnotations()[versionAnnotation], shipped.GetAnnotations()[versionAnnotation]
	same := sameField(installed, shipped, "spec", "targets")
	switch {
	case theirs != ours:
		return []result{warn(object, templateFix, "it is version %q, and this program's is %s", visible(theirs), ours)}, nil
	case !same:
		return []result{bad(object, templateFix, "its Rego is not that of version %s: somebody changed the policy", ours)}, nil
	}
	return []result{fine(object, "version %s, as it was released", ours)}, nil
}

func sameField(a, b *unstructured.Unstructured, fields ...string) bool {
	x, _, _ := unstructured.NestedFieldNoCopy(a.Object, fields...)
	y, _, _ := unstructured.NestedFieldNoCopy(b.Object, fields...)
	left, err := json.Marshal(x)
	right, err2 := json.Marshal(y)
	return err == nil && err2 == nil && string(left) == string(right)
}
