// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"time"
)

// Watch makes a report, and another after every interval until ctx ends, and
// hands over those that differ from the one before, with Changes set. The first
// is handed to begin; that it cannot be made is an error. Later ones that cannot
// be made are handed to fail, and the next is compared with the last that could.
func Watch(ctx context.Context, interval time.Duration, survey func(context.Context) (*Report, error), begin, changed func(*Report), fail func(error)) error {
	last, err := survey(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	begin(last)
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		r, err := survey(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // what was interrupted says nothing
		case err != nil:
			fail(err)
			continue
		}
		r.Since(last)
		if r.Changes.Any() {
			changed(r)
		}
		last = r.remember(last)
	}
}
