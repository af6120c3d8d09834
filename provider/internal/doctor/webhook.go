// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
)

func webhookInstalled(_ context.Context, s *scene) ([]Result, error) {
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	object := named("ValidatingWebhookConfiguration", "", s.webhookName())
	if hooks == nil {
		return []Result{bad(object, "Install Gatekeeper with its validating webhook (value disableValidatingWebhook: false).",
			"there is none, so nothing is judged when it is created")}, nil
	}
	_, err = s.webhook()
	if _, none := errors.AsType[needs](err); none {
		return []Result{bad(object, "Install Gatekeeper's chart again.", "it holds no webhook %s, so nothing is judged when it is created", webhookID)}, nil
	}
	return nil, err
}

func webhookFailurePolicy(_ context.Context, s *scene) ([]Result, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, err
	}
	// The API server's own default is Fail.
	if hook.FailurePolicy == nil || *hook.FailurePolicy == admissionregistrationv1.Fail {
		return nil, nil
	}
	return []Result{bad(webhookID, "Set the value validatingWebhookFailurePolicy: Fail of Gatekeeper's chart; see "+values+".",
		"failurePolicy is %s: whatever the webhook does not answer in time is admitted, so the policy is only advice", visible(string(*hook.FailurePolicy)))}, nil
}

func webhookObjectSelector(_ context.Context, s *scene) ([]Result, error) {
	hook, err := s.webhook()
	if err != nil || selectsAll(hook.ObjectSelector) {
		return nil, err
	}
	return []Result{bad(webhookID, "Empty the value validatingWebhookObjectSelector of Gatekeeper's chart.",
		"its objectSelector is %s: whoever writes a Pod writes its labels, and so decides whether it is judged", selector(hook.ObjectSelector))}, nil
}

func webhookMatchConditions(_ context.Context, s *scene) ([]Result, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, err
	}
	var results []Result
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

// seen says whether some rule of the webhook covers an operation on a resource.
func seen(hook *admissionregistrationv1.ValidatingWebhook, w workload, subresource string, op admissionregistrationv1.OperationType) bool {
	has := func(list []string, wanted ...string) bool {
		return slices.ContainsFunc(wanted, func(one string) bool { return slices.Contains(list, one) })
	}
	resource := []string{w.resource, "*", "*/*"}
	if subresource != "" {
		resource = []string{w.resource + "/" + subresource, w.resource + "/*", "*/" + subresource, "*/*"}
	}
	return slices.ContainsFunc(hook.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		scope := admissionregistrationv1.AllScopes
		if r.Scope != nil {
			scope = *r.Scope
		}
		return has(r.APIGroups, w.group, "*") && has(r.APIVersions, w.version, "*") && has(r.Resources, resource...) &&
			scope != admissionregistrationv1.ClusterScope &&
			(slices.Contains(r.Operations, op) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll))
	})
}

// askedAbout are the webhook and the kinds that it should be asked about.
func (s *scene) askedAbout() (*admissionregistrationv1.ValidatingWebhook, []workload, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, nil, err
	}
	matched, err := s.deniedKinds()
	return hook, matched, err
}

func webhookRules(_ context.Context, s *scene) ([]Result, error) {
	hook, matched, err := s.askedAbout()
	if err != nil {
		return nil, err
	}
	var missing, late []string
	for _, w := range matched {
		for _, op := range []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update} {
			if seen(hook, w, "", op) {
				continue
			}
			what := string(op) + " of " + w.resource
			if w.kind == "Pod" {
				missing = append(missing, what)
			} else {
				late = append(late, what)
			}
		}
	}
	const fix = "Add it to the value validatingWebhookCustomRules of Gatekeeper's chart, or use the rules of " + values + "."
	var results []Result
	if len(missing) > 0 {
		results = append(results, bad(webhookID, fix, "its rules leave out %s, which constraints deny: any image can run", strings.Join(missing, ", ")))
	}
	if len(late) > 0 {
		results = append(results, warn(webhookID, fix, "its rules leave out %s, which constraints match: who applies one learns nothing, and its Pods never appear", strings.Join(late, ", ")))
	}
	return results, nil
}

