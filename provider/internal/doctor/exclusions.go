// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// exempt are the namespaces that the webhook may well leave out.
func (s *scene) exempt() []string {
	list := []string{"kube-system", "kube-node-lease", s.cfg.GatekeeperNamespace}
	if d, err := s.deployment(); err == nil {
		list = append(list, d.Namespace)
	}
	return list
}

func webhookNamespaces(_ context.Context, s *scene) ([]result, error) {
	hook, err := s.webhook()
	if err != nil {
		return nil, err
	}
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	var ignored, left []string
	for _, ns := range sc.namespaces {
		if sc.selected(ns) || slices.Contains(s.exempt(), ns.Name) || len(sc.denying(ns, sample(podspec.Pods.GVK(), ns.Name))) == 0 {
			continue
		}
		if _, ok := ns.Labels[ignoreLabel]; ok {
			ignored = append(ignored, ns.Name)
		} else {
			left = append(left, ns.Name)
		}
	}
	var results []result
	if len(ignored) > 0 {
		results = append(results, warn("", "Find out who set it and remove it, or let the constraints exclude them, so that both say the same. "+ignoreLabelPolicy+" keeps it from being set where Gatekeeper does not see it.",
			"labeled %s: %s, whose Pods constraints deny: any image runs there", ignoreLabel, some(ignored)))
	}
	if len(left) > 0 {
		results = append(results, warn(webhookID, "Take them out of the value validatingWebhookExemptNamespacesLabels of Gatekeeper's chart, or let the constraints exclude them, so that both say the same.",
			"its namespaceSelector (%s) leaves out %s, whose Pods constraints deny: any image runs there", selector(hook.NamespaceSelector), some(left)))
	}
	return results, nil
}

const (
	// ignoreLabel exempts a namespace from Gatekeeper.
	ignoreLabel       = "admission.gatekeeper.sh/ignore"
	ignoreLabelPolicy = "deploy/gatekeeper/ignore-label.yaml"
)

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

func webhookExclusions(_ context.Context, s *scene) ([]result, error) {
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	var results []result
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
