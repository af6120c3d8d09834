// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
)

// findDeployment is the provider's: of the Service in the Provider's URL or, if
// that names none, the one with the chart's labels.
func (s *scene) findDeployment(ctx context.Context) (*appsv1.Deployment, error) {
	service, namespace, err := s.service()
	if err != nil {
		return nil, err
	}
	if s.cfg.ReleaseNamespace != "" {
		namespace = s.cfg.ReleaseNamespace
	}
	chosen := map[string]string{}
	if service != "" {
		found, err := as[corev1.Service](s.reader.get(ctx, services, namespace, service))
		if err != nil {
			return nil, err
		}
		if found != nil {
			chosen = found.Spec.Selector
		}
	}
	byLabel := ""
	if len(chosen) == 0 {
		byLabel = chartLabels
	}
	list, err := each[appsv1.Deployment](s.reader.list(ctx, deployments, namespace, byLabel))
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if labels.SelectorFromSet(chosen).Matches(labels.Set(d.Spec.Template.Labels)) {
			return d, nil
		}
	}
	return nil, needs("provider-deployment")
}

// chartLabels are those of the chart's Deployment.
const chartLabels = "app.kubernetes.io/name=endor-gatekeeper-provider,app.kubernetes.io/component=provider"

// service is the Service in the Provider's URL; empty if it names none, as where
// the provider runs outside of the cluster.
func (s *scene) service() (name, namespace string, err error) {
	provider, err := s.provider()
	if err != nil || provider == nil {
		return "", "", err
	}
	parts := strings.Split(host(provider), ".")
	if len(parts) < 3 || parts[2] != "svc" {
		return "", "", nil
	}
	return parts[0], parts[1], nil
}

// host is the name that the provider's certificate has to hold.
func host(provider *unstructured.Unstructured) string {
	address, _, _ := unstructured.NestedString(provider.Object, "spec", "url")
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// running is the provider's Deployment and the settings of its program.
type running struct {
	config.Serve
	deployment *appsv1.Deployment
}

func (r *running) object() string {
	return named("Deployment", r.deployment.Namespace, r.deployment.Name)
}

// readRunning reads the provider's arguments and variables as it does itself.
func (s *scene) readRunning() (*running, error) {
	d, err := s.deployment()
	if err != nil {
		return nil, err
	}
	out := &running{deployment: d}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fs.ParseErrorsAllowlist.UnknownFlags = true
	fs.Usage = func() {}
	out.Bind(fs)
	c := container(d)
	if err := fs.Parse(c.Args); err != nil {
		return nil, cannot{why: "the arguments of the provider cannot be read: " + visible(err.Error()), fix: "Use the release of kubectl-endor that belongs to the provider's."}
	}
	// Variables that come from elsewhere are as good as not set.
	err = config.FromEnvironment(fs, func(name string) string {
		for _, e := range c.Env {
			if e.Name == name {
				return e.Value
			}
		}
		return ""
	})
	if err != nil {
		return nil, cannot{why: "the variables of the provider cannot be read: " + visible(err.Error()), fix: "Use the release of kubectl-endor that belongs to the provider's."}
	}
	return out, nil
}

// container is the first, which holds the program; others are somebody's
// sidecars.
func container(d *appsv1.Deployment) corev1.Container {
	list := d.Spec.Template.Spec.Containers
	for _, c := range list {
		if c.Name == d.Spec.Template.Annotations["kubectl.kubernetes.io/default-container"] {
			return c
		}
	}
	if len(list) == 0 {
		return corev1.Container{}
	}
	return list[0]
}

// argument is the value of a flag of Gatekeeper's; the last one counts.
func argument(d *appsv1.Deployment, name string) (value string, given bool) {
	for _, arg := range container(d).Args {
		flag, v, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if flag == name && strings.HasPrefix(arg, "-") {
			value, given = v, true
			if !hasValue {
				value = "true"
			}
		}
	}
	return value, given
}

// serving are the Deployments of Gatekeeper that answer the webhook.
func serving(list []*appsv1.Deployment) []*appsv1.Deployment {
	var out []*appsv1.Deployment
	for _, d := range list {
		if d.Labels["gatekeeper.sh/operation"] == "webhook" || d.Labels["control-plane"] == "controller-manager" {
			out = append(out, d)
		}
	}
	return out
}

// pod is the Pod that a Deployment makes.
func pod(d *appsv1.Deployment) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(),
		Spec:       *d.Spec.Template.Spec.DeepCopy(),
	}
	p.Namespace, p.Name = d.Namespace, d.Name
	return p
}
