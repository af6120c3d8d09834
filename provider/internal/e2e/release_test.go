// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

var secretResource = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// release is a release of the provider's chart beside that of the cluster. All
// that it makes, its ServiceAccount and its Provider object among it, has its
// name, and its namespace is called so too.
type release struct {
	name   string
	helm   string // helm of the kit, or the path of another one
	values []string
}

// newRelease makes the namespace with what the chart expects in it. url is the
// host and port at which Gatekeeper finds the provider.
func newRelease(t *testing.T, name, url string, values ...string) release {
	t.Helper()
	r := release{name: name, helm: "helm", values: []string{
		"--set", "fullnameOverride=" + name, "--set", "provider.name=" + name,
		"--set", "provider.url=https://" + at("localhost", url) + "/validate", "--set", "tls.extraNames={localhost}",
		"--set", "endorNamespace=" + testbed.Namespace, "--set", "auth.existingSecret=endor-api-key",
		// It is there already, of the cluster's own release.
		"--set", "policies.enabled=false",
	}}
	r.values = append(r.values, values...)
	manifest := fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}
---
{apiVersion: v1, kind: Secret, metadata: {name: endor-api-key, namespace: %[1]s}, stringData: {api-key: %[2]q, api-secret: %[3]q}}
`, name, testbed.APIKey, testbed.APISecret)
	if err := cluster.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	return r
}

// at is the address with another host.
func at(host, address string) string {
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(host, port)
}

func (r release) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	stdout, stderr, err := cluster.Run(t.Context(), localcluster.Command{
		Program: r.helm, Args: append(args, "--namespace", r.name),
	})
	return stdout + stderr, err
}

// mustRun runs helm with a command for the release, the chart and its values.
func (r release) mustRun(t *testing.T, command string, more ...string) string {
	t.Helper()
	args := append([]string{command, r.name, filepath.Join(config.Root, localcluster.Chart)}, r.values...)
	output, err := r.run(t, append(args, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// rollback takes the release back to a revision.
func (r release) rollback(t *testing.T, revision string) {
	t.Helper()
	if _, err := r.run(t, "rollback", r.name, revision); err != nil {
		t.Fatal(err)
	}
}

// replica starts a process of the release as it is now.
func (r release) replica(t *testing.T, suffix string, flags ...string) *localcluster.Replica {
	t.Helper()
	replica, err := cluster.NewReplica(r.name+"-"+suffix, flags...)
	if err != nil {
		t.Fatal(err)
	}
	r.start(t, replica)
	return replica
}

// start starts a replica that the test ends with.
func (r release) start(t *testing.T, replica *localcluster.Replica) {
	t.Helper()
	if err := replica.Load(t.Context(), r.name, r.name); err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := replica.Kill(); err != nil {
			t.Error(err)
		}
	})
}

// judge has Gatekeeper ask the provider of the release about the Pods of its
// namespace, until what it gives is called or the test ends.
func (r release) judge(t *testing.T) (p place, end func()) {
	t.Helper()
	if err := cluster.WaitForProviderNamed(t.Context(), r.name); err != nil {
		t.Fatal(err)
	}
	// Not that of the release, where its own Pods are.
	p = place{name: r.name + "-apps"}
	manifest := fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sEndorSignedImages
metadata: {name: %[1]s}
spec:
  match: {namespaces: [%[1]s], kinds: [%[2]s]}
  parameters: {provider: %[3]s, namespace: acme, signers: [{sourceRepository: acme/*}]}
`, p.name, pods, r.name)
	if err := cluster.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "k8sendorsignedimages", p.name); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	if err := cluster.WaitForConstraint(t.Context(), p.name); err != nil {
		t.Fatal(err)
	}
	return p, end
}

// mustJudge holds that a signed Pod is admitted and an unsigned one is not. No
// cache of Gatekeeper knows the answers.
func (p place) mustJudge(t *testing.T) {
	t.Helper()
	if got := dryRun(cluster, p.name, "signed", tagged()); got.err != nil {
		t.Errorf("a signed Pod is refused: %v", got.err)
	}
	if got := dryRun(cluster, p.name, "unsigned", fresh()); !got.refused("NOT_SIGNED") {
		t.Errorf("an unsigned Pod: %v, want a refusal with NOT_SIGNED", got.err)
	}
}

