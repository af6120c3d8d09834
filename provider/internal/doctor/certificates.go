// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
)

// ownCertificate says that Gatekeeper's certificate does not come from itself.
func ownCertificate(d *appsv1.Deployment) bool {
	given, ok := argument(d, "disable-cert-rotation")
	return ok && given != "false"
}

func providerCA(_ context.Context, s *scene) ([]result, error) {
	provider, err := s.providerObject()
	if err != nil {
		return nil, err
	}
	object := named("Provider", "", provider.Name)
	cas, err := cluster.DecodeBundle(provider.Spec.CABundle)
	if err != nil {
		return []result{bad(object, "Let the provider write it (tls.mode auto or cert-manager), or set the value provider.caBundle to base64 of its CA in PEM.",
			"its caBundle cannot be read, so Gatekeeper trusts no provider: %s", visible(err.Error()))}, nil
	}
	return expiring(object, "the CA of the provider", "In tls.mode auto look at the log of the provider, which renews it; otherwise renew it and provider.caBundle.", cas, s.cfg.Now()), nil
}

func providerCertificate(ctx context.Context, s *scene) ([]result, error) {
	provider, err := s.providerObject()
	if err != nil {
		return nil, err
	}
	cas, err := cluster.DecodeBundle(provider.Spec.CABundle)
	if err != nil {
		return nil, needs("provider-ca")
	}
	running, err := s.running()
	if err != nil {
		return nil, err
	}
	d := running.deployment
	namespace, name, key := d.Namespace, "", corev1.TLSCertKey
	if running.TLSSecret != "" {
		namespace, name, _ = strings.Cut(running.TLSSecret, "/")
	} else if source := mounted(d, running.TLSCertFile); source.Secret != nil {
		name, key = source.Secret.SecretName, itemKey(source.Secret.Items, running.TLSCertFile)
	}
	if name == "" {
		return nil, cannot{why: "it is not known which Secret holds the provider's certificate; only the caBundle of the Provider was looked at", fix: "Look with openssl s_client at the provider's Service."}
	}
	secret, err := as[corev1.Secret](s.reader.get(ctx, secrets, namespace, name))
	if err != nil {
		if c, ok := errors.AsType[cannot](err); ok {
			c.why += ", so that only the caBundle of the Provider was looked at and not the certificate"
			return nil, c
		}
		return nil, err
	}
	object := named("Secret", namespace, name)
	if secret == nil || len(secret.Data[key]) == 0 {
		return []result{bad(object, "Look at the log of the provider, or at what fills the Secret.", "it holds no certificate (%s), so the provider serves nobody", key)}, nil
	}
	chain, err := certs.ParsePEM(secret.Data[key])
	if err != nil {
		return []result{bad(object, "Look at what fills the Secret.", "its %s is no certificate: %s", key, visible(err.Error()))}, nil
	}
	pair := &tls.Certificate{Leaf: chain[0]}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	u, _ := s.provider()
	if err := cluster.Verify(pair, cas, host(u), s.cfg.Now()); err != nil {
		return []result{bad(object, "Let the provider write both (tls.mode auto or cert-manager), or bring provider.caBundle in line with the certificate and its names.",
			"Gatekeeper does not accept the certificate: the Provider %s says other CAs or another name: %s", visible(provider.Name), visible(err.Error()))}, nil
	}
	return expiring(object, "the provider's certificate", "In tls.mode auto look at the log of the provider, which renews it; otherwise renew it.", chain[:1], s.cfg.Now()), nil
}

// mounted is the volume in which a file of the program lies.
func mounted(d *appsv1.Deployment, file string) corev1.VolumeSource {
	for _, m := range container(d).VolumeMounts {
		if path.Dir(file) != path.Clean(m.MountPath) {
			continue
		}
		for _, v := range d.Spec.Template.Spec.Volumes {
			if v.Name == m.Name {
				return v.VolumeSource
			}
		}
	}
	return corev1.VolumeSource{}
}

func itemKey(items []corev1.KeyToPath, file string) string {
	for _, item := range items {
		if item.Path == path.Base(file) {
			return item.Key
		}
	}
	return path.Base(file)
}

func providerClientCA(ctx context.Context, s *scene) ([]result, error) {
	running, err := s.running()
	if err != nil {
		return nil, err
	}
	if running.InsecureNoClientAuth {
		return nil, needs("provider-clients")
	}
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	if hooks == nil {
		return nil, needs("webhook-installed")
	}
	object := running.object()
	if from := running.ClientCAFromWebhook; from != "" {
		if from != hooks.GetName() {
			return []result{bad(object, "Set the value tls.clientCA.fromWebhook of this chart to "+visible(hooks.GetName())+".",
				"it takes Gatekeeper's CA from the ValidatingWebhookConfiguration %s, and Gatekeeper keeps %s", visible(from), visible(hooks.GetName()))}, nil
		}
		return []result{fine(object, "it follows Gatekeeper's CA in ValidatingWebhookConfiguration %s", visible(from))}, nil
	}
	known, object, err := s.clientCAs(ctx, running.deployment, running.ClientCAFile)
	if err != nil {
		return nil, err
	}
	current, err := cluster.CABundles(hooks)
	if err != nil {
		return nil, needs("webhook-ca")
	}
	if !slices.ContainsFunc(current, func(ca *x509.Certificate) bool { return slices.ContainsFunc(known, ca.Equal) }) {
		return []result{bad(object, "Copy Gatekeeper's present CA into it, or set the value tls.clientCA.fromWebhook of this chart, which follows it.",
			"it holds another CA than Gatekeeper's webhook, whose certificate the provider therefore refuses")}, nil
	}
	return expiring(object, "the client CA", "Set the value tls.clientCA.fromWebhook of this chart, which follows Gatekeeper's CA.", known, s.cfg.Now()), nil
}

// clientCAs are those in the file of the provider, from where it is mounted.
func (s *scene) clientCAs(ctx context.Context, d *appsv1.Deployment, file string) ([]*x509.Certificate, string, error) {
	source := mounted(d, file)
	var content []byte
	var object string
	switch {
	case source.ConfigMap != nil:
		object = named("ConfigMap", d.Namespace, source.ConfigMap.Name)
		found, err := as[corev1.ConfigMap](s.reader.get(ctx, configMaps, d.Namespace, source.ConfigMap.Name))
		if err != nil {
			return nil, "", err
		}
		if found != nil {
			content = []byte(found.Data[itemKey(source.ConfigMap.Items, file)])
		}
	case source.Secret != nil:
		object = named("Secret", d.Namespace, source.Secret.SecretName)
		found, err := as[corev1.Secret](s.reader.get(ctx, secrets, d.Namespace, source.Secret.SecretName))
		if err != nil {
			return nil, "", err
		}
		if found != nil {
			content = found.Data[itemKey(source.Secret.Items, file)]
		}
	default:
		return nil, "", cannot{why: "the file " + visible(file) + " of the client CA is in no ConfigMap or Secret", fix: "Compare it with the caBundle of Gatekeeper's webhook."}
	}
	cas, err := certs.ParsePEM(content)
	if err != nil {
		return nil, "", cannot{why: object + " holds no CA that can be read: " + visible(err.Error()), fix: "Put Gatekeeper's CA into it."}
	}
	return cas, object, nil
}
