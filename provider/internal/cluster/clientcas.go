// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

// Webhooks are the ValidatingWebhookConfigurations of a cluster.
var Webhooks = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}

// ClientCAs are the authorities that issue Gatekeeper's client certificate.
//
// Gatekeeper shows to providers the certificate that its webhook serves with,
// and the API server knows that one's authority by the caBundle of the
// ValidatingWebhookConfiguration. So that object tells whom to trust, in any
// namespace and without a look at Gatekeeper's Secret, which holds its keys.
type ClientCAs struct {
	// Webhook is the name of the ValidatingWebhookConfiguration. Of several
	// webhooks in it the union counts.
	Webhook string

	// Overlap is how long an authority stays accepted after it left the object:
	// Gatekeeper's pods show the certificate before until their Secret is mounted
	// anew.
	Overlap time.Duration

	Client dynamic.Interface
	Log    *slog.Logger

	// Known is called when authorities are known for the first time; nil means
	// nobody.
	Known func()

	// Failures counts the attempts that came to nothing; nil means nobody does.
	Failures prometheus.Counter

	pool   atomic.Pointer[x509.CertPool]
	expiry atomic.Pointer[time.Time]
	seen   []sighting
}

// sighting is an authority and when it was last in the object.
type sighting struct {
	ca   *x509.Certificate
	last time.Time
}

// Pool is nil until authorities are known, and never empty after that.
func (c *ClientCAs) Pool() *x509.CertPool { return c.pool.Load() }

// Expiry is when the last of the object's authorities is over; zero until they
// are known.
func (c *ClientCAs) Expiry() time.Time {
	if expiry := c.expiry.Load(); expiry != nil {
		return *expiry
	}
	return time.Time{}
}

// Run keeps the authorities current until ctx ends, and returns nil then.
func (c *ClientCAs) Run(ctx context.Context) error {
	w := newWake()
	webhook := observe(ctx, c.Client, Webhooks, "", c.Webhook, c.Log, w.ring)
	t := task{what: "learn whom Gatekeeper's client certificate is from", idle: idle(c.Overlap), log: c.Log, failures: c.Failures}
	t.repeat(ctx, w, func(ctx context.Context) error {
		found, known := webhook.get()
		if !known {
			return nil
		}
		return c.update(ctx, found, time.Now())
	})
	return nil
}

func (c *ClientCAs) update(ctx context.Context, webhook *unstructured.Unstructured, now time.Time) error {
	current, err := CABundles(webhook)
	if err != nil {
		return fmt.Errorf("ValidatingWebhookConfiguration %s: %w", c.Webhook, err)
	}
	kept := slices.DeleteFunc(slices.Clone(c.seen), func(s sighting) bool {
		return contains(current, s.ca) || now.Sub(s.last) >= c.Overlap
	})
	for _, ca := range current {
		kept = append(kept, sighting{ca: ca, last: now})
	}
	expiry := certs.LastExpiry(current)
	c.expiry.Store(&expiry)
	before, cas := authorities(c.seen), authorities(kept)
	c.seen = kept
	if sameSet(cas, before) {
		return nil
	}
	first := c.pool.Swap(certs.Pool(cas)) == nil
	c.Log.LogAttrs(ctx, slog.LevelInfo, "client CAs changed", slog.String("webhook", c.Webhook), slog.Int("cas", len(cas)))
	if first && c.Known != nil {
		c.Known()
	}
	return nil
}

func authorities(list []sighting) []*x509.Certificate {
	cas := make([]*x509.Certificate, len(list))
	for i, s := range list {
		cas[i] = s.ca
	}
	return cas
}

// CABundles are the authorities in a ValidatingWebhookConfiguration, each once. It
// fails rather than to give none: Gatekeeper's own rotation fills the
// object a moment after it was made.
func CABundles(webhook *unstructured.Unstructured) ([]*x509.Certificate, error) {
	if webhook == nil {
		return nil, errors.New("there is none; install Gatekeeper, or name another with --client-ca-from-webhook")
	}
	list, _, err := unstructured.NestedSlice(webhook.Object, "webhooks")
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for _, item := range list {
		hook, _ := item.(map[string]any)
		encoded, _, _ := unstructured.NestedString(hook, "clientConfig", "caBundle")
		if encoded == "" {
			continue
		}
		cas, err := DecodeBundle(encoded)
		if err != nil {
			return nil, fmt.Errorf("caBundle: %w", err)
		}
		for _, ca := range cas {
			if !contains(found, ca) {
				found = append(found, ca)
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("it holds no caBundle yet; Gatekeeper fills it when it starts")
	}
	return found, nil
}
