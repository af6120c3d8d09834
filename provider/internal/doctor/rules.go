// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// seen says whether some rule of the webhook covers an operation on a resource.
func seen(hook *admissionregistrationv1.ValidatingWebhook, kind podspec.Kind, subresource string, op admissionregistrationv1.OperationType) bool {
	has := func(list []string, wanted ...string) bool {
		return slices.ContainsFunc(wanted, func(one string) bool { return slices.Contains(list, one) })
	}
	resource := []string{kind.Resource, "*", "*/*"}
	if subresource != "" {
		resource = []string{kind.Resource + "/" + subresource, kind.Resource + "/*", "*/" + subresource, "*/*"}
	}
	return slices.ContainsFunc(hook.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		scope := admissionregistrationv1.AllScopes
		if r.Scope != nil {
			scope = *r.Scope
		}
		return has(r.APIGroups, kind.Group, "*") && has(r.APIVersions, kind.Version, "*") && has(r.Resources, resource...) &&
			scope != admissionregistrationv1.ClusterScope &&
			(slices.Contains(r.Operations, op) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll))
	})
}

// askedAbout are the webhook and the kinds that it should be asked about.
func (s *scene) askedAbout() (*admissionregistrationv1.ValidatingWebhook, []podspec.Kind, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, nil, err
	}
	matched, err := s.deniedKinds()
	return hook, matched, err
}

func webhookRules(_ context.Context, s *scene) ([]result, error) {
	hook, matched, err := s.askedAbout()
	if err != nil {
		return nil, err
	}
	var missing, late []string
	for _, kind := range matched {
		for _, op := range []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update} {
			if seen(hook, kind, "", op) {
				continue
			}
			what := string(op) + " of " + kind.Resource
			if kind == podspec.Pods {
				missing = append(missing, what)
			} else {
				late = append(late, what)
			}
		}
	}
	const fix = "Add it to the value validatingWebhookCustomRules of Gatekeeper's chart, or use the rules of " + values + "."
	var results []result
	if len(missing) > 0 {
		results = append(results, bad(webhookID, fix, "its rules leave out %s, which constraints deny: any image can run", strings.Join(missing, ", ")))
	}
	if len(late) > 0 {
		results = append(results, warn(webhookID, fix, "its rules leave out %s, which constraints match: who applies one learns nothing, and its Pods never appear", strings.Join(late, ", ")))
	}
	return results, nil
}

func webhookEphemeral(_ context.Context, s *scene) ([]result, error) {
	hook, matched, err := s.askedAbout()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(matched, podspec.Pods) || seen(hook, podspec.Pods, "ephemeralcontainers", admissionregistrationv1.Update) {
		return nil, nil
	}
	return []result{bad(webhookID, "Add pods/ephemeralcontainers to the value validatingWebhookCustomRules (or validatingWebhookSubResources) of Gatekeeper's chart.",
		"its rules leave out UPDATE of pods/ephemeralcontainers: kubectl debug runs any image in a Pod that was admitted")}, nil
}
