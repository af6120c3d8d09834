// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

func TestBreakGlassTurnsConstraintsToWarnAndBack(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	constraint := p.name + "-deny"
	output, err := p.create(t, pod("before", unsigned))
	mustRefuse(t, "NOT_SIGNED", output, err)

	mustSay(t, breakGlass(t, "on"), constraint+": warn, was deny")
	eventually(t, func() error { return p.warns(t, "while") })
	// Who runs it a second time, perhaps not knowing of the first, must not make
	// warn what it goes back to.
	mustSay(t, breakGlass(t, "on"), constraint+": warn already, was deny")
	mustSay(t, breakGlass(t, "status"), constraint+": warn, was deny: break-glass")

	mustSay(t, breakGlass(t, "off"), constraint+": deny again")
	eventually(t, func() error {
		output, err := p.kubectl(t, pod("after", fresh()), "create", "--dry-run=server", "-f", "-")
		if err == nil {
			return fmt.Errorf("still admitted: %s", output)
		}
		return nil
	})
	output, err = p.create(t, pod("after", fresh()))
	mustRefuse(t, "NOT_SIGNED", output, err)
	mustSay(t, breakGlass(t, "off"), constraint+": deny, as it was")
	mustSay(t, breakGlass(t, "status"), constraint+": deny")
}

// Each goes back to exactly what it was, and what did not deny is left alone.
func TestBreakGlassKeepsWhatEachConstraintWas(t *testing.T) {
	p := newPlace(t)
	for name, spec := range map[string]string{
		"absent": "",
		"deny":   "enforcementAction: deny,",
		"warn":   "enforcementAction: warn,",
		"dryrun": "enforcementAction: dryrun,",
		"scoped": "enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: validation.gatekeeper.sh}]}],",
		"audit":  "enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: audit.gatekeeper.sh}]}],",
	} {
		p.constrain(t, p.name+"-"+name, spec)
	}
	before := p.specs(t)
	mustSay(t, breakGlass(t, "on"),
		p.name+"-absent: warn, was deny", p.name+"-deny: warn, was deny", p.name+"-warn: warn, as it was",
		p.name+"-dryrun: dryrun, as it was", p.name+"-scoped: warn, was scoped",
		p.name+"-audit: scoped, and denies nothing at admission, as it was")
	for name, action := range map[string]string{"absent": "warn", "deny": "warn", "warn": "warn", "dryrun": "dryrun", "scoped": "warn", "audit": "scoped"} {
		if got := p.action(t, name); got != action {
			t.Errorf("%s is %q, want %q", name, got, action)
		}
	}
	breakGlass(t, "off")
	if after := p.specs(t); after != before {
		t.Errorf("afterwards they are\n%s\nwant\n%s", after, before)
	}
}

func TestBreakGlassLeavesAloneWhatSomebodyChangedSince(t *testing.T) {
	p := newPlace(t)
	p.constrain(t, p.name+"-a", "enforcementAction: deny,")
	p.constrain(t, p.name+"-b", "enforcementAction: deny,")
	// Only what is named is turned.
	mustSay(t, breakGlass(t, "on", p.name+"-a"), p.name+"-a: warn, was deny")
	if got := p.action(t, "b"); got != "deny" {
		t.Errorf("b, which nobody named, is %q", got)
	}
	if _, err := cluster.Kubectl(t.Context(), "patch", "k8sendorsignedimages", p.name+"-a", "--type=merge", "-p", `{"spec":{"enforcementAction":"dryrun"}}`); err != nil {
		t.Fatal(err)
	}
	mustSay(t, breakGlass(t, "off", p.name+"-a"), p.name+"-a: dryrun, which somebody has set since; was deny before")
	if got := p.action(t, "a"); got != "dryrun" {
		t.Errorf("a is %q, want what somebody has set", got)
	}
	mustSay(t, breakGlass(t, "status", p.name+"-a"), p.name+"-a: dryrun")
}

func TestBreakGlassSaysWhatItCannotChange(t *testing.T) {
	for _, args := range [][]string{{}, {"of"}, {"on", "--all"}, {"on", "no-such-constraint"}} {
		output, err := runBreakGlass(t, args...)
		if err == nil || !strings.Contains(output, "break-glass: ") {
			t.Errorf("%q: %v: %s", args, err, output)
		}
	}
}

func runBreakGlass(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(config.Root, "scripts", "break-glass.sh"), args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KUBECONFIG=" + cluster.Kubeconfig,
		"KUBECTL=" + filepath.Join(config.Kit.Bin(), "kubectl"),
	}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func breakGlass(t *testing.T, args ...string) string {
	t.Helper()
	output, err := runBreakGlass(t, args...)
	if err != nil {
		t.Fatalf("break-glass.sh %q: %v\n%s", args, err, output)
	}
	return output
}

// mustSay holds that the output has each of the lines.
func mustSay(t *testing.T, output string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+output, "\n"+line+"\n") {
			t.Errorf("it does not say %q:\n%s", line, output)
		}
	}
}

// constrain makes a constraint that matches nothing.
func (p place) constrain(t *testing.T, name, action string) {
	t.Helper()
	manifest := fmt.Sprintf("{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: K8sEndorSignedImages, metadata: {name: %s}, "+
		"spec: {%s match: {namespaces: [nowhere], kinds: [%s]}, parameters: %s}}", name, action, pods, ofAcme)
	if _, _, err := cluster.Run(t.Context(), localcluster.Command{Program: "kubectl", Args: []string{"create", "-f", "-"}, Stdin: manifest}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "k8sendorsignedimages", name); err != nil {
			t.Error(err)
		}
	})
}

func (p place) action(t *testing.T, name string) string {
	t.Helper()
	action, err := cluster.Kubectl(t.Context(), "get", "k8sendorsignedimages", p.name+"-"+name, "-o", "jsonpath={.spec.enforcementAction}")
	if err != nil {
		t.Fatal(err)
	}
	return action
}

// specs is everything that somebody wrote of the constraints of the place.
func (p place) specs(t *testing.T) string {
	t.Helper()
	all, err := cluster.Kubectl(t.Context(), "get", "k8sendorsignedimages",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.annotations} {.spec}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// warns creates a Pod of an image that nobody signed, and gives an error unless
// that is admitted with a warning.
func (p place) warns(t *testing.T, name string) error {
	t.Helper()
	output, err := p.kubectl(t, pod(name, unsigned), "create", "--dry-run=server", "-f", "-")
	if err == nil && !strings.Contains(output, "[NOT_SIGNED]") {
		err = fmt.Errorf("no warning: %s", output)
	}
	return err
}
