// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"sync"
)

// news is how the exchange under way goes on, for all who wait for it.
type news struct {
	sync.Mutex // protects the fields below
	latest     progress
	changed    chan struct{} // closed at the next change; nil while nobody waits for it
}

// progress is zero where nothing happened.
type progress struct {
	attempted bool
	failed    *Error // the latest attempt that failed
}

func (p progress) tell(ctx context.Context) {
	if p.attempted {
		Attempted(ctx)
	}
	if p.failed != nil {
		Failed(ctx, p.failed)
	}
}

// follow gives a context whose calls make the news, beside what they tell ctx.
func (n *news) follow(ctx context.Context) context.Context {
	following := WithAttempt(ctx, func() {
		n.change(func(p *progress) { p.attempted = true })
		Attempted(ctx)
	})
	return WithFailure(following, func(err *Error) {
		n.change(func(p *progress) { p.failed = err })
		Failed(ctx, err)
	})
}

func (n *news) forget() { n.change(func(p *progress) { *p = progress{} }) }

func (n *news) change(change func(*progress)) {
	n.Lock()
	defer n.Unlock()
	change(&n.latest)
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// read gives the news and a channel that is closed once there are more.
func (n *news) read() (progress, <-chan struct{}) {
	n.Lock()
	defer n.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.latest, n.changed
}
