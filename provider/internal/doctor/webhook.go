// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
)

func webhookInstalled(_ context.Context, s *scene) ([]result, error) {
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	object := named("ValidatingWebhookConfiguration", "", s.webhookName())
	if hooks == nil {
		return []result{bad(object, "Install Gatekeeper with its validating webhook (value disableValidatingWebhook: false).",
			"there is none, so nothing is judged when it is created")}, nil
	}
	_, err = s.webhook()
	if _, none := errors.AsType[needs](err); none {
		return []result{bad(object, "Install Gatekeeper's chart again.", "it holds no webhook %s, so nothing is judged when it is created", webhookID)}, nil
	}
	return nil, err
}

func webhookFailurePolicy(_ context.Context, s *scene) ([]result, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, err
	}
	// The API server's own default is Fail.
	if hook.FailurePolicy == nil || *hook.FailurePolicy == admissionregistrationv1.Fail {
		return nil, nil
	}
	return []result{bad(webhookID, "Set the value validatingWebhookFailurePolicy: Fail of Gatekeeper's chart; see "+values+".",
		"failurePolicy is %s: whatever the webhook does not answer in time is admitted, so the policy is only advice", visible(string(*hook.FailurePolicy)))}, nil
}

func webhookObjectSelector(_ context.Context, s *scene) ([]result, error) {
	hook, err := s.webhook()
	if err != nil || selectsAll(hook.ObjectSelector) {
		return nil, err
	}
	return []result{bad(webhookID, "Empty the value validatingWebhookObjectSelector of Gatekeeper's chart.",
		"its objectSelector is %s: whoever writes a Pod writes its labels, and so decides whether it is judged", selector(hook.ObjectSelector))}, nil
}

func webhookMatchConditions(_ context.Context, s *scene) ([]result, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, c := range hook.MatchConditions {
		results = append(results, warn(webhookID, "Make sure that nobody can write a Pod for which it is false, or empty the value validatingWebhookMatchConditions of Gatekeeper's chart.",
			"requests are judged only if %s holds: %s", visible(c.Name), visible(c.Expression)))
	}
	return results, nil
}

func selectsAll(selector *metav1.LabelSelector) bool {
	return selector == nil || len(selector.MatchLabels) == 0 && len(selector.MatchExpressions) == 0
}

func selector(s *metav1.LabelSelector) string { return visible(metav1.FormatLabelSelector(s)) }

func webhookCA(_ context.Context, s *scene) ([]result, error) {
	if _, err := s.webhook(); err != nil {
		return nil, err
	}
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	object := named("ValidatingWebhookConfiguration", "", hooks.GetName())
	cas, err := cluster.CABundles(hooks)
	if err != nil {
		return []result{bad(object, "Look at the log of Gatekeeper's Pods, which write it.",
			"the API server cannot trust Gatekeeper, nor the provider its client certificate: %s", visible(err.Error()))}, nil
	}
	return expiring(object, "the CA of Gatekeeper", "Look at the log of Gatekeeper's Pods, which renew it, or renew it where you keep it.", cas, s.cfg.Now()), nil
}

// Times before an expiry.
const (
	soon   = 30 * 24 * time.Hour
	nearly = 7 * 24 * time.Hour
	day    = 24 * time.Hour
)

// expiring says which certificate ends first, if it ends soon. Of several CAs
// one that ends is no harm as long as another does not.
func expiring(object, what, fix string, list []*x509.Certificate, now time.Time) []result {
	last := slices.MaxFunc(list, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	left := last.NotAfter.Sub(now)
	end := last.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case left <= 0:
		return []result{bad(object, fix, "%s has expired on %s", what, end)}
	case left < nearly:
		return []result{bad(object, fix, "%s expires on %s, in %d days", what, end, left/day)}
	case left < soon:
		return []result{warn(object, fix, "%s expires on %s, in %d days", what, end, left/day)}
	}
	return []result{fine(object, "%s is good until %s", what, end)}
}
