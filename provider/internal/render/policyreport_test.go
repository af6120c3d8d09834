// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// results of an object by what they say.
func resultsOf(object *unstructured.Unstructured) map[string]int {
	list, _, _ := unstructured.NestedSlice(object.Object, "results")
	counts := map[string]int{}
	for _, one := range list {
		counts[one.(map[string]any)["result"].(string)]++
	}
	return counts
}

func TestAPolicyReportForEachNamespaceAndOneForTheRest(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Images = append(r.Images, report.Image{Image: "from/status", Code: "NOT_SIGNED", Class: verify.ClassRejected, NextRollout: report.Denied})
	objects := PolicyReports(r)
	var got []string
	for _, o := range objects {
		got = append(got, o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName())
		if o.GetAPIVersion() != "wgpolicyk8s.io/v1alpha2" || o.GetLabels()["app.kubernetes.io/managed-by"] != ManagedBy {
			t.Errorf("%s %s", o.GetAPIVersion(), o.GetLabels())
		}
		_ = o.DeepCopy() // panics on what JSON does not have
	}
	want := []string{"ClusterPolicyReport /endor-gatekeeper-provider"}
	for _, name := range []string{"data", "kube-system", "monitoring", "payments", "platform", "sandbox", "search", "web"} {
		want = append(want, "PolicyReport "+name+"/endor-gatekeeper-provider")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnOutageIsNeitherFailNorPass(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		class verify.Class
		next  report.Decision
		want  string
	}{
		{verify.ClassVerified, report.Admitted, "pass"},
		{verify.ClassRejected, report.Denied, "fail"},
		{verify.ClassRejected, report.Admitted, "fail"},
		{verify.ClassRejected, report.Warned, "warn"},
		{verify.ClassRejected, report.DryRun, "warn"},
		{verify.ClassUnavailable, report.Denied, "error"},
		{verify.ClassUnavailable, report.Admitted, "error"},
		{verify.ClassMisconfigured, report.Warned, "error"},
		{report.Unchecked, report.Admitted, "skip"},
		{"", report.Admitted, "fail"},
	} {
		r := &report.Report{Images: []report.Image{{Class: tc.class, Places: []report.Place{{Namespace: "a", Kind: "Pod", Name: "p", Next: tc.next}}}}}
		if got := resultsOf(PolicyReports(r)[0]); !maps.Equal(got, map[string]int{tc.want: 1}) {
			t.Errorf("%s and %s: %v, want %s", tc.class, tc.next, got, tc.want)
		}
	}
}

func TestAPolicyReportFitsIntoEtcd(t *testing.T) {
	t.Parallel()
	r := &report.Report{}
	long := strings.Repeat("long", 500)
	for n := range 3000 {
		i := judged(n, fmt.Sprintf("acme/%s%d", long, n), verify.Verified, report.Admitted, place("a", "Deployment", long, 1, ""))
		if n%1000 == 0 {
			i = judged(n, fmt.Sprintf("acme/%s%d", long, n), verify.NotSigned, report.Denied, place("a", "Deployment", long, 1, ""))
		}
		r.Images = append(r.Images, i)
	}
	object := PolicyReports(r)[0]
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 3<<19 {
		t.Errorf("%d bytes are more than etcd takes", len(text))
	}
	got := resultsOf(object)
	if got["fail"] != 3 {
		t.Errorf("kept %v, not the worst", got)
	}
	summary, _, _ := unstructured.NestedMap(object.Object, "summary")
	if summary["fail"] != int64(3) || summary["pass"] != int64(2997) {
		t.Errorf("the summary %v does not count all", summary)
	}
	if left := object.GetAnnotations()["endorlabs.com/results-left-out"]; left != fmt.Sprint(3000-got["fail"]-got["pass"]) {
		t.Errorf("%s left out of 3000, kept %v", left, got)
	}
	r.Images = r.Images[:0]
	for n := range 1200 {
		r.Images = append(r.Images, report.Image{Image: fmt.Sprint(n), Class: report.Unchecked})
	}
	if got := resultsOf(PolicyReports(r)[0]); got["skip"] != maxResults {
		t.Errorf("kept %v, want %d", got, maxResults)
	}
}
