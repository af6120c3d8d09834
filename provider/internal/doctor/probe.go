// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// maxProbes bounds the namespaces in which a Pod is tried.
const maxProbes = 3

// failClosed has the API server admit a Pod that nobody signed, as a dry run.
func failClosed(ctx context.Context, s *scene) ([]result, error) {
	if s.cfg.NoProbe {
		return []result{{Severity: Skipped, Found: "--no-probe: nobody tried whether an unsigned image is refused"}}, nil
	}
	if _, err := s.webhook(); err != nil {
		return nil, err
	}
	sc, err := s.scope()
	if err != nil {
		return nil, err
	}
	tried := 0
	var last error
	for _, ns := range sc.byChance() {
		if !sc.judged(ns) || tried == maxProbes {
			continue
		}
		denying := sc.denying(ns, sample(podspec.Pods.GVK(), ns.Name))
		image, by := unsigned(denying)
		if image == "" {
			continue
		}
		tried++
		results, err := s.probe(ctx, ns, image, by)
		if err == nil {
			return results, nil
		}
		last = err
	}
	if last != nil {
		return nil, last
	}
	return nil, cannot{
		why: "no constraint denies a Pod in any namespace that Gatekeeper judges, so there is nothing to try",
		fix: "Apply a constraint with enforcementAction: deny.",
	}
}

// byChance are the namespaces, default first: there is least in the way.
func (sc *scope) byChance() []*corev1.Namespace {
	list := slices.Clone(sc.namespaces)
	slices.SortStableFunc(list, func(a, b *corev1.Namespace) int {
		switch corev1.NamespaceDefault {
		case a.Name:
			return -1
		case b.Name:
			return 1
		}
		return 0
	})
	return list
}

// probe tries one Pod. An error means that it was not found out.
func (s *scene) probe(ctx context.Context, ns *corev1.Namespace, image string, by constraint) ([]result, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(probePod(ns.Name, image))
	if err != nil {
		return nil, err
	}
	_, err = s.reader.in(pods, ns.Name).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	where := named("Namespace", "", ns.Name)
	if err == nil {
		return []result{bad(where, "Mend what is reported above first; then look whether the webhook is asked (its rules and selectors) and answers in time (failurePolicy).",
			"a Pod with an image that nobody signed was admitted (as a dry run), though %s denies it", by.object())}, nil
	}
	said := reason(err)
	code := verdictCode.FindStringSubmatch(said)
	switch {
	case strings.Contains(said, webhookID) && code != nil && strings.Contains(said, "["+by.GetName()+"]"):
		return s.refusal(where, code[1])
	case isAny(err, apierrors.IsInternalError, apierrors.IsTimeout, apierrors.IsServerTimeout) && strings.Contains(said, webhookID):
		return []result{bad(where, "Look at Gatekeeper's Pods and at the way from the API server to them.",
			"the API server cannot ask Gatekeeper, and refuses every Pod: %s", said)}, nil
	}
	if strings.Contains(said, `cannot create resource "pods"`) {
		return nil, cannot{
			why: "you may not create pods in namespace " + visible(ns.Name) + ", not even as a dry run",
			fix: "Run it as somebody with the verb create on pods there (nothing is created), or with --no-probe.",
		}
	}
	return nil, cannot{
		why: "the Pod of the probe was refused in namespace " + visible(ns.Name) + " by something else, before or beside the policy: " + said,
		fix: "Let such a Pod past it in some namespace that a constraint denies in, or run it with --no-probe.",
	}
}

// verdictCode is how each message of the policy begins.
var verdictCode = regexp.MustCompile(`\[([A-Z]+(?:_[A-Z]+)*)\] `)

func isAny(err error, kinds ...func(error) bool) bool {
	return slices.ContainsFunc(kinds, func(is func(error) bool) bool { return is(err) })
}

// refusal says what a refusal by the policy is worth.
func (s *scene) refusal(where, code string) ([]result, error) {
	switch code {
	case "UNAVAILABLE":
		return []result{warn(where, "Look at the provider's log and metrics, and at its way to Endor Labs.",
			"a Pod with an image that nobody signed was refused, but because Endor Labs could not be asked: signed ones are refused too")}, nil
	case "MISCONFIGURED":
		return []result{bad(where, "Look at the provider's log: credentials, permissions, namespace, license.",
			"a Pod with an image that nobody signed was refused, but because the provider is misconfigured: signed ones are refused too")}, nil
	case "BAD_PARAMETERS":
		return []result{bad(where, "Correct the constraint: kubectl create of a Pod says what is wrong.",
			"the parameters of the constraint cannot be used, so it refuses every Pod")}, nil
	}
	return []result{fine(where, "a Pod with an image that nobody signed was refused: %s", code)}, nil
}

// probePod is one that Pod Security admits at every level.
func probePod(namespace, image string) *corev1.Pod {
	yes, no := true, false
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "endor-doctor", Namespace: namespace},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			SecurityContext:              &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "probe", Image: image,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// unsigned makes up an image that one of the constraints checks and does not
// exempt, with a digest that nobody has, and says which.
func unsigned(list []constraint) (string, constraint) {
	digest := make([]byte, 32)
	_, _ = rand.Read(digest) // it never fails
	for _, c := range list {
		for _, name := range names(c) {
			if !exempts(c, name) {
				return name + "@sha256:" + hex.EncodeToString(digest), c
			}
		}
	}
	return "", constraint{}
}

// names are some that a constraint checks.
func names(c constraint) []string {
	patterns, scoped, err := unstructured.NestedStringSlice(c.Object, "spec", "parameters", "images")
	if err != nil {
		return nil
	}
	if !scoped {
		return []string{"registry.invalid/endor-doctor/probe", "endor-doctor.invalid/probe"}
	}
	var out []string
	for _, p := range patterns {
		if name, err := nameOf(completed(p, "endor-doctor/probe")); err == nil {
			out = append(out, name)
		}
	}
	return out
}

// nameOf is the name in a reference, spelled as the policy compares it.
func nameOf(text string) (string, error) {
	ref, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return "", err
	}
	return strings.Replace(strings.ToLower(ref.Name()), ":443/", "/", 1), nil
}

// completed makes a reference of a pattern.
func completed(pattern, rest string) string {
	prefix, ok := strings.CutSuffix(pattern, "/*")
	if ok {
		return prefix + "/" + rest
	}
	for _, end := range []string{"@sha256:*", "@*", ":*"} {
		pattern = strings.TrimSuffix(pattern, end)
	}
	return pattern
}

// exempts takes what it cannot compare for an exemption.
func exempts(c constraint, name string) bool {
	patterns, _, err := unstructured.NestedStringSlice(c.Object, "spec", "parameters", "exemptImages")
	if err != nil {
		return true
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		exempt, err := nameOf(completed(p, "x/x"))
		if err != nil {
			return true
		}
		if under, ok := strings.CutSuffix(exempt, "/x/x"); ok && strings.HasSuffix(p, "/*") {
			return strings.HasPrefix(name, under+"/")
		}
		return name == exempt
	})
}
