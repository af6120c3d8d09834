// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// Images of a estate besides signed and unsigned.
const (
	foreign = "ghcr.io/acme/contoso-build@sha256:879580865d5022061bfc52aab7713f74a45db2462b7bc33825dafe52a6ce808b"
	exempt  = "registry.k8s.io/pause:3.10"
)

// estate is what runs in two namespaces, more of it unsigned than the status of
// a constraint lists.
type estate struct {
	place
	ready      place // where nothing is unsigned
	constraint string

	// images are those of each workload, in the order of its containers; a
	// workload is NAMESPACE/Kind/name.
	images map[string][]string
}

const (
	crowdOfUnsigned = 26
	replicas        = 2

	// Each unsigned Pod, the Pod with two images of which one is unsigned, and
	// the Deployment and its Pods, for each of their two images.
	estateViolations = crowdOfUnsigned + 1 + 2*(1+replicas)

	// listed is how many violations Gatekeeper keeps in a status.
	listed = 20
)

// newEstate makes it, then a constraint that counts what it would refuse, and
// waits until audit has.
func newEstate(t *testing.T) estate {
	t.Helper()
	e := estate{place: newPlace(t), images: map[string][]string{}}
	e.ready = place{e.name + "-ready"}
	if _, err := cluster.Kubectl(t.Context(), "create", "namespace", e.ready.name); err != nil {
		t.Fatal(err)
	}
	e.constraint = e.name + "-dryrun"
	for i := range crowdOfUnsigned {
		e.images[fmt.Sprintf("%s/Pod/unsigned-%02d", e.name, i)] = []string{unsigned}
	}
	e.images[e.name+"/Pod/mixed"] = []string{signed, unsigned}
	for _, p := range []place{e.place, e.ready} {
		e.images[p.name+"/Pod/signed"] = []string{signed}
		e.images[p.name+"/Pod/exempt"] = []string{exempt}
	}
	var manifest strings.Builder
	for workload, images := range e.images {
		namespace, name, _ := strings.Cut(workload, "/Pod/")
		fmt.Fprintf(&manifest, "---\n%s\n", podOf(namespace, name, images...))
	}
	e.images[e.name+"/Deployment/web"] = []string{unsigned, foreign}
	fmt.Fprintf(&manifest, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: %s}
`, e.name, replicas, containersOf(unsigned, foreign))
	if err := cluster.Apply(t.Context(), manifest.String()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return e.runs(t, "web", replicas) })

	if err := cluster.Apply(t.Context(), fmt.Sprintf(`
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sEndorSignedImages
metadata: {name: %s}
spec:
  enforcementAction: dryrun
  match: {namespaces: [%s, %s], kinds: [%s, {apiGroups: [apps], kinds: [Deployment]}]}
  parameters: {namespace: acme, signers: [{sourceRepository: acme/*}], exemptImages: [registry.k8s.io/*]}
`, e.constraint, e.name, e.ready.name, pods)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "k8sendorsignedimages", e.constraint); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() error {
		if total := e.status(t).total; total != estateViolations {
			return fmt.Errorf("audit counts %d violations, want %d", total, estateViolations)
		}
		return nil
	})
	return e
}

func podOf(namespace, name string, images ...string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s}, spec: {containers: %s}}", name, namespace, containersOf(images...))
}

// containersOf are containers c0, c1 and so on, in YAML.
func containersOf(images ...string) string {
	list := make([]string, len(images))
	for i, image := range images {
		list[i] = fmt.Sprintf("{name: c%d, image: %q}", i, image)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// audited is what the status of the estate's constraint says.
type audited struct {
	total      int64
	violations []found
}

// found is a violation: of which workload, container and image, and why.
type found struct{ workload, container, image, code string }

// short is found with the digest as short as messages have it.
func (v found) short() found {
	if name, digest, ok := strings.Cut(v.image, "@sha256:"); ok {
		v.image = name + "@sha256:" + digest[:min(4, len(digest))]
	}
	return v
}

func (e estate) status(t *testing.T) audited {
	t.Helper()
	object, err := cluster.Dynamic.Resource(localcluster.Constraints).Get(t.Context(), e.constraint, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got audited
	got.total, _, _ = unstructured.NestedInt64(object.Object, "status", "totalViolations")
	entries, _, _ := unstructured.NestedSlice(object.Object, "status", "violations")
	for _, entry := range entries {
		v, _ := entry.(map[string]any)
		message, _ := v["message"].(string)
		said := sentence.FindStringSubmatch(message)
		if said == nil {
			t.Fatalf("a message of another form: %q", message)
		}
		got.violations = append(got.violations, found{
			workload: e.workloadOf(v["kind"], v["namespace"], v["name"]), container: said[2], image: said[3], code: said[1],
		}.short())
	}
	return got
}

// sentence is how each message of the policy begins.
var sentence = regexp.MustCompile(`^\[([A-Z_]+)\] container "([^"]+)": ([^ ]+?)(?:\.\.\.)? `)

// workloadOf names the topmost owner of an object.
func (e estate) workloadOf(kind, namespace, name any) string {
	if kind == "Pod" && strings.HasPrefix(fmt.Sprint(name), "web-") {
		kind, name = "Deployment", "web"
	}
	return fmt.Sprintf("%v/%v/%v", namespace, kind, name)
}

// log is that of Gatekeeper's audit up to the end of an audit that found all of
// the estate: while another one runs, the log of it has no end.
func (e estate) log(t *testing.T) string {
	t.Helper()
	var whole string
	eventually(t, func() error {
		log, err := cluster.Audit.Log()
		if err != nil {
			return err
		}
		last := strings.LastIndex(log, `"audit_finished"`)
		if last < 0 {
			return errors.New("no audit has finished")
		}
		end := strings.IndexByte(log[last:], '\n')
		if end < 0 {
			return errors.New("the last line is not written yet")
		}
		whole = log[:last+end+1]
		total := 0
		for _, n := range e.logged(whole) {
			total += n
		}
		if total != estateViolations {
			return fmt.Errorf("the newest audit in the log found %d violations, want %d", total, estateViolations)
		}
		return nil
	})
	return whole
}

// logged is what the newest audit of a log found of the estate's constraint,
// and in how many objects.
func (e estate) logged(log string) map[found]int {
	audits := map[string]map[found]int{}
	newest := ""
	for line := range auditLines(log) {
		newest = line.Audit
		if line.Event == "violation_audited" && line.Constraint == e.constraint {
			if audits[line.Audit] == nil {
				audits[line.Audit] = map[found]int{}
			}
			d := line.Details
			audits[line.Audit][found{e.workloadOf(line.Kind, line.Namespace, line.Name), d.Container, d.Image, d.Code}]++
		}
	}
	return audits[newest]
}

// refused is what a report says that the estate's constraint refuses.
func (e estate) refused(r report.Report) map[found]bool {
	set := map[found]bool{}
	for _, image := range r.Images {
		for _, refusal := range image.Refusals {
			if refusal.Constraint != "K8sEndorSignedImages/"+e.constraint {
				continue
			}
			for _, p := range image.Places {
				// The constraint refuses an image here wherever it stands.
				if p.Namespace == e.name {
					set[found{e.workloadOf(p.Kind, p.Namespace, p.Name), p.Container, image.Image, refusal.Code}] = true
				}
			}
		}
	}
	return set
}

// of is what a report says of the estate's constraint.
func (e estate) of(t *testing.T, r report.Report) report.Constraint {
	t.Helper()
	i := slices.IndexFunc(r.Constraints, func(c report.Constraint) bool { return c.Name == e.constraint })
	if i < 0 {
		t.Fatalf("the report does not know %s: %+v", e.constraint, r.Constraints)
	}
	return r.Constraints[i]
}
