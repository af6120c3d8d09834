// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// judge judges objects and remembers what it said of those that no constraint
// and no policy could tell apart.
type judge struct {
	*survey
	remembered *otter.Cache[likeness, *judgment]

	// labels are those that a labelSelector looks at, and names says that a
	// constraint selects by name.
	labels []string
	names  bool
}

// likeness is a hash of all of an object that constraints and policy look at.
type likeness [sha256.Size]byte

// maxRemembered bounds the judgments that are remembered: some 100 MiB at most.
const maxRemembered = 50_000

// judgment is what became of an object.
type judgment struct {
	uses     []podspec.Image
	matched  []int // constraints that select it, by index
	findings []finding

	// decision is what would become of the object if it were created anew.
	decision report.Decision

	// failure is why it could not be judged; nothing above is known then.
	failure error
}

// finding is one violation.
type finding struct {
	constraint int // index
	action     string
	decision   report.Decision // at admission
	code       string
	class      string
	message    string
	use        int // index of the image, -1 if it is about the whole object
}

func newJudge(s *survey) *judge {
	j := &judge{survey: s, remembered: otter.Must(&otter.Options[likeness, *judgment]{MaximumSize: maxRemembered})}
	labels := map[string]bool{}
	for _, c := range s.constraints {
		j.names = j.names || c.ours && c.match.Name != ""
		if selector := c.match.LabelSelector; c.ours && selector != nil {
			for label := range selector.MatchLabels {
				labels[label] = true
			}
			for _, e := range selector.MatchExpressions {
				labels[e.Key] = true
			}
		}
	}
	j.labels = slices.Sorted(maps.Keys(labels))
	return j
}

// likenessOf hashes what can make a difference: kind and namespace, what a
// constraint's match looks at, and what the policy reads of a Pod spec.
func (j *judge) likenessOf(object *unstructured.Unstructured) likeness {
	looked := map[string]any{"gvk": object.GroupVersionKind().String(), "namespace": object.GetNamespace(), "spec": imageFields(object)}
	if j.names {
		looked["name"], looked["generateName"] = object.GetName(), object.GetGenerateName()
	}
	if len(j.labels) > 0 {
		has := object.GetLabels()
		labels := map[string]string{}
		for _, name := range j.labels {
			if value, ok := has[name]; ok {
				labels[name] = value
			}
		}
		looked["labels"] = labels
	}
	text, err := json.Marshal(looked)
	if err != nil {
		panic(err) // it was JSON before
	}
	return sha256.Sum256(text)
}

// imageFields is the part of a Pod spec that names images, with whatever stands
// there in place of a list or an entry.
func imageFields(object *unstructured.Unstructured) any {
	spec, ok := podspec.Of(object)
	if !ok {
		return nil
	}
	fields := map[string]any{}
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers", "volumes"} {
		entries, ok := spec[list].([]any)
		if !ok {
			if spec[list] != nil {
				fields[list] = spec[list]
			}
			continue
		}
		kept := make([]any, 0, len(entries))
		for _, entry := range entries {
			m, ok := entry.(map[string]any)
			switch {
			case !ok:
				kept = append(kept, entry)
			case list != "volumes" || m["image"] != nil:
				kept = append(kept, []any{m["name"], m["image"]})
			}
		}
		fields[list] = kept
	}
	return fields
}

