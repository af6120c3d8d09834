// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

// maxReport is the largest earlier report that is read.
const maxReport = 1 << 30

// Load reads a report that was written as JSON. A report of another schema is
// an error: what its fields mean is not known.
func Load(path string) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r Report
	if err := json.NewDecoder(io.LimitReader(f, maxReport)).Decode(&r); err != nil {
		return nil, fmt.Errorf("%s is no report in JSON: %w", path, err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("%s is no report of this release: its schema is %q, not %q; write it with -o json", path, r.Schema, Schema)
	}
	return &r, nil
}

// PointOf is what of an earlier report belongs into a history.
func PointOf(r *Report) Point { return Point{At: r.GeneratedAt, Totals: r.Totals()} }

// History gives points oldest first.
func History(points ...Point) []Point {
	slices.SortStableFunc(points, func(a, b Point) int { return a.At.Compare(b.At) })
	return points
}
