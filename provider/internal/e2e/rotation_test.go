// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

// fleet is a release with replicas behind a Service.
type fleet struct {
	release
	service  *balancer
	replicas []*localcluster.Replica
}

// newFleet installs a release and starts replicas of it, all at the same time.
// prepare makes what the chart expects beside the API key.
func newFleet(t *testing.T, name string, replicas int, prepare func(release), values, flags []string) *fleet {
	t.Helper()
	f := &fleet{service: newBalancer(t)}
	f.release = newRelease(t, name, f.service.address, values...)
	if prepare != nil {
		prepare(f.release)
	}
	f.mustRun(t, "install")
	var starts errgroup.Group
	for i := range replicas {
		replica, err := cluster.NewReplica(fmt.Sprintf("%s-%d", name, i), flags...)
		if err != nil {
			t.Fatal(err)
		}
		if err := replica.Load(t.Context(), name, name); err != nil {
			t.Fatal(err)
		}
		f.replicas = append(f.replicas, replica)
		starts.Go(func() error { return replica.Start(t.Context()) })
		t.Cleanup(func() {
			if err := replica.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
	if err := starts.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, replica := range f.replicas {
		f.service.add(replica.Address)
	}
	return f
}

// servesOther waits until all replicas serve one certificate that is not the
// one before, and gives it.
func (f *fleet) servesOther(t *testing.T, before *x509.Certificate) *x509.Certificate {
	t.Helper()
	var now *x509.Certificate
	eventually(t, func() error {
		now = served(t, f.replicas[0])
		if before != nil && now.Equal(before) {
			return errors.New("the certificate before is still served")
		}
		for _, replica := range f.replicas[1:] {
			if !served(t, replica).Equal(now) {
				return errors.New("replicas serve different certificates")
			}
		}
		return nil
	})
	return now
}

// trusts waits until Gatekeeper is told to trust as many authorities, and gives
// them.
func (f *fleet) trusts(t *testing.T, n int) []*x509.Certificate {
	t.Helper()
	var cas []*x509.Certificate
	eventually(t, func() error {
		var err error
		if cas, err = f.authorities(t.Context()); err == nil && len(cas) != n {
			err = fmt.Errorf("the Provider object trusts %d authorities, want %d", len(cas), n)
		}
		return err
	})
	return cas
}

// forget removes a key of the Secret that holds the certificate.
func (f *fleet) forget(t *testing.T, key string) {
	t.Helper()
	_, err := cluster.Dynamic.Resource(secretResource).Namespace(f.name).Patch(t.Context(), f.name+"-tls",
		types.JSONPatchType, fmt.Appendf(nil, `[{"op": "remove", "path": "/data/%s"}]`, key), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReplicasThatStartTogetherServeOneCertificateThatGatekeeperTrusts(t *testing.T) {
	f := newFleet(t, "together", 3, nil, nil, nil)
	leaf := f.servesOther(t, nil)
	roots := certs.Pool(f.trusts(t, 1))
	for _, name := range []string{"together.together.svc", "localhost"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	p, _ := f.judge(t)
	p.mustJudge(t)
}

// The operator removes tls.crt from the Secret, and later ca.key.
func TestNoAdmissionFailsWhileTheProvidersCertificateAndThenItsAuthorityAreReplaced(t *testing.T) {
	f := newFleet(t, "rotated", 2, nil, []string{"--set", "tls.caOverlap=4s"}, nil)
	before := f.trusts(t, 1)[0]
	first := f.servesOther(t, nil)
	p, _ := f.judge(t)
	l := f.startLoad(t, p)

	f.forget(t, "tls.crt")
	second := f.servesOther(t, first)
	if err := second.CheckSignatureFrom(before); err != nil {
		t.Errorf("the new certificate is not of the same authority: %v", err)
	}

	f.forget(t, "ca.key")
	both := f.trusts(t, 2)
	third := f.servesOther(t, second)
	after := f.trusts(t, 1)[0]
	if after.Equal(before) || !after.Equal(both[1]) {
		t.Error("the authority that is left is not the new one")
	}
	if err := third.CheckSignatureFrom(after); err != nil {
		t.Errorf("the certificate is not of the new authority: %v", err)
	}
	// Once more with the Provider object as it stays.
	if err := cluster.WaitForProviderNamed(t.Context(), f.name); err != nil {
		t.Error(err)
	}
	p.mustJudge(t)
	l.end(t)
	f.mustNotBeForbidden(t)
}

// cert-manager renews the certificate and its authority at once, and kubelets
// replace the files of each replica at a time of their own.
func TestNoAdmissionFailsWhileCertManagersCertificateAndItsAuthorityAreReplaced(t *testing.T) {
	installCertManagerCRDs(t)
	f := newFleet(t, "renewed", 2, func(r release) { r.issue(t) },
		[]string{"--set", "tls.mode=cert-manager", "--set", "tls.caOverlap=8s"}, []string{"--reload-interval=250ms"})
	before := f.trusts(t, 1)[0]
	first := f.servesOther(t, nil)
	p, _ := f.judge(t)
	l := f.startLoad(t, p)

	f.issue(t)
	for i, replica := range f.replicas {
		if err := replica.Load(t.Context(), f.name, f.name); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			both := f.trusts(t, 2)
			if !both[0].Equal(before) && !both[1].Equal(before) {
				t.Error("the authority before is not trusted any more")
			}
		}
	}
	second := f.servesOther(t, first)
	after := f.trusts(t, 1)[0]
	if err := second.CheckSignatureFrom(after); err != nil || after.Equal(before) {
		t.Errorf("the authority that is left is not the new one: %v", err)
	}
	if err := cluster.WaitForProviderNamed(t.Context(), f.name); err != nil {
		t.Error(err)
	}
	p.mustJudge(t)
	l.end(t)
	f.mustNotBeForbidden(t)
}

// The operator renews twice, as the help of scripts/gen-certs.sh says: first the
// values, which trust the certificate before too, then the Secret, which kubelets
// bring to each replica at a time of its own.
func TestNoAdmissionFailsWhileAGeneratedCertificateIsRenewed(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "first")
	valuesOf := func(folder string) string { return filepath.Join(folder, "values.yaml") }
	f := newFleet(t, "regenerated", 2, func(r release) {
		r.generate(t, folder)
		applySecret(t, folder)
	}, []string{"--values", valuesOf(folder)}, []string{"--reload-interval=250ms"})
	trusted := f.trusts(t, 1)[0]
	shown := f.servesOther(t, nil)
	p, _ := f.judge(t)
	l := f.startLoad(t, p)

	for _, renewal := range []string{"second", "third"} {
		before := folder
		folder = filepath.Join(t.TempDir(), renewal)
		f.generate(t, folder, "--previous", valuesOf(before))
		f.mustRun(t, "upgrade", "--values", valuesOf(folder))
		both := f.trusts(t, 2)
		if !both[1].Equal(trusted) {
			t.Errorf("%s: the authority before is not trusted any more", renewal)
		}
		// Which takes less time than a kubelet does.
		if err := cluster.WaitForProviderNamed(t.Context(), f.name); err != nil {
			t.Fatal(err)
		}
		applySecret(t, folder)
		for _, replica := range f.replicas {
			if err := replica.Load(t.Context(), f.name, f.name); err != nil {
				t.Fatal(err)
			}
			p.mustJudge(t)
		}
		shown, trusted = f.servesOther(t, shown), both[0]
		if err := shown.CheckSignatureFrom(trusted); err != nil {
			t.Errorf("%s: the certificate is not of the new authority: %v", renewal, err)
		}
	}
	p.mustJudge(t)
	l.end(t)
	f.mustNotBeForbidden(t)
}

// A rolling upgrade as Kubernetes does it: a new replica gets connections once
// it is ready; an old one is told to end, and gets none any more a moment after
// it says that it is not ready.
func TestNoAdmissionFailsWhileTheProviderIsUpgraded(t *testing.T) {
	f := newFleet(t, "upgraded", 2, nil, nil, nil)
	p, _ := f.judge(t)
	l := f.startLoad(t, p)

	f.mustRun(t, "upgrade", "--set", "logLevel=debug", "--set", "timeouts.degradedWait=50ms")
	for i, old := range f.replicas {
		next := f.replica(t, fmt.Sprintf("next-%d", i))
		f.service.add(next.Address)
		if err := old.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error { return unready(t.Context(), old) })
		// Nodes take a moment to learn of it. The chart's drainDelay is for that.
		time.Sleep(time.Second)
		f.service.remove(old.Address)
		eventually(t, func() error {
			if old.Running() {
				return errors.New("the old replica still runs")
			}
			return nil
		})
		if err := old.Err(); err != nil {
			t.Errorf("the old replica ended with an error: %v", err)
		}
	}
	p.mustJudge(t)
	l.end(t)
}

func unready(ctx context.Context, replica *localcluster.Replica) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, replica.OpsURL+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil // it has ended
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return errors.New("it still says that it is ready")
	}
	return nil
}

// While Gatekeeper's rotation spreads, some of its Pods show the certificate
// before.
func TestBothOfGatekeepersCertificatesAreAcceptedForTheOverlap(t *testing.T) {
	address, err := cluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	r := newRelease(t, "overlapping", address, "--set", "tls.caOverlap=5s")
	r.mustRun(t, "install")
	r.replica(t, "0", "--listen-address="+address)

	old := clientPair(t, cluster.GatekeeperCA)
	if err := r.call(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := cluster.RotateGatekeeper(t.Context()); err != nil {
		t.Fatal(err)
	}
	renewed := clientPair(t, cluster.GatekeeperCA)
	eventually(t, func() error { return r.call(t.Context(), renewed) })
	if err := r.call(t.Context(), old); err != nil {
		t.Errorf("the certificate before is refused at once: %v", err)
	}
	eventually(t, func() error {
		if r.call(t.Context(), old) == nil {
			return errors.New("the certificate before is accepted for good")
		}
		return nil
	})
	if err := r.call(t.Context(), renewed); err != nil {
		t.Error(err)
	}
	stranger, err := certs.NewAuthority("gatekeeper-ca", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.call(t.Context(), clientPair(t, stranger)); err == nil {
		t.Error("somebody else's certificate is accepted")
	}
}

// mustNotBeForbidden holds that the ServiceAccount may do all that the program
// wants to.
func (r release) mustNotBeForbidden(t *testing.T) {
	t.Helper()
	for _, said := range logLines(t, filepath.Join(config.Dir, "logs", r.name+"*.log"), "forbidden") {
		t.Errorf("the ServiceAccount lacks a permission: %s", said)
	}
}
