// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	host         = "endor.endor-system.svc"
	secretPath   = "/api/v1/namespaces/endor-system/secrets/endor-tls"
	providerPath = "/apis/externaldata.gatekeeper.sh/v1beta1/providers/endor"
	webhookPath  = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/gatekeeper"
	rolePath     = "/apis/rbac.authorization.k8s.io/v1/clusterroles/endor"
	overlap      = time.Hour
	day          = 24 * time.Hour
)

// log is what a part says, for tests that look at it.
type log struct{ logtest.Log }

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// replica is a provider's own certificate and Provider object, wired as the
// program does.
type replica struct {
	own     *cluster.OwnCertificate
	object  *cluster.ProviderObject
	serving *cluster.Serving
	log     *log
	stop    func()
}

func start(t *testing.T, a *api, overlap time.Duration) *replica {
	t.Helper()
	return startNamed(t, a, overlap, host)
}

// startNamed starts a replica whose certificate has these names.
func startNamed(t *testing.T, a *api, overlap time.Duration, names ...string) *replica {
	t.Helper()
	r := &replica{log: &log{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.log)
		}
	})
	r.object = &cluster.ProviderObject{
		Name: "endor", URL: "https://" + host + ":443/validate", Timeout: 2 * time.Second, Owner: "endor", Overlap: overlap,
		Client: a.client(t), Log: r.log.logger(),
	}
	r.own = &cluster.OwnCertificate{
		Namespace: "endor-system", Name: "endor-tls", Names: names, Overlap: overlap,
		Published: r.object.Trusts, Client: a.client(t), Log: r.log.logger(), Changed: r.object.Look,
	}
	r.object.CAs, r.object.Changed = r.own.CAs, r.own.Look
	r.serving = &cluster.Serving{Newest: r.own.Pair, Name: host, Published: r.object.Published, Overlap: overlap}
	r.stop = background(r.own.Run, r.object.Run)
	return r
}

// mounted is the Provider object of a replica whose authority is in a file.
type mounted struct {
	*cluster.ProviderObject
	mu   sync.Mutex
	file []*x509.Certificate
}

func mount(t *testing.T, a *api, ca *x509.Certificate) *mounted {
	t.Helper()
	m := &mounted{file: []*x509.Certificate{ca}}
	m.ProviderObject = &cluster.ProviderObject{
		Name: "endor", URL: "https://" + host + ":443/validate", Timeout: 2 * time.Second, Owner: "endor", Overlap: overlap,
		Client: a.client(t), Log: slog.New(slog.DiscardHandler), CAs: m.cas,
	}
	return m
}

func (m *mounted) cas() []*x509.Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.file
}

// replace replaces the file, which the replica sees when it looks.
func (m *mounted) replace(ca *x509.Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.file = []*x509.Certificate{ca}
}

// withReplica has one replica, which has done all that it does at its start, until
// play ends.
func withReplica(t *testing.T, play func(t *testing.T, a *api, r *replica)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := installed()
		r := start(t, a, overlap)
		defer r.stop()
		time.Sleep(settled)
		play(t, a, r)
	})
}

// background runs parts until the function that it gives is called.
func background(parts ...func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range parts {
		wg.Go(func() { _ = run(ctx) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// installed is what a chart leaves in a cluster before the program runs.
func installed() *api {
	a := newAPI()
	a.put(secretPath, map[string]any{"apiVersion": "v1", "kind": "Secret"})
	a.put(rolePath, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"})
	return a
}

// trustedBy are the authorities in the Provider object.
func trustedBy(t *testing.T, a *api) *x509.CertPool {
	t.Helper()
	return certs.Pool(bundle(t, a))
}

func bundle(t *testing.T, a *api) []*x509.Certificate {
	t.Helper()
	object := a.get(providerPath)
	if object == nil {
		t.Fatal("there is no Provider object")
	}
	encoded := object.Object["spec"].(map[string]any)["caBundle"].(string)
	pem, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	cas, err := certs.ParsePEM(pem)
	if err != nil {
		t.Fatal(err)
	}
	return cas
}

// accepts says whether Gatekeeper, which trusts roots, takes pair for the
// provider.
func accepts(pair tls.Certificate, roots *x509.CertPool) error {
	if len(pair.Certificate) == 0 {
		return fmt.Errorf("nothing is served")
	}
	_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: time.Now()})
	return err
}

func TestReplicasThatStartTogetherAgreeOnOneCertificate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := installed()
		var replicas []*replica
		for range 5 {
			r := start(t, a, overlap)
			defer r.stop()
			replicas = append(replicas, r)
		}
		time.Sleep(settled)
		for i, r := range replicas {
			if got, want := r.serving.Pair(), replicas[0].serving.Pair(); !bytes.Equal(got.Certificate[0], want.Certificate[0]) {
				t.Errorf("replica %d serves another certificate than replica 0", i)
			}
			if err := accepts(r.serving.Pair(), trustedBy(t, a)); err != nil {
				t.Errorf("replica %d: Gatekeeper refuses it: %v", i, err)
			}
		}
		object := a.get(providerPath)
		if owners := object.GetOwnerReferences(); len(owners) != 1 || owners[0].UID != a.get(rolePath).GetUID() {
			t.Errorf("the Provider's owners are %+v, want the ClusterRole", owners)
		}
		spec := object.Object["spec"].(map[string]any)
		if spec["url"] != "https://"+host+":443/validate" || fmt.Sprint(spec["timeout"]) != "2" {
			t.Errorf("spec = %v", spec)
		}
		writes, requests := a.written(), a.asked()
		time.Sleep(day)
		if a.written() != writes {
			t.Errorf("%d writes in a day in which nothing changed", a.written()-writes)
		}
		if n := a.asked() - requests; n > 5*24*5 {
			t.Errorf("%d requests in a day in which nothing changed, of five replicas", n)
		}
	})
}

