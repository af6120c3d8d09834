// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"slices"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Since compares the report with an earlier one: it sets Changes, and takes over
// since when images are known to be refused.
//
// An answer that nobody could give is no change: neither its coming nor its
// going says anything of an image. What an incomplete report lacks is not new
// or gone.
func (r *Report) Since(earlier *Report) {
	changes := &Changes{Since: earlier.GeneratedAt}
	before := map[string]*Image{}
	for i := range earlier.Images {
		before[earlier.Images[i].Image] = &earlier.Images[i]
	}
	for i := range r.Images {
		now := &r.Images[i]
		then, known := before[now.Image]
		delete(before, now.Image)
		r.carry(now, then, earlier)
		change := ImageChange{Image: now.Image, Now: now.Code}
		if !known {
			if earlier.Complete {
				changes.New = append(changes.New, change)
			}
			continue
		}
		change.Before = then.Code
		switch {
		case now.Code == string(verify.Revoked) && then.Code != now.Code:
			changes.NewlyRevoked = append(changes.NewlyRevoked, change)
		case now.Class == verify.ClassRejected && then.Class == verify.ClassVerified:
			changes.NewlyRefused = append(changes.NewlyRefused, change)
		case now.Class == verify.ClassVerified && then.Class == verify.ClassRejected:
			changes.NewlySigned = append(changes.NewlySigned, change)
		}
	}
	if r.Complete {
		for image, then := range before {
			changes.Gone = append(changes.Gone, ImageChange{Image: image, Before: then.Code})
		}
	}
	for _, list := range [][]ImageChange{changes.NewlyRevoked, changes.NewlyRefused, changes.NewlySigned, changes.New, changes.Gone} {
		slices.SortFunc(list, func(a, b ImageChange) int { return cmp.Compare(a.Image, b.Image) })
	}
	r.Changes = changes
}

// carry takes over since when an image is known to be refused, from an earlier
// report that refused it too; one that is refused for the first time is so from
// now on.
func (r *Report) carry(now, then *Image, earlier *Report) {
	if now.Class != verify.ClassRejected {
		return
	}
	since := r.GeneratedAt
	if then != nil && then.Class == verify.ClassRejected {
		since = earlier.GeneratedAt
		if then.FirstSeen != nil {
			since = *then.FirstSeen
		}
	}
	if now.FirstSeen == nil || since.Before(*now.FirstSeen) {
		now.FirstSeen = &since
	}
}

// Any says whether anything changed.
func (c *Changes) Any() bool {
	return len(c.NewlyRevoked)+len(c.NewlyRefused)+len(c.NewlySigned)+len(c.New)+len(c.Gone) > 0
}

// remember keeps what is known of images about which nobody could be asked this
// time, so that the next report is compared with the last answer.
func (r *Report) remember(earlier *Report) *Report {
	kept := *r
	kept.Images = slices.Clone(r.Images)
	known := map[string]*Image{}
	for i := range earlier.Images {
		known[earlier.Images[i].Image] = &earlier.Images[i]
	}
	for i := range kept.Images {
		now := &kept.Images[i]
		then := known[now.Image]
		delete(known, now.Image)
		if then != nil && (now.Class == verify.ClassUnavailable || now.Class == verify.ClassMisconfigured) {
			now.Code, now.Class, now.FirstSeen = then.Code, then.Class, then.FirstSeen
		}
	}
	if !r.Complete {
		for i := range earlier.Images {
			if _, missing := known[earlier.Images[i].Image]; missing {
				kept.Images = append(kept.Images, earlier.Images[i])
			}
		}
		kept.Complete = earlier.Complete
	}
	return &kept
}
