// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// DefaultInterval is how often files are read again. It is far below the time
// that the kubelet takes to update a mounted Secret.
const DefaultInterval = 5 * time.Second

// Reloader is a [Source] of any type.
type Reloader interface {
	Name() string
	Reload() (changed bool, err error)
}

// Watch configures [Watch.Run].
type Watch struct {
	Sources []Reloader

	// Interval is the time between two looks; default [DefaultInterval].
	// Reading is preferred to file events, which get lost over the symbolic
	// links of mounted Secrets.
	Interval time.Duration

	// Changed is called after a source changed; nil means nobody.
	Changed func()

	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Run reloads the sources until ctx ends and returns nil then. A source that
// cannot be read is logged when the error is new, and tried again.
func (w Watch) Run(ctx context.Context) error {
	if w.Interval == 0 {
		w.Interval = DefaultInterval
	}
	reloads := promauto.With(w.Registerer).NewCounterVec(prometheus.CounterOpts{
		Name: "certificate_reloads_total",
		Help: "Times that changed certificate files were read, by source (server certificate, client CA) and result (ok, error). An error repeats until the files are mended.",
	}, []string{"source", "result"})
	last := make([]string, len(w.Sources))
	for _, s := range w.Sources {
		reloads.WithLabelValues(s.Name(), "ok")
		reloads.WithLabelValues(s.Name(), "error")
	}
	ticker := time.NewTicker(w.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for i, s := range w.Sources {
			last[i] = w.reload(ctx, s, last[i], reloads)
		}
	}
}

// reload gives the text of the error, empty if there was none.
func (w Watch) reload(ctx context.Context, s Reloader, last string, reloads *prometheus.CounterVec) string {
	changed, err := s.Reload()
	if err != nil {
		reloads.WithLabelValues(s.Name(), "error").Inc()
		if text := err.Error(); text != last {
			w.Log.LogAttrs(ctx, slog.LevelError, "kept the last good certificate", slog.String("source", s.Name()), slog.String("error", text))
			return text
		}
		return last
	}
	if changed {
		reloads.WithLabelValues(s.Name(), "ok").Inc()
		w.Log.LogAttrs(ctx, slog.LevelInfo, "reloaded", slog.String("source", s.Name()))
		if w.Changed != nil {
			w.Changed()
		}
	}
	return ""
}
