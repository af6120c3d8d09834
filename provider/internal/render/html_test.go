// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// colors of the style by name, each for light and for dark.
func colors(t *testing.T) map[string][2]string {
	t.Helper()
	found := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);`).FindAllStringSubmatch(style, -1) {
		found[m[1]] = [2]string{m[2], m[3]}
	}
	if n := strings.Count(style, "light-dark("); len(found) != n || n == 0 {
		t.Fatalf("read %d of %d colors", len(found), n)
	}
	return found
}

// luminance as WCAG 2 defines it.
func luminance(t *testing.T, color string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(color[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift uint) float64 {
		c := float64(rgb>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestContrast(t *testing.T) {
	t.Parallel()
	if got := contrast(t, "#000000", "#ffffff"); math.Abs(got-21) > 1e-9 {
		t.Fatalf("black on white has a contrast of %v, want 21", got)
	}
	colors := colors(t)
	check := func(least float64, front string, backs ...string) {
		for _, back := range backs {
			for i, scheme := range []string{"light", "dark"} {
				if got := contrast(t, colors[front][i], colors[back][i]); got < least {
					t.Errorf("%s on %s has a contrast of %.2f in the %s scheme, want %.1f", front, back, got, scheme, least)
				}
			}
		}
	}
	const text, shape = 4.5, 3
	tints := []string{"rejected-tint", "misconfigured-tint", "unavailable-tint", "unchecked-tint", "verified-tint"}
	check(text, "ink", append(tints, "paper", "card", "sunken")...)
	check(text, "soft", "paper", "card", "sunken")
	for _, class := range classes {
		check(text, string(class), "paper", "card", "sunken", string(class)+"-tint")
	}
	check(shape, "edge", "paper", "card")
	check(shape, "focus", "paper", "card", "sunken")
}

// What html/template escapes is escaped; this holds that all goes through it.
func TestNoNameIsMarkupInHTML(t *testing.T) {
	t.Parallel()
	tags := regexp.MustCompile(`<[/!a-zA-Z?]`)
	plain := len(tags.FindAllString(rendered(t, "html", named("plain"), Options{}), -1))
	rapid.Check(t, func(rt *rapid.T) {
		name := anyName().Filter(func(s string) bool { return s != "" }).Draw(rt, "name")
		page := rendered(t, "html", named(name), Options{})
		if n := len(tags.FindAllString(page, -1)); n != plain {
			rt.Fatalf("with the name %q there are %d tags, with a plain one %d", name, n, plain)
		}
		if strings.ContainsAny(page, "\u2028\u2029\x1b\u202e") {
			rt.Fatalf("the name %q is in the page as it is", name)
		}
	})
}

// A policy that allows styles and handlers in attributes would have to allow
// those of somebody else too.
func TestThePageNeedsNothingThatItsPolicyForbids(t *testing.T) {
	t.Parallel()
	page := rendered(t, "html", sample(), Options{})
	head, _, _ := strings.Cut(page, `<script type="application/json"`)
	for _, what := range []string{` style=`, ` onclick=`, ` onload=`, `javascript:`, ` src=`, `<link`, `<img`, `url(`, `@import`} {
		if strings.Contains(head, what) {
			t.Errorf("the page holds %q", what)
		}
	}
	if strings.Contains(script, "innerHTML") || strings.Contains(script, "insertAdjacentHTML") || strings.Contains(script, "document.write") {
		t.Error("the script makes markup of text")
	}
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
}