// judgeAll judges objects, many at a time, and gives the judgments in their
// order. Those that are alike are judged once.
func (j *judge) judgeAll(ctx context.Context, objects []*unstructured.Unstructured) ([]*judgment, error) {
	keys := make([]likeness, len(objects))
	judgments := make([]*judgment, len(objects))
	first := map[likeness]int{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(judges)
	for i, object := range objects {
		keys[i] = j.likenessOf(object)
		if known, ok := j.remembered.GetIfPresent(keys[i]); ok {
			judgments[i] = known
			continue
		}
		if _, asked := first[keys[i]]; asked {
			continue
		}
		first[keys[i]] = i
		g.Go(func() error {
			judgments[i] = j.judge(gctx, object)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	// What was judged while ctx ended says only that nobody waited for answers.
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i := range objects {
		if judgments[i] == nil {
			judgments[i] = judgments[first[keys[i]]]
		}
		j.remembered.Set(keys[i], judgments[i])
	}
	return judgments, nil
}

// judge judges one object as Gatekeeper's webhook would its creation, and as
// its audit does where that sees more.
func (j *judge) judge(ctx context.Context, object *unstructured.Unstructured) *judgment {
	result := &judgment{uses: podspec.Images(object), decision: report.Admitted}
	namespace := j.namespaces[object.GetNamespace()]
	webhook, audit := j.reach(object.GetNamespace())
	scoped := false
	for i, c := range j.constraints {
		if !c.evaluated || !webhook && !audit {
			continue
		}
		// A match that cannot be decided is one: Gatekeeper refuses then.
		if matched, err := engine.Matches(c.object, object, namespace); matched || err != nil {
			result.matched = append(result.matched, i)
			scoped = scoped || c.scoped
		}
	}
	if len(result.matched) == 0 {
		return result
	}
	if webhook {
		violations, err := j.Evaluation.Engine.Review(ctx, engine.Request{Object: object, Namespace: namespace})
		if err != nil {
			result.failure = err
			return result
		}
		for _, v := range violations {
			f := j.finding(v, result.uses)
			f.decision = report.DecisionOf(v.EnforcementAction)
			result.decision = report.Worst(result.decision, f.decision)
			result.findings = append(result.findings, f)
		}
	}
	if audit && (scoped || !webhook) {
		violations, err := j.Evaluation.Engine.Audit(ctx, object, namespace)
		if err != nil {
			result.failure = err
			return result
		}
		for _, f := range j.onlyAudited(violations, result) {
			result.decision = report.Worst(result.decision, f.decision)
			result.findings = append(result.findings, f)
		}
	}
	return result
}

// onlyAudited are the findings that the webhook has not made: those count and
// keep nothing out.
func (j *judge) onlyAudited(violations []engine.Violation, result *judgment) []finding {
	var list []finding
	for _, v := range violations {
		f := j.finding(v, result.uses)
		f.decision = report.DryRun
		if slices.ContainsFunc(result.findings, func(known finding) bool { return known.constraint == f.constraint && known.message == f.message }) {
			continue
		}
		list = append(list, f)
	}
	return list
}

func (j *judge) finding(v engine.Violation, uses []podspec.Image) finding {
	f := finding{action: v.EnforcementAction, message: v.Message, use: -1}
	f.constraint = slices.IndexFunc(j.constraints, func(c *constraint) bool {
		return c.Kind == v.Constraint.GetKind() && c.Name == v.Constraint.GetName()
	})
	f.code, _ = v.Details["code"].(string)
	f.class, _ = v.Details["class"].(string)
	if f.code == "" {
		// Gatekeeper itself refuses: a match or an evaluation that failed.
		f.code, f.class = "MISCONFIGURED", "misconfigured"
	}
	f.use = slices.IndexFunc(uses, func(use podspec.Image) bool { return report.IsAbout(v, use) })
	return f
}

// reach says whether Gatekeeper's webhook is called for what is in a namespace,
// and whether its audit looks at it.
func (j *judge) reach(namespace string) (webhook, audit bool) {
	ignored := false
	if ns := j.namespaces[namespace]; ns != nil {
		_, ignored = ns.Labels[inventory.IgnoreLabel]
	}
	return !ignored && !j.exclusions.Excluded(inventory.Webhook, namespace), !j.exclusions.Excluded(inventory.Audit, namespace)
}

// futurePod is the Pod that a workload would make, as its controller names and
// labels it; nil if there is no template that can be read.
func futurePod(object *unstructured.Unstructured) *unstructured.Unstructured {
	template, ok := podspec.Template(object)
	if !ok {
		return nil
	}
	meta, _ := template["metadata"].(map[string]any)
	pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{}, "spec": template["spec"]}}
	for _, field := range []string{"labels", "annotations"} {
		if value, ok := meta[field].(map[string]any); ok {
			pod.Object["metadata"].(map[string]any)[field] = value
		}
	}
	pod.SetNamespace(object.GetNamespace())
	pod.SetGenerateName(object.GetName() + "-")
	pod.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Name: object.GetName(), UID: object.GetUID(), Controller: new(true),
	}})
	return pod
}

func describe(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return fmt.Sprintf("%s %s", object.GetKind(), object.GetName())
	}
	return fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
}
