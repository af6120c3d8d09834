// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
)

func pod(name string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\n"
}

func names(objects []manifest.Object) (list []string) {
	for _, o := range objects {
		list = append(list, o.GetName())
	}
	return list
}

func TestDocumentsAreReadInOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"one", pod("a"), []string{"a"}},
		{"several", pod("a") + "---\n" + pod("b"), []string{"a", "b"}},
		{"comments and nothing between", "# head\n---\n" + pod("a") + "---\n# nothing\n---\n" + pod("b") + "---\n", []string{"a", "b"}},
		{"JSON", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`, []string{"a"}},
		{"a list, as kubectl get prints it", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n", []string{"a", "b"}},
		{"nothing", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := manifest.Decode(strings.NewReader(tc.in), "in.yaml")
			if diff := cmp.Diff(tc.want, names(got)); diff != "" || err != nil {
				t.Errorf("error %v, objects (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestADocumentThatCannotBeReadIsNamedAndTheOthersAreRead(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"no YAML":   "a: [",
		"no object": "just text",
		"no kind":   "apiVersion: v1\n",
		"a key that stands twice, of which one would be lost": "apiVersion: v1\nkind: Pod\nspec: {}\nspec: {}\n",
	} {
		got, err := manifest.Decode(strings.NewReader(pod("a")+"---\n"+bad+"\n---\n"+pod("b")), "in.yaml")
		if err == nil || !strings.Contains(err.Error(), "in.yaml: document 2: ") {
			t.Errorf("%s: error = %v, want one that names in.yaml, document 2", name, err)
		}
		if diff := cmp.Diff([]string{"a", "b"}, names(got)); diff != "" {
			t.Errorf("%s: objects (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadTakesFilesFoldersAndStandardInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"b.yml": pod("b"), "sub/c.json": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}`, "a.yaml": pod("a"), "note.txt": "not YAML: ["} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := manifest.Read([]string{dir, "-", filepath.Join(dir, "missing.yaml")}, strings.NewReader(pod("in")))
	if err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("error = %v, want one that names missing.yaml", err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "in"}, names(got)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}
