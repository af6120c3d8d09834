// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/externaldata/v1beta1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
)

func (s *scene) providerObject() (*v1beta1.Provider, error) {
	provider, err := as[v1beta1.Provider](s.provider())
	if err == nil && provider == nil {
		err = needs("provider-installed")
	}
	return provider, err
}

func providerInstalled(_ context.Context, s *scene) ([]result, error) {
	provider, err := s.provider()
	if err != nil {
		return nil, err
	}
	object := named("Provider", "", s.cfg.ProviderName)
	if provider == nil {
		return []result{bad(object, "Install the chart, or name the Provider with --provider-name; in tls.mode auto the provider makes it when it is ready to serve, so look at its log.",
			"there is none, so that Gatekeeper knows nobody to ask")}, nil
	}
	return []result{fine(object, "it is there")}, nil
}

func providerIngested(_ context.Context, s *scene) ([]result, error) {
	provider, err := s.providerObject()
	if err != nil {
		return nil, err
	}
	object := named("Provider", "", provider.Name)
	if len(provider.Status.ByPod) == 0 {
		return nil, cannot{
			why: "no Pod of Gatekeeper says whether it has taken it in; old ones never do",
			fix: "Look at the log of Gatekeeper's Pods, or upgrade Gatekeeper.",
		}
	}
	var results []result
	for _, status := range provider.Status.ByPod {
		switch {
		case len(status.Errors) > 0:
			results = append(results, bad(object, "Correct the Provider as it says.", "the Pod %s of Gatekeeper refuses it: %s", visible(status.ID), visible(status.Errors[0].Message)))
		case !status.Active:
			results = append(results, bad(object, "Look at the log of that Pod.", "the Pod %s of Gatekeeper has not taken it in", visible(status.ID)))
		case status.ObservedGeneration != 0 && status.ObservedGeneration < provider.Generation:
			results = append(results, warn(object, "Look at the log of that Pod if it stays so.", "the Pod %s of Gatekeeper uses an older state of it", visible(status.ID)))
		}
	}
	return results, nil
}

func providerDeployment(_ context.Context, s *scene) ([]result, error) {
	d, err := s.deployment()
	if _, none := errors.AsType[needs](err); none {
		return nil, cannot{
			why: "no Deployment of the provider was found by the Provider's URL or by the chart's labels",
			fix: "Name its namespace with --release-namespace.",
		}
	}
	if err != nil {
		return nil, err
	}
	object := named("Deployment", d.Namespace, d.Name)
	replicas := int32(1)
	if d.Spec.Replicas != nil {
		replicas = *d.Spec.Replicas
	}
	if service, _, err := s.service(); err == nil && service == "" && d.Status.ReadyReplicas < 2 {
		return nil, cannot{
			why: fmt.Sprintf("the Provider's URL names no Service of the cluster, so it is not known what answers there; of %s %d of %d Pods are ready", object, d.Status.ReadyReplicas, replicas),
			fix: "Look at what answers at that URL; for a provider in the cluster it is https://SERVICE.NAMESPACE.svc:443/validate.",
		}
	}
	const fix = "Set the value replicaCount: 2 of this chart, or more."
	switch ready := d.Status.ReadyReplicas; {
	case ready == 0:
		return []result{bad(object, "Look at its Pods: kubectl -n "+d.Namespace+" describe pods", "no Pod of it is ready (%d wanted): every question stays without an answer", replicas)}, nil
	case ready < replicas:
		return []result{warn(object, "Look at its Pods: kubectl -n "+d.Namespace+" describe pods", "%d of %d Pods are ready", ready, replicas)}, nil
	case replicas < 2:
		return []result{warn(object, fix, "it has one replica: while that restarts, every new image is refused")}, nil
	}
	return []result{fine(object, "%d of %d Pods are ready", d.Status.ReadyReplicas, replicas)}, nil
}

func providerVersion(_ context.Context, s *scene) ([]result, error) {
	d, err := s.deployment()
	if err != nil {
		return nil, err
	}
	object, image := named("Deployment", d.Namespace, d.Name), container(d).Image
	ours, theirs := versionOf("x:"+buildinfo.Read().Version), versionOf(image)
	if ours == nil || theirs == nil || ours.EqualTo(theirs) {
		return []result{note(object, "it runs %s; this program is %s", visible(image), buildinfo.Read().Version)}, nil
	}
	return []result{warn(object, "Use the same release of both.", "it runs %s, and this program is %s: what one knows the other may not", theirs, ours)}, nil
}

func providerBudget(ctx context.Context, s *scene) ([]result, error) {
	d, err := s.deployment()
	if err != nil {
		return nil, err
	}
	list, err := each[policyv1.PodDisruptionBudget](s.reader.list(ctx, budgets, d.Namespace, ""))
	if err != nil {
		return nil, err
	}
	for _, b := range list {
		if selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err == nil && selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			return []result{fine(named("PodDisruptionBudget", b.Namespace, b.Name), "it covers the provider")}, nil
		}
	}
	return []result{warn(named("Deployment", d.Namespace, d.Name), "Set the value podDisruptionBudget.enabled: true of this chart.",
		"no PodDisruptionBudget covers it: draining nodes may end all its Pods at once")}, nil
}

func providerClients(_ context.Context, s *scene) ([]result, error) {
	running, err := s.running()
	if err != nil {
		return nil, err
	}
	object := running.object()
	if running.InsecureNoClientAuth {
		return []result{warn(object, "Set the value tls.insecureNoClientAuth: false of this chart.",
			"it asks for no client certificate: whoever reaches it learns who signed which image, and spends the calls of Endor Labs")}, nil
	}
	list, err := s.gatekeeper()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(serving(list), ownCertificate) {
		return []result{note(object, "Gatekeeper's certificate is somebody else's (--disable-cert-rotation), so its name is not known; accepted are %s", some(running.ClientNames))}, nil
	}
	if wanted := fmt.Sprintf("gatekeeper-webhook-service.%s.svc", s.cfg.GatekeeperNamespace); !slices.ContainsFunc(running.ClientNames, func(n string) bool { return strings.EqualFold(n, wanted) }) {
		return []result{bad(object, "Set the value gatekeeper.namespace of this chart to "+s.cfg.GatekeeperNamespace+".",
			"it refuses Gatekeeper: the client certificate says %s, and accepted are %s", visible(wanted), some(running.ClientNames))}, nil
	}
	return nil, nil
}
