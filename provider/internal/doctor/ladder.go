// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	expansionv1beta1 "github.com/open-policy-agent/gatekeeper/v3/apis/expansion/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// The ladder: each step must be over before the one above it.
const (
	network  = 200 * time.Millisecond // between Gatekeeper and the provider
	overhead = 500 * time.Millisecond // between the API server and Gatekeeper
	rego     = 10 * time.Millisecond  // one evaluation of the policy, with room
)

func timeouts(ctx context.Context, s *scene) ([]result, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, err
	}
	running, err := s.running()
	if err != nil {
		return nil, err
	}
	webhook := 10 * time.Second // the API server's default
	if hook.TimeoutSeconds != nil {
		webhook = time.Duration(*hook.TimeoutSeconds) * time.Second
	}
	budget := running.ResponseBudget
	var results []result
	if timeout, ok, err := s.providerTimeout(); err != nil {
		return nil, err
	} else if ok {
		object := named("Provider", "", s.cfg.ProviderName)
		switch {
		case timeout <= 0:
			results = append(results, bad(object, "Set the value timeouts.provider: 2 of this chart.",
				"its timeout is 0, so that Gatekeeper gives each question up before it is asked"))
		case budget+network > timeout:
			results = append(results, bad(object, "Set the values timeouts.provider and timeouts.responseBudget of this chart so that the budget and 0.2s fit.",
				"its timeout of %s is less than the response budget of %s and 0.2s: Gatekeeper leaves before the answer comes", timeout, budget))
		}
		if timeout >= webhook {
			results = append(results, bad(object, "Set the value timeouts.provider of this chart below the webhook's timeout.",
				"its timeout of %s is not less than the webhook's %s: one provider that does not answer outlasts the webhook", timeout, webhook))
		}
	}
	if len(results) > 0 {
		return results, nil
	}
	calls, err := s.worstAdmission(ctx)
	if err != nil {
		return nil, err
	}
	needed := budget + time.Duration(max(calls.own-1, 0))*running.DegradedWait + time.Duration(calls.own)*rego + calls.foreignTime
	const fix = "Use fewer distinct signer lists in the constraints of one namespace, or raise the value validatingWebhookTimeoutSeconds of Gatekeeper's chart (and timeouts.webhook of this one)."
	if needed+overhead > webhook {
		return []result{bad(webhookID, fix, "while Endor Labs does not answer, admission takes up to %s and 0.5s, longer than the webhook's %s (%s): what outlasts it is refused or, with failurePolicy Ignore, admitted",
			needed, webhook, calls)}, nil
	}
	return []result{fine(webhookID, "at worst %s of %s (%s)", needed+overhead, webhook, calls)}, nil
}

func (s *scene) providerTimeout() (time.Duration, bool, error) {
	provider, err := s.provider()
	if err != nil || provider == nil {
		return 0, false, err
	}
	return timeoutOf(provider), true, nil
}

