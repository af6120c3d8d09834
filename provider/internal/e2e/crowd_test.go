// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

var podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// try is one Pod that a client wanted to create.
type try struct {
	began time.Time
	took  time.Duration
	err   error // nil if it was admitted
}

// refused tells whether Gatekeeper refused for the reason that code tells, and
// not the API server because Gatekeeper did not answer.
func (t try) refused(code string) bool {
	return apierrors.IsForbidden(t.err) && strings.Contains(t.err.Error(), "["+code+"]")
}

// crowd has clients that create Pods in a namespace, one after the other without
// a pause, until ctx ends. Nothing is kept of the Pods: all of admission is done
// for a dry run too. next gives the images of a Pod.
func crowd(ctx context.Context, c *localcluster.Cluster, namespace string, clients int, next func() []string) []try {
	tries := make([][]try, clients)
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				// What a client gave up would decide nothing.
				tries[client] = append(tries[client], attempt(context.WithoutCancel(ctx), c, namespace, fmt.Sprintf("app-%d-%d", client, i), next()...))
			}
		})
	}
	wg.Wait()
	return slices.Concat(tries...)
}

// dryRun creates a Pod of which nothing is kept.
func dryRun(c *localcluster.Cluster, namespace, name string, images ...string) try {
	return attempt(context.Background(), c, namespace, name, images...)
}

func attempt(ctx context.Context, c *localcluster.Cluster, namespace, name string, images ...string) try {
	containers := make([]any, len(images))
	for i, image := range images {
		containers[i] = map[string]any{"name": fmt.Sprintf("c%d", i), "image": image}
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name}, "spec": map[string]any{"containers": containers},
	}}
	t := try{began: time.Now()}
	_, t.err = c.Dynamic.Resource(podResource).Namespace(namespace).
		Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	t.took = time.Since(t.began)
	return t
}

// metric reads one of the provider's that has no labels.
func metric(ctx context.Context, c *localcluster.Cluster, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.OpsURL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nendor_gatekeeper_provider_"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseFloat(value, 64)
}

// times are how long things took.
type times []time.Duration

// at is the time that the part p of all did not exceed.
func (t times) at(p float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	slices.Sort(t)
	return t[max(int(math.Ceil(p*float64(len(t))))-1, 0)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