// settled is enough for everything that needs no overlap.
const settled = 30 * time.Second

// Over 300 days with three replicas, of which one is replaced every week, a
// Gatekeeper that read the Provider object up to a minute ago accepts whatever
// any replica serves.
func TestRotationsAreNeverNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const overlap = 24 * time.Hour
		a := installed()
		var replicas [3]*replica
		for i := range replicas {
			replicas[i] = start(t, a, overlap)
		}
		defer func() {
			for _, r := range replicas {
				r.stop()
			}
		}()
		time.Sleep(settled)
		served, authorities := map[string]bool{}, map[string]bool{}
		const look = 6 * time.Hour
		for i := range int(300 * day / look) {
			late := trustedBy(t, a)
			time.Sleep(time.Minute)
			for n, r := range replicas {
				pair := r.serving.Pair()
				served[string(pair.Certificate[0])] = true
				for when, roots := range map[string]*x509.CertPool{"a minute ago": late, "now": trustedBy(t, a)} {
					if err := accepts(pair, roots); err != nil {
						t.Fatalf("after %v: replica %d is refused by a Gatekeeper that read the Provider %s: %v", time.Duration(i)*look, n, when, err)
					}
				}
			}
			for _, ca := range bundle(t, a) {
				authorities[string(ca.Raw)] = true
			}
			if week := int(7 * day / look); i%week == 0 {
				n := i / week % len(replicas)
				replicas[n].stop()
				replicas[n] = start(t, a, overlap)
			}
			time.Sleep(look - time.Minute)
		}
		if len(served) < 5 || len(authorities) != 2 {
			t.Errorf("%d pairs of %d authorities in 300 days; they were not rotated", len(served), len(authorities))
		}
		if n := len(bundle(t, a)); n != 1 {
			t.Errorf("%d authorities are trusted, want the old one to leave", n)
		}
	})
}

func TestRemovingTheKeyOfTheAuthorityRotatesItWithAnOverlap(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		before := r.serving.Pair()

		edit(a, func(data map[string]any) { delete(data, "ca.key") })
		time.Sleep(settled)
		if got := r.serving.Pair(); !bytes.Equal(got.Certificate[0], before.Certificate[0]) || len(bundle(t, a)) != 2 {
			t.Fatalf("%d authorities are trusted; want the new one to be trusted first, and the old pair to be served", len(bundle(t, a)))
		}
		time.Sleep(overlap + overlap/4 + time.Minute)
		_ = r.serving.Pair()
		time.Sleep(settled)
		after := r.serving.Pair()
		if bytes.Equal(after.Certificate[0], before.Certificate[0]) || after.Leaf.CheckSignatureFrom(bundle(t, a)[1]) != nil {
			t.Fatal("an overlap later the pair is not of the new authority")
		}
		time.Sleep(2 * overlap)
		if err := accepts(before, trustedBy(t, a)); err == nil {
			t.Error("two overlaps later the old authority is still trusted")
		}
	})
}

func TestRemovingThePairMakesANewOneOfTheSameAuthority(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		before, trusted := r.serving.Pair(), bundle(t, a)
		edit(a, func(data map[string]any) { delete(data, "tls.crt") })
		time.Sleep(settled)
		_ = r.serving.Pair()
		time.Sleep(settled)
		after := r.serving.Pair()
		if bytes.Equal(after.Certificate[0], before.Certificate[0]) || len(bundle(t, a)) != 1 || !bundle(t, a)[0].Equal(trusted[0]) {
			t.Error("want a new pair of the same authority")
		}
	})
}

