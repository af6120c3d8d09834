// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package gatekeeper tests the generated templates in Gatekeeper's own engine,
// without a provider. It is apart from package policytest because the engine
// takes external_data for the whole process, for which reason its tests are not
// parallel either.
package gatekeeper

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

const (
	library = "../../../../policies/library/k8sendorsignedimages"
	digest  = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func readObject(t testing.TB, path string) *unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal(content, &object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return &unstructured.Unstructured{Object: object}
}

// newEngine is Gatekeeper without any Provider, and with one constraint.
func newEngine(t testing.TB, parameters map[string]any) *engine.Engine {
	t.Helper()
	e, err := engine.New(t.Context(), engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.AddTemplate(t.Context(), readObject(t, library+"/template.yaml")); err != nil {
		t.Fatal(err)
	}
	constraint := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1",
		"kind":       "K8sEndorSignedImages",
		"metadata":   map[string]any{"name": "signed-images"},
		"spec":       map[string]any{},
	}}
	if parameters != nil {
		constraint.Object["spec"] = map[string]any{"parameters": parameters}
	}
	if err := e.AddConstraint(t.Context(), constraint); err != nil {
		t.Fatal(err)
	}
	return e
}

func pod(images ...string) *unstructured.Unstructured {
	containers := make([]any, len(images))
	for i, image := range images {
		containers[i] = map[string]any{"name": fmt.Sprintf("c%d", i), "image": image}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata":   map[string]any{"name": "api", "namespace": "production"},
		"spec":       map[string]any{"containers": containers},
	}}
}

func messages(t testing.TB, e *engine.Engine, req engine.Request) []string {
	t.Helper()
	violations, err := e.Review(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, v := range violations {
		list = append(list, v.Message)
	}
	return list
}

// Gatekeeper takes the template and every sample.
func TestGatekeeperTakesTemplateAndSamples(t *testing.T) {
	e := newEngine(t, map[string]any{"anySigner": true})
	samples, err := filepath.Glob(library + "/samples/*/constraint.yaml")
	if err != nil || len(samples) == 0 {
		t.Fatalf("found samples %v, error %v", samples, err)
	}
	for _, path := range samples {
		if err := e.AddConstraint(t.Context(), readObject(t, path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The schema refuses what it can see when a constraint is applied.
func TestSchemaRefusesMistakes(t *testing.T) {
	e := newEngine(t, map[string]any{"anySigner": true})
	for name, parameters := range map[string]map[string]any{
		"no signers":               {"signers": []any{}},
		"signer without claims":    {"signers": []any{map[string]any{}}},
		"claim that begins with *": {"signers": []any{map[string]any{"sourceRepository": "*/api"}}},
		"issuer with *":            {"signers": []any{map[string]any{"certificateOidcIssuer": "https://*"}}},
		"namespace":                {"namespace": "acme/x"},
		"all images exempt":        {"exemptImages": []any{"*"}},
		"half a name exempt":       {"exemptImages": []any{"ghcr.io/acme*"}},
		"no images":                {"images": []any{}},
		"maxAge":                   {"maxAge": "30days"},
		"failOn":                   {"failOn": []any{"denied"}},
		"exempt container":         {"exemptContainers": []any{map[string]any{"name": "istio-proxy"}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.AddConstraint(t.Context(), &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "constraints.gatekeeper.sh/v1beta1",
				"kind":       "K8sEndorSignedImages",
				"metadata":   map[string]any{"name": "mistake"},
				"spec":       map[string]any{"parameters": parameters},
			}})
			if err == nil {
				t.Errorf("%v was taken", parameters)
			}
		})
	}
}

// A parameter that the schema does not know gets through to the policy, which
// refuses it; so does a constraint without parameters.
func TestUnknownAndAbsentParametersRefuse(t *testing.T) {
	for name, parameters := range map[string]map[string]any{
		"absent":            nil,
		"empty":             {},
		"misspelled":        {"anySigner": true, "exemptimages": []any{}},
		"misspelled claim":  {"signers": []any{map[string]any{"sourceRepository": "acme/api", "sourceRepositoryRe": "x"}}},
		"more on a sidecar": {"anySigner": true, "exemptContainers": []any{map[string]any{"name": "a", "image": "b/c:*", "ns": "d"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := messages(t, newEngine(t, parameters), engine.Request{Object: pod("ghcr.io/acme/api@" + digest)})
			if len(got) != 1 || !strings.HasPrefix(got[0], "[BAD_PARAMETERS] ") {
				t.Errorf("got %q, want one BAD_PARAMETERS", got)
			}
		})
	}
}

// Gatekeeper's own word for a Provider that does not exist is understood, and
// strings that would make a naive call undefined hide nothing.
func TestWithoutAProviderNothingIsAdmitted(t *testing.T) {
	e := newEngine(t, map[string]any{"anySigner": true})
	got := messages(t, e, engine.Request{Object: pod("ghcr.io/acme/api@"+digest, "x\u007f", "x\u0001@"+digest, "\U000e0001")})
	want := []string{
		`[BAD_REFERENCE] container "c1": x%7F `,
		`[BAD_REFERENCE] container "c2": x%01@sha256:`,
		`[BAD_REFERENCE] container "c3": %F3%A0%80%81 `,
		`[MISCONFIGURED] container "c0": ghcr.io/acme/api@sha256:0123... could not be checked: Gatekeeper has no Provider of that name`,
	}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q…", got[i], want[i])
		}
	}
	if got := messages(t, e, engine.Request{OldObject: pod("x"), Operation: admissionv1.Delete}); got != nil {
		t.Errorf("a deletion is refused: %q", got)
	}
}

// The parameters that policies/README.md shows can be used as they are there.
func TestParametersOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../../../policies/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "```yaml\n")
	block, _, _ := strings.Cut(after, "```")
	var shown struct {
		Parameters map[string]any `json:"parameters"`
	}
	if err := yaml.Unmarshal([]byte(block), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Parameters) != 10 {
		t.Errorf("the README shows %d parameters, want all but anySigner", len(shown.Parameters))
	}
	if got := messages(t, newEngine(t, shown.Parameters), engine.Request{Object: pod("quay.io/other/x:v1")}); got != nil {
		t.Errorf("got %q", got)
	}
}

