// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
)

// counted counts the writes that are tried, and refuses those beyond a bound, so
// that time passes even for somebody who writes without end.
func counted(a *api) func() int {
	const bound = 1000
	tried := 0
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = func(r *http.Request) bool {
		if r.Method != http.MethodGet {
			tried++
		}
		return tried > bound
	}
	return func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return tried
	}
}

// refusals counts how often a Gatekeeper that read the Provider half a second ago
// refuses what the replica serves.
func refusals(t *testing.T, a *api, r *replica, during time.Duration) int {
	t.Helper()
	n := 0
	for range int(during / (500 * time.Millisecond)) {
		late := trustedBy(t, a)
		time.Sleep(500 * time.Millisecond)
		if accepts(r.serving.Pair(), late) != nil {
			n++
		}
	}
	return n
}

func TestReplicasBeforeAndAfterAnUpgradeThatChangesNamesShareOneCertificate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := installed()
		tried := counted(a)
		before := start(t, a, overlap)
		defer before.stop()
		time.Sleep(settled)
		start := tried()
		after := startNamed(t, a, overlap, host, "extra.example.com")
		defer after.stop()
		time.Sleep(time.Hour)
		if n := tried() - start; n > 5 {
			t.Errorf("%d writes in the hour of the upgrade", n)
		}
		for _, r := range []*replica{before, after} {
			pair := r.serving.Pair()
			if err := pair.Leaf.VerifyHostname("extra.example.com"); err != nil {
				t.Error(err)
			}
			if err := accepts(pair, trustedBy(t, a)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAnAuthorityInTheSecretThatIssuesNothingUsableIsReplaced(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*x509.Certificate){
		"it is not valid yet, since a clock was ahead": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
		"it may issue for other names alone": func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"corp.example.com"}, true
		},
		"it may not sign certificates": func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature },
		"it may issue for clients alone": func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := installed()
				cert, key := foreign(t, change)
				secret := a.get(secretPath)
				secret.Object["data"] = map[string]any{
					"ca.crt": base64.StdEncoding.EncodeToString(cert), "ca.key": base64.StdEncoding.EncodeToString(key),
				}
				a.put(secretPath, secret.Object)
				tried := counted(a)
				r := start(t, a, overlap)
				defer r.stop()
				time.Sleep(time.Minute)
				if err := accepts(r.serving.Pair(), trustedBy(t, a)); err != nil || tried() > 5 {
					t.Errorf("after %d writes: %v", tried(), err)
				}
			})
		})
	}
}

// foreign is an authority that this package did not make, and its key.
func foreign(t *testing.T, change func(*x509.Certificate)) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "foreign"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestWhateverIsEditedInTheSecretGatekeeperDoesNotNotice(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(data map[string]any){
		"it is emptied":                           func(data map[string]any) { clear(data) },
		"the keys of both are removed":            func(data map[string]any) { delete(data, "ca.key"); delete(data, "tls.crt") },
		"the key of the authority is removed":     func(data map[string]any) { delete(data, "ca.key") },
		"the pair gets the key of something else": func(data map[string]any) { data["tls.key"] = data["ca.key"] },
		"there is text after the authorities": func(data map[string]any) {
			raw, _ := base64.StdEncoding.DecodeString(data["ca.crt"].(string))
			data["ca.crt"] = base64.StdEncoding.EncodeToString(append(raw, "# end\n"...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const overlap = 2 * time.Minute
				a := installed()
				r := start(t, a, overlap)
				defer r.stop()
				time.Sleep(settled)
				_ = r.serving.Pair()
				edit(a, change)
				if n := refusals(t, a, r, 4*overlap); n > 0 {
					t.Errorf("a Gatekeeper that is half a second late refused it %d times", n)
				}
			})
		})
	}
}

func TestAnAuthorityThatIsPublishedLateIsStillPublishedFirst(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		_ = r.serving.Pair()
		refuse := func(f func(*http.Request) bool) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.refuse = f
		}
		refuse(func(req *http.Request) bool { return req.Method == http.MethodPatch })
		edit(a, func(data map[string]any) { delete(data, "ca.key") })
		time.Sleep(2 * overlap)
		refuse(nil)
		if n := refusals(t, a, r, 5*time.Minute); n > 0 {
			t.Errorf("refused %d times", n)
		}
	})
}

func TestReplicasWithFilesAndWithASecretAgreeWhileOneModeReplacesTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := installed()
		files := mount(t, a, authority(t).Certificate())
		defer background(files.Run)()
		time.Sleep(settled)
		before := a.written()
		r := start(t, a, overlap)
		defer r.stop()
		time.Sleep(10 * time.Minute)
		if n := a.written() - before; n > 5 {
			t.Errorf("%d writes in ten minutes", n)
		}
		if n := len(bundle(t, a)); n != 2 {
			t.Errorf("%d authorities are trusted, want those of both", n)
		}
	})
}

func TestAProviderOfAnotherReleaseIsLeftAlone(t *testing.T) {
	withReplica(t, func(t *testing.T, a *api, r *replica) {
		before, l := a.written(), &log{}
		other := &cluster.ProviderObject{
			Name: "endor", URL: "https://endor.other.svc:443/validate", Timeout: 2 * time.Second, Owner: "other", Overlap: overlap,
			Client: a.client(t), Log: l.logger(), CAs: r.own.CAs,
		}
		defer background(other.Run)()
		time.Sleep(time.Hour)
		if a.written() != before || l.Count("belongs to the ClusterRole endor") != 1 {
			t.Errorf("%d writes, said %d times; want none, once", a.written()-before, l.Count("belongs to the ClusterRole endor"))
		}
	})
}
