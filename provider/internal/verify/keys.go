// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// keyReader reads keys. What a key asks never changes, and Gatekeeper asks the
// same ones over and over, so those that were read last are kept: reading costs
// more than all the rest of a warm answer.
type keyReader struct {
	resolver Resolver
	kept     *otter.Cache[string, readKey]
}

// readKey is a resolved question and its name.
type readKey struct {
	question question.Question
	id       ID
}

const (
	// keptBytes is about what keys that were read may cost in memory: some
	// 20,000 of the usual length.
	keptBytes = 16 << 20

	// overhead is about what an entry costs besides its key and the decoded
	// copy of it.
	overhead = 512
)

func newKeyReader(r Resolver, reg prometheus.Registerer) *keyReader {
	kept := otter.Must(&otter.Options[string, readKey]{
		MaximumWeight: keptBytes,
		Weigher:       func(key string, _ readKey) uint32 { return uint32(min(2*len(key), keptBytes)) + overhead },
	})
	promauto.With(reg).NewGaugeFunc(bytesOpts("keys"), func() float64 { return float64(kept.WeightedSize()) })
	return &keyReader{resolver: r, kept: kept}
}

// read reads a key; its errors are those of [question.Parse] and
// [Resolver.Resolve], and are not kept.
func (r *keyReader) read(key string) (readKey, error) {
	if read, ok := r.kept.GetIfPresent(key); ok {
		return read, nil
	}
	q, err := question.Parse(key)
	if err == nil {
		q, err = r.resolver.Resolve(q)
	}
	if err != nil {
		return readKey{}, err
	}
	read := readKey{question: q, id: Identify(q)}
	r.kept.Set(key, read)
	return read, nil
}
