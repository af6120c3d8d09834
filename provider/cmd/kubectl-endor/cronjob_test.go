// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// example has the objects of examples/report-cronjob.yaml by kind, decoded as
// strictly as a careful client would.
func example(t *testing.T) map[string]runtime.Object {
	t.Helper()
	objects, err := manifest.Read([]string{"../../../examples/report-cronjob.yaml"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), batchv1.AddToScheme(scheme), rbacv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	found := map[string]runtime.Object{}
	for _, o := range objects {
		typed, err := scheme.New(o.GroupVersionKind())
		if err == nil {
			err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, typed, true)
		}
		if err != nil {
			t.Fatalf("%s: document %d: %v", o.File, o.Document, err)
		}
		found[o.GetKind()] = typed
	}
	return found
}

// allowed lists what rules allow, as the fake server says what it was asked for.
func allowed(rules []rbacv1.PolicyRule) []string {
	var list []string
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					list = append(list, verb+" "+schema.GroupResource{Group: group, Resource: resource}.String())
				}
			}
		}
	}
	return list
}

// The permissions are those that the command needs, all of them and no more, and
// its flags are flags.
func TestTheCronJobExampleMayReadWhatItsCommandReads(t *testing.T) {
	objects := example(t)
	cluster, emulator, reportOn := inProcess(t)
	cluster.Put(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "config.gatekeeper.sh/v1alpha1", "kind": "Config", "metadata": map[string]any{"name": "config", "namespace": "gatekeeper-system"},
	}})
	// A constraint that selects whatever there is needs all kinds to be read.
	everything := cluster.Get(schema.GroupVersionKind{Group: "constraints.gatekeeper.sh", Version: "v1beta1", Kind: "K8sEndorSignedImages"}, "", "signed-images")
	unstructured.RemoveNestedField(everything.Object, "spec", "match")
	unstructured.RemoveNestedField(everything.Object, "status")
	cluster.Put(everything)

	dir := t.TempDir()
	for name, content := range map[string]string{"key": emulator.APIKey, "secret": emulator.APISecret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ENDOR_NAMESPACE", "ENDOR_API_CREDENTIALS_KEY", "ENDOR_API_CREDENTIALS_SECRET"} {
		t.Setenv(name, "")
	}
	container := objects["CronJob"].(*batchv1.CronJob).Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	args := strings.NewReplacer("/reports/", dir+"/", "/var/run/secrets/endor/", dir+"/")
	for range 2 {
		var stdout, stderr bytes.Buffer
		var here []string
		for _, arg := range container.Args[1:] {
			here = append(here, args.Replace(arg))
		}
		if code := reportOn(t.Context(), &stdout, &stderr, here...); code != 0 || container.Args[0] != "report" {
			t.Fatalf("%q ended with %d: %s", here, code, stderr.String())
		}
	}
	r, err := report.Load(filepath.Join(dir, "report.json"))
	if err != nil || len(r.Images) != 3 || r.Changes == nil {
		t.Fatalf("the second report: %+v, %v", r, err)
	}

	var asked []string
	for what := range cluster.Asked() {
		asked = append(asked, what)
	}
	may := slices.Concat(allowed(objects["ClusterRole"].(*rbacv1.ClusterRole).Rules), allowed(objects["Role"].(*rbacv1.Role).Rules))
	slices.Sort(asked)
	slices.Sort(may)
	if diff := cmp.Diff(asked, may); diff != "" {
		t.Errorf("(-asked +allowed):\n%s", diff)
	}
}
