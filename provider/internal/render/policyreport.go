// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// PolicyReportVersion is the API version of what [PolicyReports] gives. Policy
// Reporter, Kyverno and others read it.
const PolicyReportVersion = "wgpolicyk8s.io/v1alpha2"

const (
	// policyReportName is the name of each, one in a namespace.
	policyReportName = "endor-gatekeeper-provider"

	// An object has to fit into etcd, which takes 1.5 MiB. Others of this kind
	// keep a thousand results.
	maxResults      = 1000
	maxResultsBytes = 1 << 20
)

// ManagedBy is the value of the label app.kubernetes.io/managed-by on what
// [PolicyReports] gives.
const ManagedBy = policyReportName

// PolicyReports are a PolicyReport for each namespace in which images run and a
// ClusterPolicyReport for those that run in none, with a result for each image
// of each workload. A report that grows too large keeps its worst results; its
// summary counts all, and an annotation says how many are left out.
func PolicyReports(r *report.Report) []*unstructured.Unstructured {
	results := map[string][]result{} // :: namespace → what is reported in it
	for _, i := range ordered(r).Images {
		if len(i.Places) == 0 {
			results[""] = append(results[""], newResult(r, i, report.Place{Next: i.NextRollout}))
		}
		for _, p := range i.Places {
			results[p.Namespace] = append(results[p.Namespace], newResult(r, i, p))
		}
	}
	var names []string
	for namespace := range results {
		names = append(names, namespace)
	}
	slices.Sort(names)
	objects := make([]*unstructured.Unstructured, len(names))
	for k, namespace := range names {
		objects[k] = policyReport(r, namespace, results[namespace])
	}
	return objects
}

// result is one as the API has it.
type result map[string]any

func newResult(r *report.Report, i report.Image, p report.Place) result {
	properties := map[string]any{"image": clip(i.Image), "verdict": verdict(i), "nextRollout": string(cmp.Or(p.Next, i.NextRollout))}
	for name, value := range map[string]string{
		"digest": i.Digest, "container": p.Container, "list": p.List, "signer": signer(i), "signedAt": timestamp(i.SignedAt),
		"firstSeen": timestamp(i.FirstSeen), "enforcementAction": actions(i),
	} {
		if value != "" {
			properties[name] = clip(value)
		}
	}
	one := result{
		"source": policyReportName, "category": "Image signatures", "policy": policyOf(i), "rule": verdict(i), "scored": true,
		"result": outcome(i, p), "message": clip(cmp.Or(i.Reason, messageOf(i))), "properties": properties,
		"timestamp": map[string]any{"seconds": r.GeneratedAt.Unix(), "nanos": int64(0)},
	}
	if p.Name != "" {
		kind, _ := podspec.Named(p.Kind) // an owner of another kind is reported without its group
		resource := map[string]any{"apiVersion": kind.GroupVersion().String(), "kind": p.Kind, "name": clip(p.Name), "namespace": p.Namespace}
		for field, value := range resource {
			if value == "" {
				delete(resource, field)
			}
		}
		one["resources"] = []any{resource}
	}
	if s := severity(i, p); s != "" {
		one["severity"] = s
	}
	return one
}

// outcome keeps what is not known from looking like a verdict: an image that
// could not be judged is an error, and one that nobody asked about is skipped.
func outcome(i report.Image, p report.Place) string {
	switch i.Class {
	case verify.ClassVerified:
		return "pass"
	case verify.ClassUnavailable, verify.ClassMisconfigured:
		return "error"
	case report.Unchecked:
		return "skip"
	case verify.ClassRejected:
		if next := cmp.Or(p.Next, i.NextRollout); next == report.Warned || next == report.DryRun {
			return "warn"
		}
		return "fail"
	default:
		return "fail"
	}
}

// severity has only the values that every release of the API takes.
func severity(i report.Image, p report.Place) string {
	switch outcome(i, p) {
	case "fail":
		return "high"
	case "error", "warn":
		return "medium"
	default:
		return ""
	}
}

func policyOf(i report.Image) string {
	if len(i.Refusals) > 0 {
		return clip(i.Refusals[0].Constraint)
	}
	return "K8sEndorSignedImages"
}

func actions(i report.Image) string {
	var names []string
	for _, r := range i.Refusals {
		names = append(names, r.EnforcementAction)
	}
	return strings.Join(unique(names), ", ")
}

func messageOf(i report.Image) string {
	if i.Class == verify.ClassVerified {
		return "signed by " + cmp.Or(signer(i), "an accepted signer")
	}
	return "no constraint asks about this image"
}

// clip makes text of others safe to look at with kubectl, and short.
func clip(s string) string {
	letters := []rune(printable.Visible(s))
	if len(letters) > 1024 {
		letters = append(letters[:1023], '…')
	}
	return string(letters)
}

func policyReport(r *report.Report, namespace string, all []result) *unstructured.Unstructured {
	slices.SortStableFunc(all, func(a, b result) int {
		return cmp.Compare(slices.Index(outcomes, a["result"].(string)), slices.Index(outcomes, b["result"].(string)))
	})
	summary := map[string]any{}
	for _, name := range outcomes {
		summary[name] = int64(0)
	}
	var kept []any
	size := 0
	for _, one := range all {
		name := one["result"].(string)
		summary[name] = summary[name].(int64) + 1
		text, err := json.Marshal(one)
		size += len(text)
		if err == nil && len(kept) < maxResults && size <= maxResultsBytes {
			kept = append(kept, map[string]any(one))
		}
	}
	annotations := map[string]any{
		"endorlabs.com/generated-at": timestamp(&r.GeneratedAt),
		"endorlabs.com/complete":     strconv.FormatBool(r.Complete),
	}
	if left := len(all) - len(kept); left > 0 {
		annotations["endorlabs.com/results-left-out"] = strconv.Itoa(left)
	}
	kind, metadata := "ClusterPolicyReport", map[string]any{
		"name":        policyReportName,
		"labels":      map[string]any{"app.kubernetes.io/managed-by": ManagedBy},
		"annotations": annotations,
	}
	if namespace != "" {
		kind, metadata["namespace"] = "PolicyReport", namespace
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": PolicyReportVersion, "kind": kind, "metadata": metadata, "summary": summary, "results": kept,
	}}
}

// outcomes are the values of result, the worst first.
var outcomes = []string{"fail", "error", "warn", "skip", "pass"}

// writePolicyReports writes a YAML document for each object.
func writePolicyReports(w io.Writer, r *report.Report, _ Options) error {
	for _, object := range PolicyReports(r) {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}
