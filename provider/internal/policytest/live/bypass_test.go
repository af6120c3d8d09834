// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// leastAttempts is what the suite must not fall below. The README has the count.
const leastAttempts = 250

// attempt is one way to get an image in that must not get in.
type attempt struct {
	name string

	// given are the constraint's parameters; nil means strict.
	given any

	// unvalidated stores the parameters without asking the schema, as an API
	// server did that knew an older one.
	unvalidated bool

	attack engine.Request

	// want is each refusal as code and what is refused, in any order, for
	// example `NOT_SIGNED container "api"`. The class follows from the code.
	want []string

	// admitted says why nothing is refused, for the few attempts that are none.
	admitted string

	// twin has the shape of the attack and nothing wrong with it. It is
	// admitted, so that the attack is refused for what is wrong with it.
	twin *engine.Request

	// twinGiven are the parameters for the twin, unless they are the same.
	twinGiven any
}

// strict is what most constraints say.
func strict() map[string]any {
	return map[string]any{"namespace": "acme", "signers": []any{map[string]any{"sourceRepository": "acme/*"}}}
}

// with gives parameters more, or others.
func with(given map[string]any, pairs ...any) map[string]any {
	all := map[string]any{}
	for name, value := range given {
		all[name] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
	}
	return all
}

// classes are the classes of the codes, as design and README have them.
var classes = map[string]string{
	"NOT_SIGNED":              "rejected",
	"REVOKED":                 "rejected",
	"WRONG_SIGNER":            "rejected",
	"UNTRUSTED_CERTIFICATE":   "rejected",
	"SIGNED_OUTSIDE_VALIDITY": "rejected",
	"INVALID_SIGNATURE":       "rejected",
	"UNRECOGNIZED_RESULT":     "rejected",
	"NO_DIGEST":               "rejected",
	"BAD_REFERENCE":           "rejected",
	"BAD_KEY":                 "rejected",
	"REFUSED_BY_API":          "rejected",
	"BAD_REQUEST":             "rejected",
	"TOO_MANY_IMAGES":         "rejected",
	"TOO_OLD":                 "rejected",
	"UNAVAILABLE":             "unavailable",
	"MISCONFIGURED":           "misconfigured",
	"BAD_PARAMETERS":          "misconfigured",
}

// attempts are all of the suite.
func attempts() []attempt {
	return slices.Concat(
		unsignedInEveryList(), everyVerdict(), updates(), movedImages(), brokenObjects(), crowds(),
		hostileStrings(), lookAlikes(), scopes(), exemptions(),
		uselessParameters(), ages(),
		misbehavingProviders(), unreachableProviders(),
	)
}

// Nothing gets an image in that is not proven to be signed: not what a manifest
// says, nor an update, nor a mistake in the constraint, nor a provider that
// answers anything else than it should. And what is signed gets in.
func TestNothingGetsPast(t *testing.T) {
	all := attempts()
	names := map[string]bool{}
	for _, a := range all {
		if names[a.name] {
			t.Errorf("two attempts are named %q", a.name)
		}
		names[a.name] = true
	}
	if len(all) < leastAttempts {
		t.Errorf("%d attempts, want at least %d", len(all), leastAttempts)
	}
	readme, err := os.ReadFile(filepath.Join(root, "policies", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if count := fmt.Sprintf(" %d attempts ", len(all)); !strings.Contains(string(readme), count) {
		t.Errorf("policies/README.md does not speak of%sin the bypass suite", count)
	}
	providers := newProviders(t)

	t.Run("every answer asked for", func(t *testing.T) {
		newCourt(t, 0, providers).tryAll(t, all)
	})
	// Gatekeeper's default. What it remembers of an answer must mean the same.
	t.Run("answers remembered by Gatekeeper", func(t *testing.T) {
		court := newCourt(t, 3*time.Minute, providers)
		for _, turn := range []string{"first", "second"} {
			t.Run(turn, func(t *testing.T) { court.tryAll(t, all) })
		}
	})
}

// court is an engine with the shipped template, and the same template under
// another kind whose schema lets any parameters through.
type court struct {
	engine *engine.Engine

	// The constraint that is there, and what it was made of.
	constraint  *unstructured.Unstructured
	given       any
	unvalidated bool
}

func newCourt(t testing.TB, responseCache time.Duration, providers []engine.Provider) *court {
	t.Helper()
	e, err := stage.Engine(t.Context(), responseCache, providers...)
	if err != nil {
		t.Fatal(err)
	}
	shipped := readObject(t, filepath.Join(root, "policies", "library", "k8sendorsignedimages", "template.yaml"))
	open := shipped.DeepCopy()
	open.SetName("k8sendorsignedimagesunvalidated")
	set(t, open, "K8sEndorSignedImagesUnvalidated", "spec", "crd", "spec", "names", "kind")
	set(t, open, map[string]any{"x-kubernetes-preserve-unknown-fields": true}, "spec", "crd", "spec", "validation", "openAPIV3Schema")
	for _, template := range []*unstructured.Unstructured{shipped, open} {
		if err := e.AddTemplate(t.Context(), template); err != nil {
			t.Fatal(err)
		}
	}
	return &court{engine: e}
}

func (c *court) tryAll(t *testing.T, all []attempt) {
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) { c.try(t, a) })
	}
}