// tagged is the signed image by a key that Gatekeeper has not asked about yet.
func tagged() string {
	name, digest, _ := strings.Cut(signed, "@")
	_, unique, _ := strings.Cut(fresh(), "@sha256:")
	return name + ":" + unique[:16] + "@" + digest
}

// load is a stream of admissions, and of calls as Gatekeeper makes them after a
// restart: with a new connection each, and trusting what the Provider object
// says.
type load struct {
	stop   context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex // protects what follows
	done   map[string]int
	failed []string
}

// startLoad asks until [load.end]. Every answer has to be right.
func (r release) startLoad(t *testing.T, p place) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, done: map[string]int{}}
	t.Cleanup(func() {
		stop()
		l.wg.Wait()
	})
	pair := clientPair(t, cluster.GatekeeperCA)
	streams := map[string]func() error{
		"signed Pods admitted": func() error { return dryRun(cluster, p.name, "signed", tagged()).err },
		"unsigned Pods refused": func() error {
			if got := dryRun(cluster, p.name, "unsigned", fresh()); !got.refused("NOT_SIGNED") {
				return fmt.Errorf("an unsigned Pod: %w", errors.Join(errors.New("not refused with NOT_SIGNED"), got.err))
			}
			return nil
		},
		"new connections": func() error { return r.call(context.WithoutCancel(ctx), pair) },
	}
	for what, ask := range streams {
		for range 2 {
			l.wg.Go(func() {
				for ctx.Err() == nil {
					began := time.Now()
					err := ask()
					l.mu.Lock()
					if err != nil {
						l.failed = append(l.failed, fmt.Sprintf("%s, after %s: %v", began.Format("15:04:05.000"), time.Since(began).Round(time.Millisecond), err))
					} else {
						l.done[what]++
					}
					l.mu.Unlock()
					select {
					case <-ctx.Done():
					case <-time.After(40 * time.Millisecond):
					}
				}
			})
		}
	}
	return l
}

// end tells what became of the load.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.wg.Wait()
	t.Logf("under load: %v, failed: %d", l.done, len(l.failed))
	for i, failure := range l.failed {
		if i == 5 {
			t.Errorf("and %d more", len(l.failed)-i)
			break
		}
		t.Error(failure)
	}
	if len(l.done) != 3 {
		t.Errorf("some stream had no success at all: %v", l.done)
	}
}

// clientPair is a client certificate with Gatekeeper's name.
func clientPair(t *testing.T, issuer *certs.Authority) tls.Certificate {
	t.Helper()
	issued, err := issuer.Issue(time.Hour, testbed.GatekeeperName)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// call asks the provider at the URL that the Provider object of the release
// gives, over a new connection, and trusts whom that object trusts.
func (r release) call(ctx context.Context, pair tls.Certificate) error {
	spec, roots, err := r.provider(ctx)
	if err != nil {
		return err
	}
	url, _, _ := unstructured.NestedString(spec, "url")
	return call(ctx, url, roots, pair)
}

func call(ctx context.Context, url string, roots *x509.CertPool, pair tls.Certificate) error {
	request, err := json.Marshal(externaldata.NewProviderRequest([]string{signed}))
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{pair}},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if !strings.Contains(string(body), "VERIFIED") {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}

// provider gives the Provider object's spec and whom it trusts.
func (r release) provider(ctx context.Context) (map[string]any, *x509.CertPool, error) {
	object, err := cluster.Dynamic.Resource(localcluster.Providers).Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	spec, _, err := unstructured.NestedMap(object.Object, "spec")
	if err != nil {
		return nil, nil, err
	}
	cas, err := bundle(spec)
	return spec, certs.Pool(cas), err
}

func bundle(spec map[string]any) ([]*x509.Certificate, error) {
	encoded, _ := spec["caBundle"].(string)
	pem, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	return certs.ParsePEM(pem)
}

// authorities are those that Gatekeeper is told to trust.
func (r release) authorities(ctx context.Context) ([]*x509.Certificate, error) {
	spec, _, err := r.provider(ctx)
	if err != nil {
		return nil, err
	}
	return bundle(spec)
}

// served is the certificate that a replica shows to Gatekeeper.
func served(t *testing.T, replica *localcluster.Replica) *x509.Certificate {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{clientPair(t, cluster.GatekeeperCA)},
		InsecureSkipVerify: true, // whose it is, the test looks at
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", replica.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}
