// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Reason is why a pod is not ready. Readiness is public inside the cluster, so
// it prints these codes and never a text of others.
type Reason string

// The reasons.
const (
	Starting      Reason = "STARTING"              // the first attempt to get a token has not ended
	TokenRefused  Reason = "TOKEN_REFUSED"         // Endor Labs refuses the credentials
	NoCertificate Reason = "NO_SERVER_CERTIFICATE" // none was made or read yet
	NoClientCA    Reason = "NO_CLIENT_CA"          // Gatekeeper's is not known yet
	Draining      Reason = "DRAINING"              // the program was told to stop
)

var reasons = []Reason{Starting, TokenRefused, NoCertificate, NoClientCA, Draining}

// Readiness collects reasons not to be ready. The zero value is ready.
type Readiness struct {
	mu      sync.Mutex // protects reasons
	reasons []Reason
}

// Block adds a reason.
func (r *Readiness) Block(reason Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.reasons, reason) {
		r.reasons = append(r.reasons, reason)
	}
}

// Clear takes reasons away.
func (r *Readiness) Clear(reasons ...Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons = slices.DeleteFunc(r.reasons, func(have Reason) bool { return slices.Contains(reasons, have) })
}

// Reasons are those that are left; none means ready.
func (r *Readiness) Reasons() []Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.reasons)
}

func (r *Readiness) register(reg prometheus.Registerer) {
	for _, reason := range reasons {
		promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "unready",
			Help:        "1 for each reason why /readyz says 503, 0 for the others.",
			ConstLabels: prometheus.Labels{"reason": string(reason)},
		}, func() float64 {
			if slices.Contains(r.Reasons(), reason) {
				return 1
			}
			return 0
		})
	}
}

// ServeHTTP answers 200 "ok", or 503 and a reason on each line.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	reasons := r.Reasons()
	if len(reasons) == 0 {
		fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, reason := range reasons {
		fmt.Fprintln(w, reason)
	}
}
