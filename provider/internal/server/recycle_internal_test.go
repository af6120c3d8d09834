// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestAConnectionIsClosedAfterFiveToTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := recycle{next: http.NotFoundHandler(), leave: func() bool { return false }}
		closes := func(req *http.Request) bool {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return w.Header().Get("Connection") == "close"
		}
		ages := map[time.Duration]bool{}
		for range 20 {
			req := httptest.NewRequestWithContext(withAge(t.Context(), nil), http.MethodPost, "/validate", nil)
			start := time.Now()
			time.Sleep(minConnectionAge)
			if closes(req) {
				t.Fatal("closed before five minutes")
			}
			for !closes(req) {
				time.Sleep(time.Second)
			}
			age := time.Since(start)
			if age > maxConnectionAge+time.Second {
				t.Fatalf("closed after %v, want ten minutes at most", age)
			}
			ages[age] = true
		}
		if len(ages) < 2 {
			t.Error("all connections are closed at the same age")
		}
	})
}
