// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"errors"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Results of an exchange, as a label.
const (
	exchangeOK          = "ok"
	exchangeRefused     = "refused"
	exchangeUnavailable = "unavailable"
	exchangeUnreadable  = "unreadable"
)

func exchanged(err error) string {
	if err == nil {
		return exchangeOK
	}
	if e, ok := errors.AsType[*Error](err); ok && !e.Temporary() {
		return exchangeRefused
	}
	return exchangeUnavailable
}

func (t *tokens) register(reg prometheus.Registerer) {
	f := promauto.With(reg)
	t.exchanges = f.NewCounterVec(prometheus.CounterOpts{
		Name: "token_exchanges_total",
		Help: "Exchanges of the API key for a token, by result (ok, refused, unavailable if Endor Labs did not say, or unreadable if the files of the key cannot be read).",
	}, []string{"result"})
	for _, result := range []string{exchangeOK, exchangeRefused, exchangeUnavailable, exchangeUnreadable} {
		t.exchanges.WithLabelValues(result)
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "token_issued_timestamp_seconds",
		Help: "When the token was asked for that is in use, in seconds since 1970; NaN while there is none, or if it was given.",
	}, func() float64 { return seconds(t.current().issued) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "token_expiry_timestamp_seconds",
		Help: "When that token expires, in seconds since 1970; NaN while there is none, or if it was given. It is renewed well before.",
	}, func() float64 {
		current := t.current()
		if current.issued.IsZero() {
			return math.NaN()
		}
		return seconds(current.expiry)
	})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "credentials_refused",
		Help: "1 while Endor Labs refuses the API key, or every token that it gives for it; 0 otherwise.",
	}, func() float64 {
		if t.refused() {
			return 1
		}
		return 0
	})
}

// refused says that the last word on the credentials was a refusal.
func (t *tokens) refused() bool {
	t.state.Lock()
	defer t.state.Unlock()
	return t.state.refused.err != nil && t.state.current.value == ""
}

// seconds is a time as Prometheus writes it: NaN, with which no comparison is
// true, if there is none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return math.NaN()
	}
	return float64(t.UnixNano()) / 1e9
}
