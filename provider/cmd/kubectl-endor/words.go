// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

// few lists names, but not without end.
func few(names []string) string {
	const most = 5
	visible := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		visible = append(visible, printable.Visible(name))
	}
	text := strings.Join(visible, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// kinds lists counts by kind: ConfigMap 3, Rollout.argoproj.io 1.
func kinds(counts map[string]int) string {
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s %d", printable.Visible(kind), counts[kind]))
	}
	return strings.Join(list, ", ")
}
