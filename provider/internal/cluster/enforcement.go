// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// BreakGlassAnnotation marks a constraint that was turned from deny to warn for
// the time of an emergency. Its value is the enforcement action from before.
const BreakGlassAnnotation = "endorlabs.com/break-glass"

// enforcementInterval is how often constraints are counted. An alert waits for
// minutes, and a list of a few objects costs the API server little.
const enforcementInterval = 30 * time.Second

// enforcementActions are the values of the label: what Gatekeeper knows, the
// strictest first, and "other" for all else.
var enforcementActions = []string{"deny", "warn", "dryrun", "other"}

// Enforcement counts the constraints that ask this provider by what they do, so
// that an alert can tell a cluster in which nothing is refused any more.
//
// All replicas count the same; none leads.
type Enforcement struct {
	provider string
	client   dynamic.Interface
	log      *slog.Logger

	constraints *prometheus.GaugeVec
	broken      prometheus.Gauge
	counted     prometheus.Gauge
	failures    prometheus.Counter
}

// NewEnforcement counts for the provider of that name and registers the
// metrics, which are NaN until [Enforcement.Run] has counted once: no count is
// not a count of none.
func NewEnforcement(provider string, client dynamic.Interface, log *slog.Logger, reg prometheus.Registerer) *Enforcement {
	f := promauto.With(reg)
	e := &Enforcement{
		provider: provider, client: client, log: log,
		constraints: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "constraints",
			Help: "Constraints of kind K8sEndorSignedImages that ask this provider, by the strictest thing that they do at admission (other: nothing that Gatekeeper knows); NaN until they were counted.",
		}, []string{"enforcement_action"}),
		broken: f.NewGauge(prometheus.GaugeOpts{
			Name: "constraints_in_break_glass",
			Help: "Constraints that were turned from deny to warn for an emergency and do not deny; NaN until they were counted.",
		}),
		counted: f.NewGauge(prometheus.GaugeOpts{
			Name: "constraints_counted_timestamp_seconds",
			Help: "When constraints were last counted, as seconds since 1970; 0 if never.",
		}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "constraints_count_failures_total",
			Help: "Attempts to count constraints that the API server did not answer.",
		}),
	}
	for _, name := range enforcementActions {
		e.constraints.WithLabelValues(name).Set(math.NaN())
	}
	e.broken.Set(math.NaN())
	return e
}

// Run counts until ctx ends, and returns nil then. What cannot be counted keeps
// the last numbers, and their age tells so.
func (e *Enforcement) Run(ctx context.Context) error {
	ticker := time.NewTicker(enforcementInterval)
	defer ticker.Stop()
	failing := false
	for {
		err := within(ctx, e.count)
		if err != nil && ctx.Err() == nil {
			e.failures.Inc()
			if !failing {
				e.log.LogAttrs(ctx, slog.LevelWarn, "cannot count constraints; trying again", slog.String("error", err.Error()))
			}
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (e *Enforcement) count(ctx context.Context) error {
	list, err := asking(ctx, e.client, e.provider)
	if err != nil {
		return err
	}
	actions, broken := map[string]int{}, 0
	for i := range list {
		does := action(&list[i])
		actions[does]++
		// Who applies a constraint again may leave the mark.
		if _, marked := list[i].GetAnnotations()[BreakGlassAnnotation]; marked && does != "deny" {
			broken++
		}
	}
	for _, name := range enforcementActions {
		e.constraints.WithLabelValues(name).Set(float64(actions[name]))
	}
	e.broken.Set(float64(broken))
	e.counted.SetToCurrentTime()
	return nil
}

// action is a value of the label: the strictest thing that a constraint does at
// admission. What does nothing there, or cannot be read, is no denial.
func action(constraint *unstructured.Unstructured) string {
	actions, err := AdmissionActions(constraint)
	for _, name := range enforcementActions {
		if err == nil && slices.Contains(actions, name) {
			return name
		}
	}
	return "other"
}
