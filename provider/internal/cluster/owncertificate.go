// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// OwnCertificate is a server certificate that the replicas make and rotate
// themselves, with its authority, in a Secret that somebody else created empty.
type OwnCertificate struct {
	Namespace, Name string // of the Secret

	// Names are the DNS names that Gatekeeper reaches the provider by.
	Names []string

	// Overlap is how long two authorities are trusted at each step of a rotation.
	Overlap time.Duration

	// Published says whether Gatekeeper trusts an authority; nothing is issued by
	// one that it does not.
	Published func(*x509.Certificate) bool

	Client dynamic.Interface
	Log    *slog.Logger

	// Changed is called when what [OwnCertificate.Pair] and [OwnCertificate.CAs]
	// give has changed; nil means nobody.
	Changed func()

	// Failures counts the attempts that came to nothing; nil means nobody does.
	Failures prometheus.Counter

	current atomic.Pointer[material]
	wake    atomic.Pointer[wake]
	writes  *rate.Limiter
}

// Pair is the newest pair, without a certificate as long as none is known.
func (o *OwnCertificate) Pair() tls.Certificate {
	if m := o.current.Load(); m != nil && m.pair != nil {
		return *m.pair
	}
	return tls.Certificate{}
}

// CAs are what Gatekeeper is to trust; none as long as none are known.
func (o *OwnCertificate) CAs() []*x509.Certificate {
	if m := o.current.Load(); m != nil {
		return m.cas
	}
	return nil
}

// Run makes, rotates and follows the certificate until ctx ends, and returns
// nil then.
func (o *OwnCertificate) Run(ctx context.Context) error {
	w := newWake()
	o.wake.Store(&w)
	o.writes = rate.NewLimiter(rate.Every(writeInterval), writeBurst)
	secret := observe(ctx, o.Client, secrets, o.Namespace, o.Name, o.Log, w.ring)
	t := task{what: "keep the server certificate", idle: idle(o.Overlap), log: o.Log, failures: o.Failures}
	t.repeat(ctx, w, func(ctx context.Context) error {
		found, known := secret.get()
		if !known {
			return nil
		}
		if found == nil {
			return fmt.Errorf("secret %s/%s: there is none; whoever installed this has to create it, without data", o.Namespace, o.Name)
		}
		return o.step(ctx, found)
	})
	return nil
}

// Look has [OwnCertificate.Run] look at once, since Published may say something
// else than before.
func (o *OwnCertificate) Look() {
	if w := o.wake.Load(); w != nil {
		w.ring()
	}
}

func (o *OwnCertificate) step(ctx context.Context, secret *unstructured.Unstructured) error {
	data, err := decode(secret)
	if err != nil {
		return fmt.Errorf("secret %s/%s: %w", o.Namespace, o.Name, err)
	}
	m := readMaterial(data)
	next, why, err := rotation{names: o.Names, overlap: o.Overlap, published: o.Published}.next(m, time.Now())
	if err != nil {
		return err
	}
	if why == "" {
		o.adopt(m)
		return nil
	}
	if err := o.writes.Wait(ctx); err != nil {
		return err
	}
	update := secret.DeepCopy()
	if err := encode(update, next.data); err != nil {
		return err
	}
	_, err = o.Client.Resource(secrets).Namespace(o.Namespace).Update(ctx, update, metav1.UpdateOptions{FieldManager: Manager})
	switch {
	case apierrors.IsConflict(err):
		// Another replica was first; its Secret comes by the watch.
		return nil
	case err != nil:
		return fmt.Errorf("write Secret %s/%s: %w", o.Namespace, o.Name, err)
	}
	o.Log.LogAttrs(ctx, slog.LevelInfo, "wrote the certificate's Secret", slog.String("what", why), slog.String("secret", o.Namespace+"/"+o.Name))
	return nil
}

// adopt is for what the API server has: a pair that was made but lost to
// another replica's is never served.
func (o *OwnCertificate) adopt(m material) {
	before := o.current.Swap(&m)
	if before != nil && sameData(before.data, m.data) {
		return
	}
	if o.Changed != nil {
		o.Changed()
	}
}

func sameData(a, b map[string][]byte) bool {
	for _, key := range []string{dataCAs, dataCert} {
		if string(a[key]) != string(b[key]) {
			return false
		}
	}
	return true
}

func decode(secret *unstructured.Unstructured) (map[string][]byte, error) {
	encoded, _, err := unstructured.NestedStringMap(secret.Object, "data")
	if err != nil {
		return nil, err
	}
	data := make(map[string][]byte, len(encoded))
	var errs []error
	for key, value := range encoded {
		raw, err := base64.StdEncoding.DecodeString(value)
		data[key] = raw
		errs = append(errs, err)
	}
	return data, errors.Join(errs...)
}

func encode(secret *unstructured.Unstructured, data map[string][]byte) error {
	encoded := make(map[string]string, len(data))
	for key, value := range data {
		encoded[key] = base64.StdEncoding.EncodeToString(value)
	}
	return unstructured.SetNestedStringMap(secret.Object, encoded, "data")
}
