// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHandshakesThatFailDoNotDrownTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var written bytes.Buffer
		log := slog.NewLogLogger(newSparing(slog.NewTextHandler(&written, nil)), slog.LevelWarn)
		for range 100 {
			log.Print("http: TLS handshake error from 10.0.0.1:1: EOF")
		}
		log.Print("http: panic serving 10.0.0.1:1: no")
		if got := strings.Count(written.String(), "handshake"); got != 10 || !strings.Contains(written.String(), "panic") {
			t.Errorf("%d lines of handshakes, want ten, and the panic:\n%s", got, &written)
		}
		time.Sleep(time.Second)
		log.Print("http: TLS handshake error from 10.0.0.2:1: EOF")
		if !strings.Contains(written.String(), "left_out=90") {
			t.Errorf("nothing tells of the 90 that were left out:\n%s", &written)
		}
	})
}
