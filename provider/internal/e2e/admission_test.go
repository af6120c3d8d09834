// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func pod(name, image string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: app, image: %q}]}}", name, image)
}

func deployment(name, image string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: app, image: %[2]q}]}
`, name, image)
}

func TestASignedPodIsAdmitted(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	output, err := p.create(t, pod("app", signed))
	mustAdmit(t, output, err)
}

func TestAnUnsignedPodIsRefused(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	output, err := p.create(t, pod("app", unsigned))
	mustRefuse(t, "NOT_SIGNED", output, err)
}

func TestAPodIsRefusedForOneUnsignedInitContainer(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	output, err := p.create(t, fmt.Sprintf(
		"{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {containers: [{name: app, image: %q}], initContainers: [{name: init, image: %q}]}}",
		signed, unsigned))
	mustRefuse(t, "NOT_SIGNED", output, err)
	if !strings.Contains(err.Error(), `initContainer "init"`) || strings.Contains(err.Error(), `container "app"`) {
		t.Errorf("it should name the one that is not signed: %v", err)
	}
}

func TestAPodWithAnUnsignedImageVolumeIsRefused(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	withVolume := func(name, image string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: app, image: %q}], "+
			"volumes: [{name: model, image: {reference: %q}}]}}", name, signed, image)
	}
	output, err := p.create(t, withVolume("signed", signed))
	mustAdmit(t, output, err)
	output, err = p.create(t, withVolume("unsigned", unsigned))
	mustRefuse(t, "NOT_SIGNED", output, err)
}

// What kubectl debug adds goes to a subresource, which a webhook has to ask for
// by its name.
func TestAnUnsignedEphemeralContainerIsRefused(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	output, err := p.create(t, pod("app", signed))
	mustAdmit(t, output, err)
	output, err = p.kubectl(t, "", "debug", "app", "--profile=general", "--container=signed", "--image="+signed)
	mustAdmit(t, output, err)
	output, err = p.kubectl(t, "", "debug", "app", "--profile=general", "--container=unsigned", "--image="+unsigned)
	mustRefuse(t, "NOT_SIGNED", output, err)
}

func TestWhoeverAppliesAnUnsignedDeploymentIsTold(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", all, ofAcme)
	output, err := p.create(t, deployment("signed", signed))
	mustAdmit(t, output, err)
	eventually(t, func() error { return p.has(t, "pods", "app=signed") })
	output, err = p.create(t, deployment("unsigned", unsigned))
	mustRefuse(t, "NOT_SIGNED", output, err)
}

// A constraint for Pods alone cannot refuse what makes them.
func TestTheReasonShowsInTheStatusOfADeploymentWhosePodsAreRefused(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	output, err := p.create(t, deployment("unsigned", unsigned))
	mustAdmit(t, output, err)
	eventually(t, func() error {
		condition, err := p.kubectl(t, "", "get", "deployment", "unsigned", "-o", `jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].message}`)
		if err == nil && !strings.Contains(condition, "[NOT_SIGNED]") {
			err = fmt.Errorf("the Deployment's condition ReplicaFailure does not tell why: %q", condition)
		}
		return err
	})
	eventually(t, func() error {
		events, err := p.kubectl(t, "", "get", "events", "--field-selector=reason=FailedCreate", "-o", `jsonpath={.items[*].message}`)
		if err == nil && !strings.Contains(events, "[NOT_SIGNED]") {
			err = fmt.Errorf("no event of the ReplicaSet tells why: %q", events)
		}
		return err
	})
	if err := p.has(t, "pods", "app=unsigned"); err == nil {
		t.Error("there is a Pod of the unsigned Deployment")
	}
}

func TestAnUnsignedCronJobIsRefused(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", all, ofAcme)
	cronJob := func(name, image string) string {
		return fmt.Sprintf("{apiVersion: batch/v1, kind: CronJob, metadata: {name: %s}, spec: {schedule: '0 0 1 1 *', jobTemplate: {spec: {template: "+
			"{spec: {restartPolicy: Never, containers: [{name: app, image: %q}]}}}}}}", name, image)
	}
	output, err := p.create(t, cronJob("signed", signed))
	mustAdmit(t, output, err)
	output, err = p.create(t, cronJob("unsigned", unsigned))
	mustRefuse(t, "NOT_SIGNED", output, err)
}

func TestADeploymentCannotBeSetToAnUnsignedImage(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", all, ofAcme)
	output, err := p.create(t, deployment("app", signed))
	mustAdmit(t, output, err)
	output, err = p.kubectl(t, "", "set", "image", "deployment/app", "app="+unsigned)
	mustRefuse(t, "NOT_SIGNED", output, err)
	image, err := p.kubectl(t, "", "get", "deployment", "app", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	if err != nil || image != signed {
		t.Errorf("its image is %s (%v), want %s", image, err, signed)
	}
}

func TestAConstraintThatWarnsAdmitsAndSaysWhy(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "warn", pods, ofAcme)
	output, err := p.create(t, pod("app", unsigned))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(output, "Warning: ") || !strings.Contains(output, "[NOT_SIGNED]") {
		t.Errorf("no warning: %q", output)
	}
	output, err = p.create(t, pod("other", signed))
	mustAdmit(t, output, err)
}

func TestAConstraintInDryrunAdmitsAndSaysNothing(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "dryrun", pods, ofAcme)
	output, err := p.create(t, pod("app", unsigned))
	mustAdmit(t, output, err)
	eventually(t, func() error { return p.audited(t, "dryrun", "app", "NOT_SIGNED") })
}

// The API server drops what a schema does not know for clients that do not ask
// it to be strict. Without its signers such a constraint would mean something
// else.
func TestAConstraintWithAMisspeltParameterRefusesEveryPod(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, `{namespace: acme, anySigner: true, maxage: 30d}`)
	output, err := p.create(t, pod("app", signed))
	mustRefuse(t, "BAD_PARAMETERS", output, err)
}

// Work that grew faster than the Pod would outlast the webhook.
func TestAPodOfTwoAndAHalfThousandContainersIsRefused(t *testing.T) {
	p := newPlace(t)
	p.enforce(t, "deny", pods, ofAcme)
	containers := make([]string, 2500)
	for i := range containers {
		containers[i] = fmt.Sprintf("{name: c%d, image: 'ghcr.io/acme/crowd-%d@sha256:%064x'}", i, i, i)
	}
	output, err := p.create(t, "{apiVersion: v1, kind: Pod, metadata: {name: crowd}, spec: {containers: ["+strings.Join(containers, ", ")+"]}}")
	mustRefuse(t, "TOO_MANY_IMAGES", output, err)
}

// has gives an error unless the namespace has an object with the label.
func (p place) has(t *testing.T, resource, label string) error {
	t.Helper()
	names, err := p.kubectl(t, "", "get", resource, "--selector="+label, "-o", "name", "--ignore-not-found")
	if err == nil && strings.TrimSpace(names) == "" {
		err = errors.New("no " + resource + " with " + label + " in " + p.name)
	}
	return err
}
