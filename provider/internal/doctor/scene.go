// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
)

// scene is what the checks look at. Each part is read when the first check asks
// for it, and once: its error is the same for all that ask.
type scene struct {
	cfg    Config
	reader reader

	gatekeeper  func() ([]*appsv1.Deployment, error)
	config      func() (*unstructured.Unstructured, error)
	hooks       func() (*unstructured.Unstructured, error)
	namespaces  func() ([]*corev1.Namespace, error)
	provider    func() (*unstructured.Unstructured, error)
	providers   func() ([]unstructured.Unstructured, error)
	deployment  func() (*appsv1.Deployment, error)
	running     func() (*running, error)
	templates   func() ([]unstructured.Unstructured, error)
	constraints func() ([]unstructured.Unstructured, error)
	expansions  func() ([]unstructured.Unstructured, error)
	scope       func() (*scope, error)
	identity    func() (endor.Identity, error) // needs cfg.Endor
}

func newScene(ctx context.Context, cfg Config) *scene {
	s := &scene{cfg: cfg, reader: reader{cfg.Client}}
	s.gatekeeper = sync.OnceValues(func() ([]*appsv1.Deployment, error) {
		return each[appsv1.Deployment](s.reader.list(ctx, deployments, cfg.GatekeeperNamespace, "gatekeeper.sh/system=yes"))
	})
	s.config = sync.OnceValues(func() (*unstructured.Unstructured, error) {
		return s.reader.get(ctx, configs, cfg.GatekeeperNamespace, "config")
	})
	s.hooks = sync.OnceValues(func() (*unstructured.Unstructured, error) {
		return s.reader.get(ctx, cluster.Webhooks, "", s.webhookName())
	})
	s.namespaces = sync.OnceValues(func() ([]*corev1.Namespace, error) {
		return each[corev1.Namespace](s.reader.list(ctx, namespaces, "", ""))
	})
	s.provider = sync.OnceValues(func() (*unstructured.Unstructured, error) {
		return s.reader.get(ctx, cluster.Providers, "", cfg.ProviderName)
	})
	s.providers = sync.OnceValues(func() ([]unstructured.Unstructured, error) {
		return s.reader.list(ctx, cluster.Providers, "", "")
	})
	s.deployment = sync.OnceValues(func() (*appsv1.Deployment, error) { return s.findDeployment(ctx) })
	s.running = sync.OnceValues(s.readRunning)
	s.templates = sync.OnceValues(func() ([]unstructured.Unstructured, error) {
		return s.reader.list(ctx, templates, "", "")
	})
	s.constraints = sync.OnceValues(func() ([]unstructured.Unstructured, error) {
		return s.reader.list(ctx, cluster.Constraints, "", "")
	})
	s.expansions = sync.OnceValues(func() ([]unstructured.Unstructured, error) {
		return s.reader.list(ctx, expansions, "", "")
	})
	s.scope = sync.OnceValues(s.readScope)
	s.identity = sync.OnceValues(func() (endor.Identity, error) { return cfg.Endor.WhoAmI(ctx) })
	return s
}

// webhookName is what Gatekeeper says in its arguments, or its default.
func (s *scene) webhookName() string {
	const usual = "gatekeeper-validating-webhook-configuration"
	list, err := s.gatekeeper()
	if err != nil {
		return usual
	}
	for _, d := range serving(list) {
		if name, ok := argument(d, "validating-webhook-configuration-name"); ok && name != "" {
			return name
		}
	}
	return usual
}

// webhook is the webhook that judges.
func (s *scene) webhook() (*admissionregistrationv1.ValidatingWebhook, error) {
	all, err := as[admissionregistrationv1.ValidatingWebhookConfiguration](s.hooks())
	if err != nil {
		return nil, err
	}
	if all != nil {
		for i, hook := range all.Webhooks {
			if hook.Name == webhookID {
				return &all.Webhooks[i], nil
			}
		}
	}
	return nil, needs("webhook-installed")
}

// webhookID is what Gatekeeper calls the webhook that judges.
const webhookID = "validation.gatekeeper.sh"