// The same object gets the same violations in the same order.
func TestOrderIsStable(t *testing.T) {
	e := newEngine(t, map[string]any{"anySigner": true})
	object := pod("c:1", "b:1", "a:1", "x\u007f", "", "d@"+digest)
	first, err := json.Marshal(messages(t, e, engine.Request{Object: object}))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := json.Marshal(messages(t, e, engine.Request{Object: object}))
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(first) {
			t.Fatalf("got\n%s\nthen\n%s", first, again)
		}
	}
}

// How long it takes is measured by the benchmarks of package live.
func TestTenThousandContainersAreRefusedUnread(t *testing.T) {
	e := newEngine(t, map[string]any{"anySigner": true})
	images := make([]string, 10_000)
	for i := range images {
		images[i] = "ghcr.io/acme/api@" + digest
	}
	object := pod(images...)
	got := messages(t, e, engine.Request{Object: object})
	want := "[TOO_MANY_IMAGES] object: Pod has too many images: 10000, at most 256 are judged. Split it up."
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got = messages(t, e, engine.Request{Object: object, OldObject: object, Operation: admissionv1.Update})
	if got != nil {
		t.Errorf("an update that changes nothing got %q", got)
	}
}

// Kubernetes stores such names, and encoding them must not outlast the webhook.
func TestLongNamesOfAnyScriptAreRefusedInAShortLine(t *testing.T) {
	e := newEngine(t, map[string]any{"anySigner": true})
	images := []string{"ghcr.io/evil/app:latest"}
	for i := range 255 {
		images = append(images, strings.Repeat(string(rune(0x4e00+i)), 512))
	}
	got := messages(t, e, engine.Request{Object: pod(images...)})
	if len(got) != len(images) {
		t.Fatalf("%d refusals, want %d", len(got), len(images))
	}
	for _, msg := range got {
		if len(msg) > 200 || strings.ContainsFunc(msg, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%d bytes: %q", len(msg), msg)
		}
	}
}
