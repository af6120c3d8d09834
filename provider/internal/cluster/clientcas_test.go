// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"crypto/x509"
	"encoding/base64"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
)

// webhook is Gatekeeper's, one webhook a bundle.
func webhook(bundles ...[]byte) map[string]any {
	var list []any
	for _, bundle := range bundles {
		config := map[string]any{"url": "https://gatekeeper"}
		if bundle != nil {
			config["caBundle"] = base64.StdEncoding.EncodeToString(bundle)
		}
		list = append(list, map[string]any{"clientConfig": config})
	}
	return map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "webhooks": list}
}

// gatekeeper follows a webhook until play ends.
func gatekeeper(t *testing.T, play func(t *testing.T, a *api, cas *cluster.ClientCAs, l *log)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, l := newAPI(), &log{}
		cas := &cluster.ClientCAs{Webhook: "gatekeeper", Overlap: overlap, Client: a.client(t), Log: l.logger(), Failures: prometheus.NewCounter(prometheus.CounterOpts{})}
		defer background(cas.Run)()
		play(t, a, cas, l)
	})
}

func known(pool *x509.CertPool, ca *certs.Authority) bool {
	if pool == nil {
		return false
	}
	_, err := ca.Certificate().Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

func TestNobodyIsKnownUntilTheWebhookTellsWhom(t *testing.T) {
	gatekeeper(t, func(t *testing.T, a *api, cas *cluster.ClientCAs, l *log) {
		time.Sleep(time.Hour)
		if cas.Pool() != nil || l.Count("install Gatekeeper") != 1 {
			t.Errorf("without a webhook: pool %v, said %d times; want none, once", cas.Pool(), l.Count("install Gatekeeper"))
		}
		if failures := testutil.ToFloat64(cas.Failures); failures < 60 || !cas.Expiry().IsZero() {
			t.Errorf("in an hour %v attempts are counted as failed, and the authorities expire at %v; want one a minute at least, and never", failures, cas.Expiry())
		}
		a.put(webhookPath, webhook(nil))
		time.Sleep(time.Minute)
		if cas.Pool() != nil {
			t.Error("an empty caBundle gave a pool")
		}
		a.put(webhookPath, webhook([]byte("half a certificate")))
		time.Sleep(time.Minute)
		if cas.Pool() != nil {
			t.Error("a caBundle that cannot be read gave a pool")
		}
		ca := authority(t)
		a.put(webhookPath, webhook(ca.CertPEM()))
		time.Sleep(time.Minute)
		if !known(cas.Pool(), ca) || !cas.Expiry().Equal(ca.Certificate().NotAfter) {
			t.Errorf("the authority in the caBundle is not known, or does not expire at %v", cas.Expiry())
		}
	})
}

func TestTheAuthoritiesOfAllWebhooksCount(t *testing.T) {
	gatekeeper(t, func(t *testing.T, a *api, cas *cluster.ClientCAs, _ *log) {
		one, two, three := authority(t), authority(t), authority(t)
		a.put(webhookPath, webhook(one.CertPEM(), nil, append(two.CertPEM(), three.CertPEM()...)))
		time.Sleep(settled)
		for i, ca := range []*certs.Authority{one, two, three} {
			if !known(cas.Pool(), ca) {
				t.Errorf("authority %d is not known", i)
			}
		}
	})
}

func TestWhileGatekeeperRotatesBothAuthoritiesAreKnown(t *testing.T) {
	gatekeeper(t, func(t *testing.T, a *api, cas *cluster.ClientCAs, _ *log) {
		old, renewed := authority(t), authority(t)
		a.put(webhookPath, webhook(old.CertPEM()))
		time.Sleep(day)
		a.put(webhookPath, webhook(renewed.CertPEM()))
		time.Sleep(settled)
		if !known(cas.Pool(), old) || !known(cas.Pool(), renewed) {
			t.Fatal("right after the rotation one of the two is not known")
		}
		time.Sleep(2 * overlap)
		if known(cas.Pool(), old) || !known(cas.Pool(), renewed) {
			t.Error("after the overlap the old one is known, or the new one is not")
		}
	})
}

func TestAWebhookThatGoesAwayTakesNothingWithIt(t *testing.T) {
	gatekeeper(t, func(t *testing.T, a *api, cas *cluster.ClientCAs, _ *log) {
		ca := authority(t)
		a.put(webhookPath, webhook(ca.CertPEM()))
		time.Sleep(settled)
		a.remove(webhookPath)
		time.Sleep(day)
		a.put(webhookPath, webhook(nil))
		time.Sleep(day)
		if !known(cas.Pool(), ca) {
			t.Error("the authority was forgotten")
		}
	})
}
