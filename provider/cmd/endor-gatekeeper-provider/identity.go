// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"k8s.io/client-go/dynamic"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/server"
)

// identity is who the provider is to Gatekeeper, and who Gatekeeper is to it:
// certificates, and the Provider object that tells Gatekeeper of them.
type identity struct {
	tls *tls.Config

	// run is what keeps all of it current, each until its context ends.
	run []func(context.Context) error
}

// newIdentity puts together what the flags ask for. Settings that are missing
// are said by the settings themselves.
func (p *provider) newIdentity() error {
	b := identityBuilder{provider: p, reload: certs.Watch{Interval: p.cfg.ReloadInterval, Log: p.log, Registerer: p.metrics}}
	if err := errors.Join(b.connect(), b.server(), b.clients()); err != nil {
		return err
	}
	b.enforcement()
	if len(b.reload.Sources) > 0 {
		b.run = append(b.run, b.reload.Run)
	}
	p.identity = identity{tls: b.tls(), run: b.run}
	return nil
}

type identityBuilder struct {
	*provider
	cluster dynamic.Interface // nil if nothing needs it

	pair      func() tls.Certificate
	clientCAs func() *x509.CertPool // nil without client authentication

	reload certs.Watch
	run    []func(context.Context) error
}

func (b *identityBuilder) connect() error {
	if b.cfg.TLSSecret+b.cfg.ClientCAFromWebhook+b.cfg.ProviderName+b.cfg.CountConstraintsOf == "" {
		return nil
	}
	var err error
	b.cluster, err = cluster.Connect(b.cfg.Kubeconfig, program+"/"+buildinfo.Read().Version)
	return err
}

// server is the pair that is served, and the Provider object that vouches for
// it.
func (b *identityBuilder) server() error {
	var object *cluster.ProviderObject
	if b.cfg.ProviderName != "" && b.cluster != nil {
		object = &cluster.ProviderObject{
			Name: b.cfg.ProviderName, URL: b.cfg.ProviderURL, Timeout: b.cfg.ProviderTimeout, Owner: b.cfg.ProviderOwner,
			Overlap: b.cfg.CAOverlap, Client: b.cluster, Log: b.log,
		}
		b.run = append(b.run, object.Run)
	}
	var newest func() tls.Certificate
	if b.cfg.TLSSecret != "" {
		newest = b.own(object)
	} else {
		var err error
		if newest, err = b.fromFiles(object); err != nil {
			return err
		}
	}
	b.pair = newest
	if object != nil && newest != nil {
		// An address that cannot be read is said by the settings.
		if address, err := url.Parse(b.cfg.ProviderURL); err == nil {
			b.pair = (&cluster.Serving{Newest: newest, Name: address.Hostname(), Published: object.Published, Overlap: b.cfg.CAOverlap}).Pair
		}
	}
	return nil
}

// own makes the certificate in a Secret, with object to spread its CA.
func (b *identityBuilder) own(object *cluster.ProviderObject) func() tls.Certificate {
	if object == nil {
		return nil // said by the settings
	}
	namespace, name, _ := strings.Cut(b.cfg.TLSSecret, "/")
	own := &cluster.OwnCertificate{
		Namespace: namespace, Name: name, Names: b.cfg.TLSNames, Overlap: b.cfg.CAOverlap,
		Published: object.Trusts, Client: b.cluster, Log: b.log,
		Changed: func() {
			b.readiness.Clear(server.NoCertificate)
			object.Look()
		},
	}
	object.CAs, object.Changed = own.CAs, own.Look
	b.readiness.Block(server.NoCertificate)
	b.run = append(b.run, own.Run)
	return own.Pair
}

func (b *identityBuilder) fromFiles(object *cluster.ProviderObject) (func() tls.Certificate, error) {
	if b.cfg.TLSCertFile == "" || b.cfg.TLSPrivateKeyFile == "" {
		return nil, nil
	}
	pair, err := certs.ServerPair(b.cfg.TLSCertFile, b.cfg.TLSPrivateKeyFile)
	b.reload.Sources = append(b.reload.Sources, pair)
	if object != nil && b.cfg.ProviderCAFile != "" {
		cas, casErr := certs.CAs(b.cfg.ProviderCAFile)
		err = errors.Join(err, casErr)
		b.reload.Sources = append(b.reload.Sources, cas)
		b.reload.Changed = object.Look
		object.CAs = cas.Current
	}
	return pair.Current, err
}

// clients is how Gatekeeper is known from anybody else.
func (b *identityBuilder) clients() error {
	insecure := promauto.With(b.metrics).NewGauge(prometheus.GaugeOpts{
		Name: "insecure_no_client_auth",
		Help: "1 if clients are not asked for a certificate (--insecure-no-client-auth), 0 otherwise.",
	})
	switch {
	case b.cfg.InsecureNoClientAuth:
		insecure.Set(1)
		b.log.LogAttrs(context.Background(), slog.LevelWarn, "clients are not asked for a certificate: whoever reaches the port can ask about images")
	case b.cfg.ClientCAFromWebhook != "" && b.cluster != nil:
		cas := &cluster.ClientCAs{
			Webhook: b.cfg.ClientCAFromWebhook, Overlap: b.cfg.CAOverlap, Client: b.cluster, Log: b.log,
			Known: func() { b.readiness.Clear(server.NoClientCA) },
		}
		b.readiness.Block(server.NoClientCA)
		b.clientCAs = cas.Pool
		b.run = append(b.run, cas.Run)
	case b.cfg.ClientCAFile != "":
		cas, err := certs.ClientCAs(b.cfg.ClientCAFile)
		if err != nil {
			return err
		}
		b.clientCAs = cas.Current
		b.reload.Sources = append(b.reload.Sources, cas)
	}
	return nil
}

// enforcement counts who relies on the provider.
func (b *identityBuilder) enforcement() {
	if b.cfg.CountConstraintsOf != "" {
		b.run = append(b.run, cluster.NewEnforcement(b.cfg.CountConstraintsOf, b.cluster, b.log, b.metrics).Run)
	}
}

func (b *identityBuilder) tls() *tls.Config {
	if b.cfg.InsecureNoClientAuth {
		return certs.InsecureServerTLS(b.pair)
	}
	return certs.ServerTLS(b.pair, b.clientCAs, b.cfg.ClientNames)
}