func webhookEphemeral(_ context.Context, s *scene) ([]Result, error) {
	hook, matched, err := s.askedAbout()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(matched, workload.isPod) || seen(hook, podWorkload, "ephemeralcontainers", admissionregistrationv1.Update) {
		return nil, nil
	}
	return []Result{bad(webhookID, "Add pods/ephemeralcontainers to the value validatingWebhookCustomRules (or validatingWebhookSubResources) of Gatekeeper's chart.",
		"its rules leave out UPDATE of pods/ephemeralcontainers: kubectl debug runs any image in a Pod that was admitted")}, nil
}

// exempt are the namespaces that the webhook may well leave out.
func (s *scene) exempt() []string {
	list := []string{"kube-system", "kube-node-lease", s.cfg.GatekeeperNamespace}
	if d, err := s.deployment(); err == nil {
		list = append(list, d.Namespace)
	}
	return list
}

func webhookNamespaces(_ context.Context, s *scene) ([]Result, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, err
	}
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, ns := range sc.namespaces {
		if !sc.selected(ns) && ns.Labels[ignoreLabel] == "" && !slices.Contains(s.exempt(), ns.Name) && len(sc.denying(ns, podWorkload.sample(ns.Name))) > 0 {
			left = append(left, ns.Name)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	return []Result{warn(webhookID, "Take them out of the value validatingWebhookExemptNamespacesLabels of Gatekeeper's chart, or let the constraints exclude them, so that both say the same.",
		"its namespaceSelector (%s) leaves out %s, whose Pods constraints deny: any image runs there", selector(hook.NamespaceSelector), some(left))}, nil
}

// ignoreLabel exempts a namespace from Gatekeeper.
const ignoreLabel = "admission.gatekeeper.sh/ignore"

// some lists names, but not all of very many.
func some(names []string) string {
	const most = 10
	names = slices.Clone(names)
	slices.Sort(names)
	shown := make([]string, 0, most+1)
	for _, name := range names[:min(len(names), most)] {
		shown = append(shown, visible(name))
	}
	if len(names) > most {
		shown = append(shown, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(shown, ", ")
}

func webhookCA(_ context.Context, s *scene) ([]Result, error) {
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
		return []Result{bad(object, "Look at the log of Gatekeeper's Pods, which write it.",
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
func expiring(object, what, fix string, list []*x509.Certificate, now time.Time) []Result {
	last := slices.MaxFunc(list, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	left := last.NotAfter.Sub(now)
	end := last.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case left <= 0:
		return []Result{bad(object, fix, "%s has expired on %s", what, end)}
	case left < nearly:
		return []Result{bad(object, fix, "%s expires on %s, in %d days", what, end, left/day)}
	case left < soon:
		return []Result{warn(object, fix, "%s expires on %s, in %d days", what, end, left/day)}
	}
	return []Result{fine(object, "%s is good until %s", what, end)}
}

func webhookExclusions(_ context.Context, s *scene) ([]Result, error) {
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	var results []Result
	var ignored, left []string
	for _, ns := range sc.namespaces {
		if _, ok := ns.Labels[ignoreLabel]; ok {
			ignored = append(ignored, ns.Name)
		} else if !sc.selected(ns) {
			left = append(left, ns.Name)
		}
	}
	if len(ignored) > 0 {
		results = append(results, note("", "labeled %s, so that nothing is judged there: %s", ignoreLabel, some(ignored)))
	}
	if len(left) > 0 {
		results = append(results, note("", "left out by the webhook's namespaceSelector, so that whoever creates Pods there runs any image: %s", some(left)))
	}
	for _, entry := range sc.config.Spec.Match {
		if slices.ContainsFunc(entry.Processes, func(p string) bool { return p == "*" || p == "webhook" }) && len(entry.ExcludedNamespaces) > 0 {
			var names []string
			for _, w := range entry.ExcludedNamespaces {
				names = append(names, string(w))
			}
			results = append(results, note(named("Config", sc.config.Namespace, cmp.Or(sc.config.Name, "config")), "excludes from admission: %s", some(names)))
		}
	}
	return results, nil
}
