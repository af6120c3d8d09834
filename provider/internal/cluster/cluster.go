// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster is what the provider reads and writes in the cluster that it
// runs in, each part on its own and only where it was asked for:
//
//   - [ClientCAs]: the authorities of Gatekeeper's client certificate, from the
//     caBundle of its ValidatingWebhookConfiguration, which is public;
//   - [OwnCertificate]: an authority and a server certificate, made and rotated
//     in one Secret;
//   - [ProviderObject]: the Provider by which Gatekeeper knows this program.
//
// Every replica does all of it, and none leads: what is to be done follows from
// the objects alone, writes carry the resource version that they are based on,
// and applying the same object twice changes nothing. Only objects that are
// named are read, by name, so that permissions can be by name too.
//
// Nothing here is needed to answer: while the API server is away, what was read
// last stays in use.
package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Manager is the field manager of everything that is written.
const Manager = "endor-gatekeeper-provider"

// Connect gives a client of the cluster that a kubeconfig file names, or, if
// the name is empty, of the one that the program runs in. It does not call it.
func Connect(kubeconfig, userAgent string) (dynamic.Interface, error) {
	var cfg *rest.Config
	var err error
	if kubeconfig == "" {
		cfg, err = rest.InClusterConfig()
	} else {
		cfg, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	cfg.UserAgent = userAgent
	return dynamic.NewForConfig(cfg)
}

// object is the newest state that is known of one named object.
type object struct {
	informer cache.SharedIndexInformer
	key      string
}

// observe watches an object until ctx ends and calls changed whenever it may
// have changed, also when it went away. namespace is empty for what has none.
func observe(ctx context.Context, client dynamic.Interface, gvr schema.GroupVersionResource, namespace, name string, log *slog.Logger, changed func()) *object {
	var resource dynamic.ResourceInterface = client.Resource(gvr)
	if namespace != "" {
		resource = client.Resource(gvr).Namespace(namespace)
	}
	only := func(o metav1.ListOptions) metav1.ListOptions {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		return o
	}
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return resource.List(ctx, only(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return resource.Watch(ctx, only(o))
		},
	}, &unstructured.Unstructured{}, 0, nil)
	// What repeats is said once, and again when it is something else.
	last := ""
	_ = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if text := err.Error(); text != last && ctx.Err() == nil {
			last = text
			log.LogAttrs(ctx, slog.LevelWarn, "cannot watch; what was read last stays in use",
				slog.String("resource", gvr.Resource), slog.String("name", name), slog.String("error", text))
		}
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	})
	o := &object{informer: informer, key: name}
	if namespace != "" {
		o.key = namespace + "/" + name
	}
	go informer.RunWithContext(ctx)
	go func() {
		// An object that does not exist causes no event.
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			changed()
		}
	}()
	return o
}

// get gives the object, which must not be changed; nil if there is none, and
// false as long as that is not known.
func (o *object) get() (*unstructured.Unstructured, bool) {
	if !o.informer.HasSynced() {
		return nil, false
	}
	found, exists, err := o.informer.GetStore().GetByKey(o.key)
	if err != nil || !exists {
		return nil, err == nil
	}
	u, ok := found.(*unstructured.Unstructured)
	return u, ok
}

// Bounds of the pause after a step that failed.
const (
	minPause = time.Second
	maxPause = time.Minute
)

// idle is how often a step is looked for that only time brings about: several
// times within an overlap, if there is one.
func idle(overlap time.Duration) time.Duration {
	if overlap == 0 {
		return 6 * time.Hour
	}
	return min(max(overlap/4, time.Second), 6*time.Hour)
}

// wake is a bell: rung twice before somebody hears it, it rings once.
type wake chan struct{}

func newWake() wake { return make(wake, 1) }

func (w wake) ring() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// stepTimeout is how long the API server has for the calls of one step.
const stepTimeout = 30 * time.Second

func within(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return step(ctx)
}

// task is something that is done again and again.
type task struct {
	what     string
	idle     time.Duration
	log      *slog.Logger
	failures prometheus.Counter // may be nil
}

// repeat calls step whenever w rings, and after each idle, until ctx ends. A step
// that fails is tried again after a pause that doubles, bell or not: an object
// that changes all the time must not make a caller of the API server that
// hammers it.
func (t task) repeat(ctx context.Context, w wake, step func(context.Context) error) {
	pause := time.Duration(0)
	last := ""
	for {
		bell := w
		wait := t.idle
		if pause > 0 {
			bell, wait = nil, pause
		}
		select {
		case <-ctx.Done():
			return
		case <-bell:
		case <-time.After(wait):
		}
		err := within(ctx, step)
		if err == nil {
			pause, last = 0, ""
			continue
		}
		pause = min(max(minPause, 2*pause), maxPause)
		if ctx.Err() != nil {
			continue
		}
		if t.failures != nil {
			t.failures.Inc()
		}
		if text := err.Error(); text != last {
			last = text
			t.log.LogAttrs(ctx, slog.LevelError, "cannot yet", slog.String("what", t.what), slog.String("error", text))
		}
	}
}
