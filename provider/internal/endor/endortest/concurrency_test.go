// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// Under the race detector: everything that can be changed is changed while it serves.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s := endortest.Start(t, endortest.Config{})
	mustSign(t, s, image, acmeAPI)
	c := newClient(t, s)
	change := []func() error{
		func() error { return s.Sign(endortest.Signing{Image: image, Claims: acmeAPI}) },
		func() error { return s.Sign(endortest.Signing{Image: otherImage}) },
		func() error { return s.Damage("", image, endortest.DamageAnswerRevoked) },
		func() error { return s.Revoke("", image, "") },
		func() error { return s.SetProvenance("", image, nil) },
		func() error {
			return s.Inject(endortest.Fault{Kind: endortest.FaultLatency, Delay: time.Microsecond, Times: 1})
		},
		func() error { return s.SetSwitches(s.Switches()) },
		func() error { s.SetCredentials(s.APIKey, s.APISecret); return nil },
		func() error { s.SetNamespaces(s.Namespace); return nil },
		func() error { s.ResetCounters(); return nil },
		func() error { s.Operations(); return nil },
	}
	var wg sync.WaitGroup
	for _, do := range change {
		wg.Go(func() {
			for range 20 {
				if err := do(); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 5 {
				if got, err := c.tryVerify(image); err != nil || got.status != 200 {
					t.Errorf("VERIFY = HTTP %d, error %v; want 200", got.status, err)
				}
			}
		})
	}
	wg.Wait()
	if got := s.Counters(); got.InFlight != 0 || got.Held != 0 {
		t.Errorf("%d in flight and %d held after the last answer, want none", got.InFlight, got.Held)
	}
}
