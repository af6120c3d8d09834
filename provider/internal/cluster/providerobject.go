// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

// Providers are the objects by which Gatekeeper knows providers.
var Providers = schema.GroupVersionResource{Group: "externaldata.gatekeeper.sh", Version: "v1beta1", Resource: "providers"}

var clusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}

// ProviderObject is the Provider by which Gatekeeper finds and trusts this
// program. It is created and kept by server-side apply: no chart can render it,
// since its caBundle is known only once the program runs, and an installer that
// applied another one would fight for the field with each upgrade.
type ProviderObject struct {
	Name    string
	URL     string        // its spec.url
	Timeout time.Duration // its spec.timeout, whole seconds

	// Owner is the name of a ClusterRole. When that goes, with the release that
	// it is of, so does the Provider. Empty means that nothing owns it.
	Owner string

	// CAs are the authorities of its caBundle. While there are none it is left
	// alone.
	CAs func() []*x509.Certificate

	// Overlap is how long an authority stays in the caBundle that is not among
	// CAs any more: files and Secrets may be replaced all at once. 0 removes it at
	// once.
	Overlap time.Duration

	Client dynamic.Interface
	Log    *slog.Logger

	// Changed is called when what Gatekeeper trusts has changed; nil means nobody.
	Changed func()

	// Failures counts the attempts that came to nothing; nil means nobody does.
	Failures prometheus.Counter

	published atomic.Pointer[[]*x509.Certificate]
	wake      atomic.Pointer[wake]
	replaced  map[string]time.Time // raw certificate -> since when it is not among CAs
	writes    *rate.Limiter
}

// Replicas that want different things, as those before and after an upgrade do
// for its time, write against each other, here and into the Secret: some writes at
// once, then one per interval each.
const (
	writeBurst    = 10
	writeInterval = 5 * time.Second
)

// Published are the authorities that the Provider in the cluster trusts, and
// false as long as that is not known.
func (p *ProviderObject) Published() ([]*x509.Certificate, bool) {
	if cas := p.published.Load(); cas != nil {
		return *cas, true
	}
	return nil, false
}

// Trusts says whether ca is among those.
func (p *ProviderObject) Trusts(ca *x509.Certificate) bool {
	cas, _ := p.Published()
	return contains(cas, ca)
}

// Look has [ProviderObject.Run] look at once, since CAs may give something else
// than before.
func (p *ProviderObject) Look() {
	if w := p.wake.Load(); w != nil {
		w.ring()
	}
}

// Run keeps the object as it has to be until ctx ends, and returns nil then.
func (p *ProviderObject) Run(ctx context.Context) error {
	w := newWake()
	p.wake.Store(&w)
	p.writes = rate.NewLimiter(rate.Every(writeInterval), writeBurst)
	live := observe(ctx, p.Client, Providers, "", p.Name, p.Log, w.ring)
	t := task{what: "keep the Provider object " + p.Name, idle: idle(p.Overlap), log: p.Log, failures: p.Failures}
	t.repeat(ctx, w, func(ctx context.Context) error {
		found, known := live.get()
		if !known {
			return nil
		}
		p.publish(found)
		return p.step(ctx, found)
	})
	return nil
}

func (p *ProviderObject) publish(live *unstructured.Unstructured) {
	cas := trusted(live)
	before := p.published.Swap(&cas)
	if before != nil && string(certs.EncodePEM(*before...)) == string(certs.EncodePEM(cas...)) {
		return
	}
	if p.Changed != nil {
		p.Changed()
	}
}

// trusted are the authorities of a Provider. One that is not there, or that
// Gatekeeper could not read, trusts none.
func trusted(live *unstructured.Unstructured) []*x509.Certificate {
	if live == nil {
		return nil
	}
	encoded, _, _ := unstructured.NestedString(live.Object, "spec", "caBundle")
	cas, err := DecodeBundle(encoded)
	if err != nil {
		return nil
	}
	return cas
}

