// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package engine is Gatekeeper's own engine in this process: the same
// constraint client, Rego driver and Kubernetes target that Gatekeeper's
// webhook and audit run, with external data switched on.
//
// It reaches a provider as Gatekeeper does, over HTTPS with a client
// certificate, so what it says of a policy and a provider is what a cluster
// would say. That is also what gator lacks: it cannot compile a template that
// calls external_data.
//
// The engine registers external_data in tables of the whole process, and the
// one made last owns it. Make one engine at a time, and use it from one test at
// a time.
package engine

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	externaldatav1 "github.com/open-policy-agent/frameworks/constraint/pkg/apis/externaldata/unversioned"
	constraintclient "github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Provider is what a Provider object of Gatekeeper holds.
type Provider struct {
	Name     string // as constraints name it
	URL      string // https
	CABundle []byte // PEM of the CAs of the provider's certificate
	Timeout  int    // seconds; default 2
}

// Config configures an [Engine].
type Config struct {
	Providers []Provider

	// ClientCertFile and ClientKeyFile are the certificate that the engine
	// shows to providers, as Gatekeeper shows its webhook's.
	ClientCertFile, ClientKeyFile string

	// ResponseCacheTTL is how long answers of providers are kept; zero means
	// not at all. Gatekeeper's own default is 3 minutes.
	ResponseCacheTTL time.Duration
}

// Engine evaluates objects against templates and constraints.
type Engine struct {
	client *constraintclient.Client
	scheme *runtime.Scheme
	args   []rego.Arg
}

// New makes an engine without templates. ctx bounds the life of its response
// cache.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	// Gatekeeper's packages log to nobody, and after half a minute would say so
	// with a stack trace on stderr.
	log.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	if err := apis.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	args, err := driverArgs(ctx, cfg)
	if err != nil {
		return nil, err
	}
	e := &Engine{scheme: scheme, args: args}
	driver, err := rego.New(e.args...)
	if err != nil {
		return nil, fmt.Errorf("engine: make the Rego driver: %w", err)
	}
	e.client, err = constraintclient.NewClient(
		constraintclient.Targets(&target.K8sValidationTarget{}),
		constraintclient.Driver(driver),
		constraintclient.EnforcementPoints(util.WebhookEnforcementPoint, util.AuditEnforcementPoint),
	)
	if err != nil {
		return nil, fmt.Errorf("engine: make the constraint client: %w", err)
	}
	return e, nil
}

func driverArgs(ctx context.Context, cfg Config) ([]rego.Arg, error) {
	providers := externaldata.NewCache()
	for _, p := range cfg.Providers {
		timeout := p.Timeout
		if timeout == 0 {
			timeout = 2
		}
		err := providers.Upsert(&externaldatav1.Provider{
			ObjectMeta: metav1.ObjectMeta{Name: p.Name},
			Spec: externaldatav1.ProviderSpec{
				URL: p.URL, Timeout: timeout, CABundle: base64.StdEncoding.EncodeToString(p.CABundle),
			},
		})
		if err != nil {
			return nil, fmt.Errorf("engine: provider %s: %w", p.Name, err)
		}
	}
	args := []rego.Arg{
		// What a policy of somebody else must not do on this machine.
		rego.DisableBuiltins("http.send", "net.lookup_ip_addr", "opa.runtime"),
		rego.AddExternalDataProviderCache(providers),
	}
	if cfg.ClientCertFile != "" {
		watcher, err := certwatcher.New(cfg.ClientCertFile, cfg.ClientKeyFile)
		if err != nil {
			return nil, fmt.Errorf("engine: client certificate: %w", err)
		}
		args = append(args, rego.EnableExternalDataClientAuth(), rego.AddExternalDataClientCertWatcher(watcher))
	}
	if cfg.ResponseCacheTTL > 0 {
		args = append(args, rego.AddExternalDataProviderResponseCache(externaldata.NewProviderResponseCache(ctx, cfg.ResponseCacheTTL)))
	}
	return args, nil
}

// AddTemplate compiles a ConstraintTemplate.
func (e *Engine) AddTemplate(ctx context.Context, template *unstructured.Unstructured) error {
	t, err := reader.ToTemplate(e.scheme, template)
	if err == nil {
		_, err = e.client.AddTemplate(ctx, t)
	}
	if err != nil {
		return fmt.Errorf("ConstraintTemplate %s: %w", template.GetName(), err)
	}
	return nil
}

// AddConstraint adds a constraint whose template was added before.
func (e *Engine) AddConstraint(ctx context.Context, constraint *unstructured.Unstructured) error {
	if _, err := e.client.AddConstraint(ctx, constraint); err != nil {
		return fmt.Errorf("%s %s: %w", constraint.GetKind(), constraint.GetName(), err)
	}
	return nil
}

// RemoveConstraint takes a constraint away. One that is not there is no error.
func (e *Engine) RemoveConstraint(ctx context.Context, constraint *unstructured.Unstructured) error {
	if _, err := e.client.RemoveConstraint(ctx, constraint); err != nil {
		return fmt.Errorf("%s %s: %w", constraint.GetKind(), constraint.GetName(), err)
	}
	return nil
}