func TestASecretThatWasEmptiedIsFilledAgain(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		edit(a, func(data map[string]any) { clear(data) })
		time.Sleep(settled)
		if err := accepts(r.serving.Pair(), trustedBy(t, a)); err != nil {
			t.Errorf("Gatekeeper refuses it: %v", err)
		}
	})
}

func TestWithoutItsSecretTheProviderSaysSoOnceAndServesWhatItHad(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		a.remove(secretPath)
		time.Sleep(day)
		if err := accepts(r.serving.Pair(), trustedBy(t, a)); err != nil {
			t.Errorf("Gatekeeper refuses it: %v", err)
		}
		if n := r.log.Count("whoever installed this has to create it"); n != 1 {
			t.Errorf("it was said %d times, want once", n)
		}
	})
}

func TestAnOutageOfTheAPIServerChangesNothing(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		a.outage(true)
		before, requests := r.serving.Pair(), a.asked()
		time.Sleep(2 * time.Hour)
		if got := r.serving.Pair(); !bytes.Equal(got.Certificate[0], before.Certificate[0]) {
			t.Error("another certificate is served")
		}
		if n := a.asked() - requests; n > 20*2*60 {
			t.Errorf("%d requests in two hours of refused connections", n)
		}
		a.outage(false)
		edit(a, func(data map[string]any) { delete(data, "tls.crt") })
		time.Sleep(2 * time.Minute)
		_ = r.serving.Pair()
		time.Sleep(settled)
		if got := r.serving.Pair(); bytes.Equal(got.Certificate[0], before.Certificate[0]) {
			t.Error("after the outage nothing is followed any more")
		}
	})
}

func TestANewAuthorityIssuesNothingBeforeGatekeeperTrustsIt(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		before := r.serving.Pair()
		a.mu.Lock()
		a.refuse = func(req *http.Request) bool { return req.Method == http.MethodPatch }
		a.mu.Unlock()
		requests := a.asked()
		edit(a, func(data map[string]any) { delete(data, "ca.key") })
		time.Sleep(5 * overlap)
		if got := r.serving.Pair(); !bytes.Equal(got.Certificate[0], before.Certificate[0]) {
			t.Error("a certificate is served that Gatekeeper does not trust")
		}
		if n := a.asked() - requests; n > 5*60*5 {
			t.Errorf("%d requests in five hours of refused writes", n)
		}
		if n := r.log.Count("apply Provider endor"); n != 1 {
			t.Errorf("the refusal was said %d times, want once", n)
		}
	})
}

// edit changes the data of the Secret as kubectl would.
func edit(a *api, change func(data map[string]any)) {
	secret := a.get(secretPath)
	data, _ := secret.Object["data"].(map[string]any)
	change(data)
	secret.Object["data"] = data
	a.put(secretPath, secret.Object)
}

func TestTheProviderObjectIsPutRightWhenSomebodyChangesIt(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, _ *replica) {
		object := a.get(providerPath)
		object.Object["spec"].(map[string]any)["url"] = "https://elsewhere/validate"
		a.put(providerPath, object.Object)
		time.Sleep(settled)
		if got := a.get(providerPath).Object["spec"].(map[string]any)["url"]; got != "https://"+host+":443/validate" {
			t.Errorf("url = %v", got)
		}
		a.remove(providerPath)
		time.Sleep(settled)
		if a.get(providerPath) == nil {
			t.Error("it was deleted, and not created again")
		}
	})
}

func TestAnAuthorityOfFilesStaysInTheProviderForTheOverlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := installed()
		old, renewed := authority(t), authority(t)
		first, second := mount(t, a, old.Certificate()), mount(t, a, old.Certificate())
		defer background(first.Run, second.Run)()
		time.Sleep(settled)
		first.replace(renewed.Certificate())
		second.replace(renewed.Certificate())
		first.Look()
		time.Sleep(settled)
		if n := len(bundle(t, a)); n != 2 {
			t.Fatalf("%d authorities right after the files changed, want old and new", n)
		}
		time.Sleep(2 * overlap)
		if got := bundle(t, a); len(got) != 1 || !got[0].Equal(renewed.Certificate()) {
			t.Errorf("%d authorities after the overlap, want the new one", len(got))
		}
		writes := a.written()
		time.Sleep(day)
		if a.written() != writes {
			t.Errorf("%d writes afterwards: the replicas do not agree", a.written()-writes)
		}
	})
}

func authority(t *testing.T) *certs.Authority {
	t.Helper()
	ca, err := certs.NewAuthority("test", 10*365*day)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}
