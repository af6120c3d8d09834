// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// sparing writes at most one TLS handshake that failed a second, after the first
// ten, and with it how many it left out: whoever reaches the port can have as
// many fail as they like. All else it writes.
type sparing struct {
	slog.Handler
	limiter *rate.Limiter
	left    *atomic.Int64 // out since the last one written
}

func newSparing(h slog.Handler) sparing {
	return sparing{Handler: h, limiter: rate.NewLimiter(rate.Every(time.Second), 10), left: new(atomic.Int64)}
}

func (s sparing) Handle(ctx context.Context, record slog.Record) error {
	if !strings.HasPrefix(record.Message, "http: TLS handshake error ") {
		return s.Handler.Handle(ctx, record)
	}
	if !s.limiter.Allow() {
		s.left.Add(1)
		return nil
	}
	if left := s.left.Swap(0); left > 0 {
		record.AddAttrs(slog.Int64("left_out", left))
	}
	return s.Handler.Handle(ctx, record)
}
