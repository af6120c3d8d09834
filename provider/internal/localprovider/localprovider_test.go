// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localprovider_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/policies"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

func TestEveryImageIsAskedAboutOnceAndAnsweredInOrder(t *testing.T) {
	t.Parallel()
	const images, unsigned = 1200, 5
	emulator := signed(t, images-unsigned)
	p := start(t.Context(), t, emulator, 0, 0)
	told := 0
	answers := p.Ask(t.Context(), keys(images), func() { told++ })
	for i, a := range answers {
		want := verify.Verified
		if i >= images-unsigned {
			want = verify.NotSigned
		}
		if a.Key != image(i) || a.Code() != want {
			t.Fatalf("answer %d is about %s: %s, want %s", i, a.Key, a.Code(), want)
		}
	}
	again := p.Ask(t.Context(), keys(3), nil)
	if got := emulator.Counters().Requests; told != images || again[2].Code() != verify.Verified || got["operations"] != images || got["auth"] != 1 {
		t.Errorf("told of %d answers, %v calls for %d images", told, got, images)
	}
	if byImage := p.ByImage(); len(byImage) != images || byImage[image(0)][0].Verdict.Signer.SourceRepository != "acme/api" {
		t.Errorf("%d images are remembered, the first with %+v", len(byImage), byImage[image(0)])
	}
}

// Whoever asks one question after the other does not wait for each until all
// retries failed.
func TestAnOutageIsUndecidedAndSoonGivenUp(t *testing.T) {
	t.Parallel()
	emulator := signed(t, 40)
	p := start(t.Context(), t, emulator, 0, 300*time.Millisecond)
	if a := p.Ask(t.Context(), keys(1), nil)[0]; a.Code() != verify.Verified {
		t.Fatalf("before the outage: %s", a.Code())
	}
	if err := emulator.Inject(endortest.Fault{Kind: endortest.FaultHang}); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys(40)[1:] {
		a := p.Ask(t.Context(), []string{key}, nil)[0]
		if a.Code() != verify.Unavailable {
			t.Errorf("image %d: %s", i+1, a.Code())
		}
		if i >= 3 && a.Undecided.Cause != verify.CauseBreaker {
			t.Errorf("image %d: %v, want it not asked about after three that failed", i+1, a.Undecided)
		}
	}
}

// What was answered before stays, and nothing more is asked.
func TestWhoInterruptsGetsWhatIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	emulator := signed(t, 4)
	ctx, interrupt := context.WithCancel(t.Context())
	p := start(ctx, t, emulator, 2, 0)
	if a := p.Ask(ctx, keys(2), nil); a[1].Code() != verify.Verified {
		t.Fatalf("before: %s", a[1].Code())
	}
	if err := emulator.Inject(endortest.Fault{Kind: endortest.FaultHang}); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = emulator.Await(t.Context(), func(c endortest.Counters) bool { return c.Requests["operations"] == 4 })
		interrupt()
	}()
	answers := p.Ask(ctx, keys(40), nil)
	for i, a := range answers {
		if i < 2 && a.Code() == verify.Verified {
			continue
		}
		if a.Undecided == nil || a.Undecided.Cause != verify.CauseInterrupted {
			t.Errorf("image %d: %+v, want it undecided because of the interruption", i, a)
		}
	}
	if got := emulator.Counters().Requests["operations"]; got != 4 {
		t.Errorf("Endor Labs was asked %d times, want 4: none after the interruption", got)
	}
}

// Not parallel: an engine owns external_data for the whole process.
func TestAnEngineAsksTheProviderAndLeavesNoFileBehind(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	p := start(t.Context(), t, signed(t, 1), 0, 0)
	e, err := p.Engine(t.Context(), localprovider.Name)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temporary); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	add(t, e)
	for n, want := range []string{"", "NOT_SIGNED"} {
		pod := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p", "namespace": "default"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": image(n)}}},
		}}
		violations, err := e.Review(t.Context(), engine.Request{Object: pod})
		got := ""
		if len(violations) == 1 {
			got, _ = violations[0].Details["code"].(string)
		}
		if got != want || err != nil {
			t.Errorf("image %d: %v, error %v; want %q", n, violations, err, want)
		}
		remembered := p.ByImage()[image(n)]
		if len(remembered) != 1 || !slices.Contains([]verify.Code{verify.Verified, verify.NotSigned}, remembered[0].Code()) {
			t.Errorf("image %d is remembered as %+v", n, remembered)
		}
	}
	if _, err := p.Engine(t.Context(), localprovider.Name); err == nil || !strings.Contains(err.Error(), "there is an engine already") {
		t.Errorf("a second engine: error = %v", err)
	}
}

// add adds the shipped policy and a constraint on everything.
func add(t *testing.T, e *engine.Engine) {
	t.Helper()
	template := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(policies.Template, &template.Object); err != nil {
		t.Fatal(err)
	}
	if err := e.AddTemplate(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	constraint := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": policies.Kind, "metadata": map[string]any{"name": "all"},
		"spec": map[string]any{"parameters": map[string]any{"anySigner": true}},
	}}
	if err := e.AddConstraint(t.Context(), constraint); err != nil {
		t.Fatal(err)
	}
}