func (c *court) try(t *testing.T, a attempt) {
	if (len(a.want) == 0) != (a.admitted != "") {
		t.Fatal("an attempt is refused, or says why it is not")
	}
	got := c.judge(t, a.given, a.unvalidated, a.attack)
	if diff := cmp.Diff(slices.Sorted(slices.Values(a.want)), got); diff != "" {
		t.Errorf("refusals of the attack (-want +got):\n%s", diff)
	}
	if a.twin == nil {
		return
	}
	given, unvalidated := a.given, a.unvalidated
	if a.twinGiven != nil {
		given, unvalidated = a.twinGiven, false
	}
	if got := c.judge(t, given, unvalidated, *a.twin); len(got) > 0 {
		t.Errorf("refusals of the twin that has nothing wrong with it: %q", got)
	}
}

// line is a message: the code, what is refused, and more, all in printable ASCII.
var line = regexp.MustCompile(`^\[([A-Z_]+)\] (object|[a-zA-Z]+ "[^"]*"): [ -~]+$`)

// judge gives the refusals of a constraint, sorted, and checks their form.
func (c *court) judge(t testing.TB, given any, unvalidated bool, req engine.Request) []string {
	t.Helper()
	if given == nil {
		given = strict()
	}
	c.enact(t, given, unvalidated)
	violations, err := c.engine.Review(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var refusals []string
	for _, v := range violations {
		m := line.FindStringSubmatch(v.Message)
		if m == nil || len(v.Message) > 200 {
			t.Errorf("%q is no message", v.Message)
			refusals = append(refusals, v.Message)
			continue
		}
		if v.Details["code"] != m[1] {
			t.Errorf("%q has the code %q in its details", v.Message, v.Details["code"])
		}
		if want := classes[m[1]]; want == "" || v.Details["class"] != want {
			t.Errorf("%q has the class %q, want %q", v.Message, v.Details["class"], want)
		}
		refusals = append(refusals, m[1]+" "+m[2])
	}
	return slices.Sorted(slices.Values(refusals))
}

// enact leaves one constraint, with these parameters.
func (c *court) enact(t testing.TB, given any, unvalidated bool) {
	t.Helper()
	if c.constraint != nil {
		if c.unvalidated == unvalidated && reflect.DeepEqual(c.given, given) {
			return
		}
		if err := c.engine.RemoveConstraint(t.Context(), c.constraint); err != nil {
			t.Fatal(err)
		}
	}
	kind := "K8sEndorSignedImages"
	if unvalidated {
		kind = "K8sEndorSignedImagesUnvalidated"
	}
	object := map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1",
		"kind":       kind,
		"metadata":   map[string]any{"name": "signed-images"},
		"spec":       map[string]any{"parameters": given},
	}
	if given == absent {
		object["spec"] = map[string]any{}
	}
	c.constraint, c.given, c.unvalidated = asStored(t, object), given, unvalidated
	if err := c.engine.AddConstraint(t.Context(), c.constraint); err != nil {
		t.Fatal(err)
	}
}

// absent stands for parameters that are not there at all.
var absent any = "absent"

// asStored passes an object through JSON, as an API server does.
func asStored(t testing.TB, object any) *unstructured.Unstructured {
	t.Helper()
	content, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	stored := &unstructured.Unstructured{}
	if err := json.Unmarshal(content, &stored.Object); err != nil {
		t.Fatal(err)
	}
	return stored
}

func set(t testing.TB, u *unstructured.Unstructured, value any, fields ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(u.Object, value, fields...); err != nil {
		t.Fatal(err)
	}
}

// each makes an attempt of every value.
func each[T any](values []T, try func(T) attempt) []attempt {
	var all []attempt
	for _, v := range values {
		all = append(all, try(v))
	}
	return all
}

func refusal(code, kind, name string) string { return fmt.Sprintf("%s %s %q", code, kind, name) }
