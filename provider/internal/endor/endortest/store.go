// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"slices"
	"sync"
	"time"
)

// record is one signature as it is stored: what VERIFY reads, and nothing besides.
// Records are values; to change one is to store another in its place.
type record struct {
	uuid         string
	artifact     artifactName
	artifactType string
	certificate  string // PEM
	signature    string // base64 of what the key made
	payload      []byte // what was signed
	timestamp    time.Time
	revoked      bool
	sourceRef    string  // as signed, to find the signature by
	provenance   *Claims // the row beside the certificate, nil when there is none

	// alter changes the answer of a success, nil for a truthful one.
	alter func(*artifactSignature) *artifactSignature
}

type storeKey struct{ namespace, name string }

// store keeps the signatures of a namespace by artifact name, then digest.
type store struct {
	mu     sync.RWMutex
	byName map[storeKey]map[string][]record // :: namespace and name → digest → oldest first
}

// put adds a record. It takes the place of one for the same source ref, as a build that
// ran again does, and otherwise stands beside those that are there.
func (s *store) put(namespace string, r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := storeKey{namespace, r.artifact.name}
	if s.byName[key] == nil {
		s.byName[key] = map[string][]record{}
	}
	kept := slices.DeleteFunc(s.byName[key][r.artifact.digest], func(old record) bool {
		return old.sourceRef == r.sourceRef
	})
	s.byName[key][r.artifact.digest] = append(kept, r)
}

// find returns the records of an image, and whether its name has any at all.
func (s *store) find(namespace string, image artifactName) (records []record, named bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	digests, named := s.byName[storeKey{namespace, image.name}]
	return slices.Clone(digests[image.digest]), named
}

// update replaces each record of an image by what change makes of it, and returns how many it changed.
func (s *store) update(namespace string, image artifactName, change func(*record) (changed bool, err error)) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digests := s.byName[storeKey{namespace, image.name}]
	next := slices.Clone(digests[image.digest])
	var n int
	for i := range next {
		changed, err := change(&next[i])
		if err != nil {
			return 0, err
		}
		if changed {
			n++
		}
	}
	if n > 0 {
		digests[image.digest] = next
	}
	return n, nil
}
