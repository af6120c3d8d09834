// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/wholefile"
)

// WebhookName is Gatekeeper's ValidatingWebhookConfiguration.
const WebhookName = "gatekeeper-validating-webhook-configuration"

// Names of Gatekeeper's two programs and of the Pods that they take themselves
// for; in status.byPod these are the ids.
const (
	gatekeeperPod = "gatekeeper-controller-manager"
	auditPod      = "gatekeeper-audit"
)

// Templates of Gatekeeper's chart that are used of it: what runs here runs with
// the arguments and the webhook rules of a real installation.
const (
	webhookTemplate    = "templates/gatekeeper-validating-webhook-configuration-validatingwebhookconfiguration.yaml"
	gatekeeperTemplate = "templates/gatekeeper-controller-manager-deployment.yaml"
	auditTemplate      = "templates/gatekeeper-audit-deployment.yaml"
)

// prepareGatekeeper makes Gatekeeper's certificate and its two programs.
func (c *Cluster) prepareGatekeeper() error {
	var webhook, health, auditHealth string
	if err := c.ports.addresses(&webhook, &health, &auditHealth); err != nil {
		return err
	}
	c.webhook = webhook
	if err := c.newGatekeeperCA(); err != nil {
		return err
	}
	if err := c.writeGatekeeper(); err != nil {
		return err
	}
	c.Gatekeeper = c.gatekeeperProcess(gatekeeperPod, health)
	c.Audit = c.gatekeeperProcess(auditPod, auditHealth)
	// The audit keeps there what it reviews, and wants to find the folder.
	return os.MkdirAll(c.path("api-cache", auditPod), 0o755)
}

func (c *Cluster) gatekeeperProcess(pod, health string) *Process {
	return c.add(&Process{
		Name: pod, program: c.cfg.Kit.program(gatekeeper), ready: c.gatekeeperReady(pod, "http://"+health+"/readyz"),
		Env: []string{"POD_NAME=" + pod, "POD_NAMESPACE=" + GatekeeperNamespace, "NAMESPACE=" + GatekeeperNamespace, "CONTAINER_NAME=manager"},
		// The chart's come before these when it is rendered; the last one wins.
		Args: []string{
			"--kubeconfig=" + c.Kubeconfig, "--cert-dir=" + c.path("gatekeeper"), "--disable-cert-rotation=true",
			"--host=127.0.0.1", "--port=" + portOf(c.webhook), "--health-addr=" + health, "--shutdown-delay=0",
			"--api-cache-dir=" + c.path("api-cache", pod),
		},
	})
}

func (c *Cluster) gatekeeperReady(pod, url string) func(context.Context) error {
	healthy := answers(c.httpClient(), url)
	if pod != gatekeeperPod {
		return healthy
	}
	return func(ctx context.Context) error {
		if err := healthy(ctx); err != nil {
			return err
		}
		return c.webhookServes(ctx)
	}
}

// webhookServes tells whether the webhook shows a certificate of the present
// authority.
func (c *Cluster) webhookServes(ctx context.Context) error {
	roots := x509.NewCertPool()
	roots.AddCert(c.GatekeeperCA.Certificate())
	dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "localhost"}}
	conn, err := dialer.DialContext(ctx, "tcp", c.webhook)
	if err != nil {
		return fmt.Errorf("gatekeeper's webhook: %w", err)
	}
	return conn.Close()
}

// newGatekeeperCA makes the authority of Gatekeeper's certificate.
func (c *Cluster) newGatekeeperCA() (err error) {
	c.GatekeeperCA, err = certs.NewAuthority("gatekeeper-ca", lifetime)
	return err
}

// writeGatekeeper writes Gatekeeper's certificate, with which it serves the
// webhook and shows itself to providers.
func (c *Cluster) writeGatekeeper() error {
	pair, err := c.GatekeeperCA.Issue(lifetime, testbed.GatekeeperName, "localhost")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.path("gatekeeper"), 0o755); err != nil {
		return err
	}
	return errors.Join(
		wholefile.Write(c.path("gatekeeper", "tls.key"), pair.Key, 0o600),
		wholefile.Write(c.path("gatekeeper", "tls.crt"), pair.Cert, 0o600),
		wholefile.Write(c.path("gatekeeper", "ca.crt"), c.GatekeeperCA.CertPEM(), 0o600),
	)
}