func (p *ProviderObject) step(ctx context.Context, live *unstructured.Unstructured) error {
	cas := p.CAs()
	if len(cas) == 0 {
		return nil
	}
	if err := p.notOfAnother(live); err != nil {
		return err
	}
	cas = append(slices.Clone(cas), p.overlapping(cas, trusted(live), time.Now())...)
	wanted, err := p.wanted(ctx, cas)
	if err != nil {
		return err
	}
	if live != nil && same(live, wanted) {
		return nil
	}
	if err := p.writes.Wait(ctx); err != nil {
		return err
	}
	_, err = p.Client.Resource(Providers).Apply(ctx, p.Name, wanted, metav1.ApplyOptions{FieldManager: Manager, Force: true})
	if err != nil {
		return fmt.Errorf("apply Provider %s: %w", p.Name, err)
	}
	p.Log.LogAttrs(ctx, slog.LevelInfo, "applied the Provider object", slog.String("name", p.Name), slog.String("url", p.URL), slog.Int("cas", len(cas)))
	return nil
}

// notOfAnother keeps two releases from taking one Provider from each other for
// ever.
func (p *ProviderObject) notOfAnother(live *unstructured.Unstructured) error {
	if live == nil {
		return nil
	}
	for _, owner := range live.GetOwnerReferences() {
		if owner.Kind == "ClusterRole" && owner.Name != p.Owner {
			return fmt.Errorf("the Provider %s belongs to the ClusterRole %s, which is of another installation; give this one another --provider-name", p.Name, owner.Name)
		}
	}
	return nil
}

// overlapping are those of live that were replaced less than Overlap ago. What
// another replica removed from live is not added again, so that replicas that
// noticed at different times do not fight.
func (p *ProviderObject) overlapping(current, live []*x509.Certificate, now time.Time) []*x509.Certificate {
	replaced := map[string]time.Time{}
	var kept []*x509.Certificate
	for _, ca := range live {
		if contains(current, ca) {
			continue
		}
		since, known := p.replaced[string(ca.Raw)]
		if !known {
			since = now
		}
		replaced[string(ca.Raw)] = since
		if now.Sub(since) < p.Overlap {
			kept = append(kept, ca)
		}
	}
	p.replaced = replaced
	return kept
}

func (p *ProviderObject) wanted(ctx context.Context, cas []*x509.Certificate) (*unstructured.Unstructured, error) {
	wanted := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": Providers.GroupVersion().String(),
		"kind":       "Provider",
		"metadata":   map[string]any{"name": p.Name},
		"spec": map[string]any{
			"url":      p.URL,
			"timeout":  int64(p.Timeout / time.Second),
			"caBundle": base64.StdEncoding.EncodeToString(certs.EncodePEM(cas...)),
		},
	}}
	if p.Owner == "" {
		return wanted, nil
	}
	owner, err := p.Client.Resource(clusterRoles).Get(ctx, p.Owner, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("ClusterRole %s, which owns the Provider: %w", p.Owner, err)
	}
	wanted.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: clusterRoles.GroupVersion().String(), Kind: "ClusterRole", Name: p.Owner, UID: owner.GetUID(),
	}})
	return wanted, nil
}

// same takes authorities in another order for the same ones: replicas whose files
// changed at different times put different ones first.
func same(live, wanted *unstructured.Unstructured) bool {
	for _, field := range []string{"url", "timeout"} {
		a, _, _ := unstructured.NestedFieldNoCopy(live.Object, "spec", field)
		b, _, _ := unstructured.NestedFieldNoCopy(wanted.Object, "spec", field)
		if a != b {
			return false
		}
	}
	if !sameSet(trusted(live), trusted(wanted)) {
		return false
	}
	owners := live.GetOwnerReferences()
	return !slices.ContainsFunc(wanted.GetOwnerReferences(), func(owner metav1.OwnerReference) bool {
		return !slices.ContainsFunc(owners, func(have metav1.OwnerReference) bool { return have.UID == owner.UID })
	})
}
