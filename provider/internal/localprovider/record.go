// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localprovider

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// record remembers the answers that were given, the last to each key.
type record struct {
	mu      sync.Mutex               // protects the fields below
	byKey   map[string]verify.Answer // :: key → answer
	watched map[*[]verify.Answer]struct{}
}

func (r *record) add(answers []verify.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = map[string]verify.Answer{}
	}
	for _, a := range answers {
		r.byKey[a.Key] = a
	}
	for list := range r.watched {
		*list = append(*list, answers...)
	}
}

// Watch collects every answer that is given until stop is called, which gives
// them. Whoever reviews one object at a time learns so what it was judged by.
func (p *Provider) Watch() (stop func() []verify.Answer) {
	r := &p.answered
	list := new([]verify.Answer)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watched == nil {
		r.watched = map[*[]verify.Answer]struct{}{}
	}
	r.watched[list] = struct{}{}
	return func() []verify.Answer {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watched, list)
		return *list
	}
}

// All gives every answer so far, in the order of their keys.
func (p *Provider) All() []verify.Answer {
	p.answered.mu.Lock()
	defer p.answered.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.answered.byKey), func(a, b verify.Answer) int { return cmp.Compare(a.Key, b.Key) })
}

// ByImage gives every answer so far by the image that its key names, as the
// manifest has it: several, where it was asked about with several signers or
// namespaces.
func (p *Provider) ByImage() map[string][]verify.Answer {
	byImage := map[string][]verify.Answer{}
	for _, a := range p.All() {
		image := ImageOf(a.Key)
		byImage[image] = append(byImage[image], a)
	}
	return byImage
}

// ImageOf reads the image of a key, also of one that was refused.
func ImageOf(key string) string {
	if values, err := url.ParseQuery(key); err == nil && values.Has("image") {
		return values.Get("image")
	}
	return key
}