// installGatekeeper makes what Gatekeeper needs to find in the cluster, and
// gives its programs the arguments of the chart.
func (c *Cluster) installGatekeeper(ctx context.Context) error {
	objects, err := c.renderGatekeeper(ctx)
	if err != nil {
		return err
	}
	for _, object := range objects {
		switch object.GetName() {
		case WebhookName:
			c.webhookObject = object
		case gatekeeperPod:
			err = prependArgs(c.Gatekeeper, object)
		case auditPod:
			err = prependArgs(c.Audit, object)
		}
		if err != nil {
			return err
		}
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(c.cfg.Kit.gatekeeperChart(), "crds")); err != nil {
		return err
	}
	var manifest bytes.Buffer
	for _, namespace := range []string{GatekeeperNamespace, ProviderNamespace, "production", "staging"} {
		fmt.Fprintf(&manifest, "---\n{apiVersion: v1, kind: Namespace, metadata: {name: %s}}\n", namespace)
	}
	for _, pod := range []string{gatekeeperPod, auditPod} {
		// Gatekeeper makes objects that belong to its Pod.
		fmt.Fprintf(&manifest, "---\n{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {gatekeeper.sh/system: \"yes\"}}, "+
			"spec: {containers: [{name: manager, image: runs.invalid/outside-of-the-cluster}]}}\n", pod, GatekeeperNamespace)
	}
	return c.Apply(ctx, manifest.String())
}

func (c *Cluster) renderGatekeeper(ctx context.Context) ([]unstructured.Unstructured, error) {
	args := []string{
		"template", "gatekeeper", c.cfg.Kit.gatekeeperChart(), "--namespace", GatekeeperNamespace,
		"--show-only", webhookTemplate, "--show-only", gatekeeperTemplate, "--show-only", auditTemplate,
	}
	if !c.cfg.GatekeeperDefaults {
		args = append(args, "--values", filepath.Join(c.cfg.Root, "deploy", "gatekeeper", "values.yaml"))
	}
	values := []string{
		"validatingWebhookURL=" + net.JoinHostPort("localhost", portOf(c.webhook)),
		"auditInterval=" + strconv.Itoa(int(c.cfg.AuditInterval.Seconds())),
		// There is no mutating webhook, and nobody who would collect metrics: the
		// default is a listener on all interfaces.
		"disableMutation=true", "metricsBackends={opentelemetry}", "otlpEndpoint=127.0.0.1:1",
	}
	if policy := c.cfg.FailurePolicy; policy != "" {
		values = append(values, "validatingWebhookFailurePolicy="+policy)
	}
	if timeout := c.cfg.WebhookTimeout; timeout != 0 {
		values = append(values, "validatingWebhookTimeoutSeconds="+strconv.Itoa(int(timeout.Seconds())))
	}
	if threads := c.cfg.ServingThreads; threads != 0 {
		values = append(values, "maxServingThreads="+strconv.Itoa(threads))
	}
	if ttl := c.cfg.ResponseCacheTTL; ttl != 0 {
		values = append(values, "externaldataProviderResponseCacheTTL="+max(ttl, 0).String())
	}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	rendered, err := c.Helm(ctx, args...)
	if err != nil {
		return nil, err
	}
	return parse(rendered)
}

// parse reads the objects of a manifest.
func parse(manifest string) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	for document := range bytes.SplitSeq([]byte(manifest), []byte("\n---")) {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, fmt.Errorf("read a manifest: %w", err)
		}
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// prependArgs gives a process the arguments that a Deployment's container has.
func prependArgs(p *Process, deployment unstructured.Unstructured) error {
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) == 0 {
		return fmt.Errorf("the chart's Deployment %s has no container: %w", deployment.GetName(), err)
	}
	container, _ := containers[0].(map[string]any)
	args, _, err := unstructured.NestedStringSlice(container, "args")
	p.Args = append(args, p.Args...)
	return err
}

// applyWebhook makes the API server ask Gatekeeper, from the state of its
// certificate on.
func (c *Cluster) applyWebhook(ctx context.Context) error {
	object := c.webhookObject.DeepCopy()
	webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, webhook := range webhooks {
		webhook, _ := webhook.(map[string]any)
		url, _, _ := unstructured.NestedString(webhook, "clientConfig", "url")
		if url == "" {
			// The chart knows a URL for one of the two, and a Service for the other.
			path, _, _ := unstructured.NestedString(webhook, "clientConfig", "service", "path")
			url = "https://" + net.JoinHostPort("localhost", portOf(c.webhook)) + path
		}
		webhook["clientConfig"] = map[string]any{
			"url": url, "caBundle": base64.StdEncoding.EncodeToString(c.GatekeeperCA.CertPEM()),
		}
	}
	if err := unstructured.SetNestedSlice(object.Object, webhooks, "webhooks"); err != nil {
		return err
	}
	manifest, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return c.Apply(ctx, string(manifest))
}

// RotateGatekeeper replaces Gatekeeper's authority and certificate, the
// webhook's caBundle first, as Gatekeeper's own rotation does, and waits until
// Gatekeeper shows the new one. In the meantime the API server cannot reach
// Gatekeeper.
func (c *Cluster) RotateGatekeeper(ctx context.Context) error {
	if err := c.newGatekeeperCA(); err != nil {
		return err
	}
	if err := c.applyWebhook(ctx); err != nil {
		return err
	}
	if err := c.writeGatekeeper(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return poll(ctx, c.webhookServes)
}
