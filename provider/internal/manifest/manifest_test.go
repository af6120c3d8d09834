// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"errors"
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
		{"a list of one kind, as an API server gives it", "apiVersion: v1\nkind: PodList\nitems:\n- {metadata: {name: a}}\n", []string{"a"}},
		{"a list within a list", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: a}}]}\n", []string{"a"}},
		{"a document on the line that begins it", pod("a") + "--- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n", []string{"a", "b"}},
		{"ends of documents, a directive, and line ends of Windows", "%YAML 1.2\r\n---\r\n" + pod("a") + "...\r\n---\r\n" + pod("b"), []string{"a", "b"}},
		{"a line of dashes within a text", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec: |\n  ---\n  x\n----: y\n", []string{"a"}},
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
	const typed = "apiVersion: v1\nkind: "
	for name, tc := range map[string]struct{ bad, want string }{
		"no YAML":                {"a: 1\n  b: 2", ":7: document 2: mapping values are not allowed"},
		"an end that is missing": {"a: [", ": document 2: "},
		"no object":              {"just text", ":6: document 2: it is no Kubernetes object, but a text"},
		"a list":                 {"- a", ":6: document 2: it is no Kubernetes object, but a list"},
		"null":                   {"null", ":6: document 2: it is no Kubernetes object, but a null"},
		"no kind":                {"apiVersion: v1\n", ":6: document 2: it is no Kubernetes object: it has no kind"},
		"no version":             {"kind: Pod\n", "it has no apiVersion"},
		"a key that stands twice, of which one would be lost": {typed + "Pod\nspec: {}\nspec: {}\n", `:9: document 2: key "spec" already set in map`},
		"a document behind the end, which would be lost":      {typed + "Pod\n...\n" + pod("lost"), "there is more behind the end"},
		"an item of a list":    {typed + "List\nitems:\n- {apiVersion: v1}\n", ":9: document 2: it is no Kubernetes object: it has no kind"},
		"an item that is text": {typed + "List\nitems: [x]\n", ":8: document 2: it is no Kubernetes object, but a text"},
	} {
		got, err := manifest.Decode(strings.NewReader(pod("a")+"---\n"+tc.bad+"\n---\n"+pod("b")), "in.yaml")
		if err == nil || !strings.HasPrefix(err.Error(), "in.yaml:") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error = %v, want %q", name, err, tc.want)
		}
		if diff := cmp.Diff([]string{"a", "b"}, names(got)); diff != "" {
			t.Errorf("%s: objects (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnObjectKnowsWhereItStands(t *testing.T) {
	t.Parallel()
	in := "# head\n---\n# a\n" + pod("a") + "---\napiVersion: v1\nkind: List\nitems:\n" +
		"- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: c}\n"
	objects, err := manifest.Decode(strings.NewReader(in), "in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		got = append(got, o.GetName()+" "+o.Where())
	}
	want := []string{"a in.yaml:4: document 1", "b in.yaml:12: document 2", "c in.yaml:13: document 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
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

// Whoever writes a pull request writes what CI reads.
func TestWhatHasNoEndIsNotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(pod("a")), 0o600), os.Symlink("/dev/zero", filepath.Join(dir, "endless.yaml"))); err != nil {
		t.Fatal(err)
	}
	got, err := manifest.Read([]string{dir}, nil)
	if err == nil || !strings.Contains(err.Error(), "endless.yaml is no file that ends") || len(got) != 1 {
		t.Errorf("in a folder: %d objects, error %v", len(got), err)
	}
	if got, err := manifest.Decode(endless{}, "-"); err == nil || !strings.Contains(err.Error(), "it is larger than 128 MiB") || len(got) != 0 {
		t.Errorf("on standard input: %d objects, error %v", len(got), err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
