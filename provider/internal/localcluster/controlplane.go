// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

// lifetime of all certificates.
const lifetime = 30 * 24 * time.Hour

// prepareControlPlane makes etcd, kube-apiserver and kube-controller-manager.
func (c *Cluster) prepareControlPlane() error {
	c.ports = ports{}
	var client, peer, server, manager string
	if err := c.ports.addresses(&client, &peer, &server, &manager); err != nil {
		return err
	}
	c.server, c.token = "https://"+server, rand.Text()
	if err := c.writeControlPlane(); err != nil {
		return err
	}

	etcdURL := "http://" + client
	c.Etcd = c.add(&Process{
		Name: etcd, program: c.cfg.Kit.program(etcd), ready: answers(http.DefaultClient, etcdURL+"/readyz"),
		Args: []string{
			"--name=local", "--data-dir=" + c.path("etcd"),
			"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
			"--listen-peer-urls=http://" + peer, "--initial-advertise-peer-urls=http://" + peer, "--initial-cluster=local=http://" + peer,
			// What is in it is thrown away with the cluster.
			"--unsafe-no-fsync", "--log-level=warn",
		},
	})
	c.APIServer = c.add(&Process{
		Name: kubeAPIServer, program: c.cfg.Kit.program(kubeAPIServer), ready: answers(c.httpClient(), c.server+"/readyz"),
		Args: []string{
			"--etcd-servers=" + etcdURL, "--bind-address=127.0.0.1", "--secure-port=" + portOf(server),
			"--tls-cert-file=" + c.path("pki", "server.crt"), "--tls-private-key-file=" + c.path("pki", "server.key"),
			"--token-auth-file=" + c.path("pki", "tokens.csv"), "--authorization-mode=RBAC",
			"--service-account-issuer=https://localhost",
			"--service-account-key-file=" + c.path("pki", "accounts.crt"), "--service-account-signing-key-file=" + c.path("pki", "accounts.key"),
			"--service-cluster-ip-range=10.0.0.0/24",
			// Nobody finds it by its Service, which may not point to loopback.
			"--endpoint-reconciler-type=none",
			// It would refuse Pods until their namespace has its account, which
			// nothing here runs as.
			"--disable-admission-plugins=ServiceAccount",
		},
	})
	c.ControllerManager = c.add(&Process{
		Name: controllerManager, program: c.cfg.Kit.program(controllerManager), ready: answers(c.httpClient(), "https://"+manager+"/healthz"),
		Args: []string{
			"--kubeconfig=" + c.Kubeconfig, "--bind-address=127.0.0.1", "--secure-port=" + portOf(manager),
			"--tls-cert-file=" + c.path("pki", "server.crt"), "--tls-private-key-file=" + c.path("pki", "server.key"),
			"--root-ca-file=" + c.path("pki", "ca.crt"), "--service-account-private-key-file=" + c.path("pki", "accounts.key"),
			"--leader-elect=false",
			// What a controller could not create it tries again soon.
			"--kube-api-qps=200", "--kube-api-burst=400",
		},
	})
	return nil
}

// writeControlPlane writes certificates and credentials, and makes the clients
// that use them.
func (c *Cluster) writeControlPlane() error {
	var err error
	if c.authority, err = certs.NewAuthority("local-cluster-ca", lifetime); err != nil {
		return err
	}
	server, serverErr := c.authority.Issue(lifetime, "localhost", "127.0.0.1", "kubernetes.default.svc")
	accounts, accountsErr := c.authority.Issue(lifetime, "service-accounts")
	if err := errors.Join(serverErr, accountsErr, os.MkdirAll(c.path("pki"), 0o755)); err != nil {
		return err
	}
	files := map[string][]byte{
		"ca.crt": c.authority.CertPEM(), "server.crt": server.Cert, "server.key": server.Key,
		"accounts.crt": accounts.Cert, "accounts.key": accounts.Key,
		"tokens.csv": []byte(c.token + ",admin,admin,system:masters\n"),
	}
	for name, content := range files {
		if err := os.WriteFile(c.path("pki", name), content, 0o600); err != nil {
			return err
		}
	}
	if err := c.writeKubeconfig(c.Kubeconfig, c.token); err != nil {
		return err
	}
	c.Dynamic, err = dynamic.NewForConfig(c.RESTConfig())
	return err
}

// RESTConfig is how a client of Kubernetes may do everything, without a limit
// on requests.
func (c *Cluster) RESTConfig() *rest.Config {
	return &rest.Config{
		Host: c.server, BearerToken: c.token, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.authority.CertPEM()},
	}
}

// httpClient trusts what the cluster's authority issued.
func (c *Cluster) httpClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(c.authority.Certificate())
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}}
}

// answers asks url once, and gives an error unless the answer is 200.
func answers(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
			return fmt.Errorf("%s: %s: %s", url, resp.Status, body)
		}
		return nil
	}
}
