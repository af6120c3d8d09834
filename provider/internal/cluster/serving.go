// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"
)

// settle is how long Gatekeeper has to read a Provider object that changed
// before a pair is served that only the new one trusts.
const settle = 10 * time.Second

// Serving chooses the pair to serve: the newest one, except that as long as
// Gatekeeper trusts only the one before, that one.
type Serving struct {
	// Newest gives the newest pair; without a certificate as long as there is none.
	Newest func() tls.Certificate

	// Name is the DNS name by which Gatekeeper reaches the provider.
	Name string

	// Published gives the authorities that Gatekeeper trusts, and false as long
	// as that is not known.
	Published func() ([]*x509.Certificate, bool)

	// Overlap is how long both are trusted. Well before its end the newest is
	// served. Zero means that it is long.
	Overlap time.Duration

	mu       sync.Mutex // protects what follows
	current  tls.Certificate
	eligible time.Time // since when the newest is trusted; zero if it is not
}

// Pair is asked at each handshake.
func (s *Serving) Pair() tls.Certificate {
	newest := s.Newest()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn(newest, time.Now()) {
		s.current, s.eligible = newest, time.Time{}
	}
	return s.current
}

// turn says whether to go over to newest.
func (s *Serving) turn(newest tls.Certificate, now time.Time) bool {
	switch {
	case len(newest.Certificate) == 0:
		return false
	case len(s.current.Certificate) == 0:
		return true
	case bytes.Equal(newest.Certificate[0], s.current.Certificate[0]):
		return false
	}
	cas, known := s.Published()
	trusted := func(pair tls.Certificate) bool { return known && Verify(&pair, cas, s.Name, now) == nil }
	if !trusted(newest) {
		s.eligible = time.Time{}
		return now.After(s.current.Leaf.NotAfter)
	}
	if s.eligible.IsZero() {
		s.eligible = now
	}
	pause := settle
	if s.Overlap > 0 {
		pause = min(settle, s.Overlap/4)
	}
	return now.Sub(s.eligible) >= pause || !trusted(s.current)
}