func timeoutOf(provider *unstructured.Unstructured) time.Duration {
	seconds, _, err := unstructured.NestedInt64(provider.Object, "spec", "timeout")
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// admission is what one request costs at worst.
type admission struct {
	kind, namespace string
	own, foreign    int // calls of our provider and of others
	foreignTime     time.Duration
}

func (a admission) String() string {
	if a.own+a.foreign == 0 {
		return "no constraint asks a provider"
	}
	text := fmt.Sprintf("%d calls in a row for a %s in namespace %s", a.own, a.kind, visible(a.namespace))
	if a.own == 1 {
		text = fmt.Sprintf("one call for a %s in namespace %s", a.kind, visible(a.namespace))
	}
	if a.foreign > 0 {
		text += fmt.Sprintf(", and %d of other providers", a.foreign)
	}
	return text
}

// asking is a constraint that asks a provider when something is admitted.
type asking struct {
	constraint *unstructured.Unstructured
	group      string // constraints of one group share a call
	own        bool
}

// worstAdmission counts the calls of each workload kind in each namespace, its
// expansions included, and gives the dearest. Every call is counted as one that
// no cache answers, which is what an outage looks like.
func (s *scene) worstAdmission(ctx context.Context) (admission, error) {
	list, err := s.asking(ctx)
	if err != nil {
		return admission{}, err
	}
	expansions, err := each[expansionv1beta1.ExpansionTemplate](s.expansions())
	if err != nil {
		return admission{}, err
	}
	slowest, err := s.slowestForeign()
	if err != nil {
		return admission{}, err
	}
	spaces, err := s.namespaces()
	if err != nil {
		return admission{}, err
	}
	var worst admission
	for _, ns := range spaces {
		// A Pod first: of kinds that cost the same it says the most.
		for _, kind := range slices.Backward(podspec.Kinds()) {
			own, foreign := calls(list, expansions, kind.GVK(), ns, nil)
			one := admission{kind: kind.Kind, namespace: ns.Name, own: own, foreign: foreign, foreignTime: time.Duration(foreign) * slowest}
			if one.own+one.foreign > worst.own+worst.foreign {
				worst = one
			}
		}
	}
	return worst, nil
}

// calls counts those for an object of a kind, and for what it expands to.
func calls(list []asking, expansions []*expansionv1beta1.ExpansionTemplate, kind schema.GroupVersionKind, ns *corev1.Namespace, above []string) (own, foreign int) {
	groups := map[string]bool{}
	for _, a := range list {
		if ok, err := engine.Matches(constraint{Unstructured: a.constraint}.anyAuthor(), sample(kind, ns.Name), ns); err != nil || !ok {
			continue
		}
		if !groups[a.group] && a.own {
			own++
		} else if !groups[a.group] {
			foreign++
		}
		groups[a.group] = true
	}
	for _, e := range expansions {
		if !applies(e, kind) || slices.Contains(above, e.Name) {
			continue
		}
		to := schema.GroupVersionKind{Group: e.Spec.GeneratedGVK.Group, Version: e.Spec.GeneratedGVK.Version, Kind: e.Spec.GeneratedGVK.Kind}
		o, f := calls(list, expansions, to, ns, append(slices.Clone(above), e.Name))
		own, foreign = own+o, foreign+f
	}
	return own, foreign
}

func applies(e *expansionv1beta1.ExpansionTemplate, kind schema.GroupVersionKind) bool {
	for _, to := range e.Spec.ApplyTo {
		if slices.Contains(to.Kinds, kind.Kind) && slices.Contains(to.Groups, kind.Group) && slices.Contains(to.Versions, kind.Version) {
			return true
		}
	}
	return false
}

// asking are the constraints of every kind whose template asks a provider.
func (s *scene) asking(ctx context.Context) ([]asking, error) {
	list, err := s.templates()
	if err != nil {
		return nil, err
	}
	var out []asking
	for i := range list {
		kind, _, _ := unstructured.NestedString(list[i].Object, "spec", "crd", "spec", "names", "kind")
		if !asksProviders(&list[i]) {
			continue
		}
		// The plural of a constraint's kind is its name in lower case.
		gvr := cluster.Constraints
		gvr.Resource = strings.ToLower(kind)
		constraints, err := s.constraints()
		if kind != policies.Kind {
			constraints, err = s.reader.list(ctx, gvr, "", "")
		}
		if err != nil {
			return nil, err
		}
		for j := range constraints {
			c := &constraints[j]
			if actions, err := cluster.AdmissionActions(c); err == nil && len(actions) == 0 {
				continue
			}
			out = append(out, asking{constraint: c, group: kind + s.keysOf(c), own: s.asksUs(c)})
		}
	}
	return out, nil
}

// asksProviders says whether a template's Rego may call external_data.
func asksProviders(template *unstructured.Unstructured) bool {
	targets, _, _ := unstructured.NestedFieldNoCopy(template.Object, "spec", "targets")
	text, err := json.Marshal(targets)
	return err != nil || strings.Contains(string(text), "external_data")
}

// keysOf is what decides the keys that a constraint asks for: constraints of one
// kind that agree in it make one call. What only decides what becomes of the
// answers is left out, for the kind that is known.
func (s *scene) keysOf(c *unstructured.Unstructured) string {
	parameters, _, _ := unstructured.NestedMap(c.Object, "spec", "parameters")
	if c.GetKind() == policies.Kind {
		for _, name := range []string{"failOn", "maxAge", "acceptStale"} {
			delete(parameters, name)
		}
		if _, ok := parameters["provider"]; !ok && parameters != nil {
			parameters["provider"] = cluster.DefaultProvider
		}
	}
	text, err := json.Marshal(parameters)
	if err != nil {
		return c.GetName()
	}
	return string(text)
}

// asksUs says whether a constraint asks the provider that is looked at.
func (s *scene) asksUs(c *unstructured.Unstructured) bool {
	name, found, _ := unstructured.NestedString(c.Object, "spec", "parameters", "provider")
	if !found && c.GetKind() == policies.Kind {
		name = cluster.DefaultProvider
	}
	return name == s.cfg.ProviderName
}

// slowestForeign is the longest timeout of another Provider: nobody promises
// that it is faster.
func (s *scene) slowestForeign() (time.Duration, error) {
	list, err := s.providers()
	if err != nil {
		return 0, err
	}
	var slowest time.Duration
	for i := range list {
		if list[i].GetName() != s.cfg.ProviderName {
			slowest = max(slowest, timeoutOf(&list[i]))
		}
	}
	return slowest, nil
}
