// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package podspec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return u
}

const podSpec = `{
  initContainers: [{name: i, image: init}],
  containers: [{name: c, image: main}, {name: empty}],
  ephemeralContainers: [{name: e, image: debug}],
  volumes: [{name: data, emptyDir: {}}, {name: v, image: {reference: vol}}],
}`

func TestImagesOfEveryKind(t *testing.T) {
	t.Parallel()
	want := []podspec.Image{
		{"initContainers", "i", "init"}, {"containers", "c", "main"}, {"containers", "empty", ""},
		{"ephemeralContainers", "e", "debug"}, {"volumes", "v", "vol"},
	}
	paths := map[string]string{
		"Pod": "spec", "Deployment": "spec.template.spec", "ReplicaSet": "spec.template.spec", "StatefulSet": "spec.template.spec",
		"DaemonSet": "spec.template.spec", "Job": "spec.template.spec", "ReplicationController": "spec.template.spec",
		"CronJob": "spec.jobTemplate.spec.template.spec", "PodTemplate": "template.spec",
	}
	for _, kind := range podspec.Kinds() {
		if paths[kind.Kind] == "" {
			t.Errorf("%s is not tested", kind.Kind)
			continue
		}
		text := "apiVersion: v1\nkind: " + kind.Kind + "\n"
		path := strings.Split(paths[kind.Kind], ".")
		delete(paths, kind.Kind)
		for i, key := range path {
			text += strings.Repeat("  ", i) + key + ":\n"
		}
		indent := strings.Repeat("  ", len(path))
		text += indent + strings.ReplaceAll(podSpec, "\n", "\n"+indent)
		if diff := cmp.Diff(want, podspec.Images(object(t, text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind.Kind, diff)
		}
		if _, ok := podspec.Template(object(t, text)); ok != (kind != podspec.Pods) {
			t.Errorf("%s has a template: %v", kind.Kind, ok)
		}
	}
	for kind := range paths {
		t.Errorf("%s is not among the kinds", kind)
	}
	if got := podspec.Images(object(t, "apiVersion: v1\nkind: ConfigMap\nspec: "+strings.ReplaceAll(podSpec, "\n", "\n  "))); got != nil {
		t.Errorf("a ConfigMap has images %v", got)
	}
	if got := podspec.Images(object(t, "apiVersion: v1\nkind: Pod\nspec: {containers: [x, null], volumes: 3}")); len(got) != 0 {
		t.Errorf("a broken Pod has images %v", got)
	}
}
