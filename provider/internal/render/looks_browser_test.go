// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build browser

package render

import (
	"testing"
)

func TestDarkAndLight(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		b := open(t, sample(), device{scheme: scheme})
		background := func() string { return eval[string](b, `getComputedStyle(document.body).backgroundColor`) }
		light, dark := "rgb(250, 249, 246)", "rgb(20, 22, 26)"
		if scheme == "dark" {
			light, dark = dark, light
		}
		if got := background(); got != light {
			t.Errorf("where %s is preferred the background is %s", scheme, got)
		}
		b.click("#theme")
		if got := background(); got != dark {
			t.Errorf("the button leaves the background of %s at %s", scheme, got)
		}
		if got := b.attribute("#theme", "aria-pressed"); (got == "true") != (scheme == "light") {
			t.Errorf("aria-pressed is %s", got)
		}
		b.click("#theme")
		if got := background(); got != light {
			t.Errorf("the button does not lead back from %s: %s", scheme, got)
		}
	}
}

// contrasts computes the contrast of all text that can be seen against what is
// behind it.
const contrasts = `(() => {
  const rgb = (c) => c.match(/[\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest('script, noscript, title, option') || !e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const x = light(rgb(e instanceof SVGElement ? style.fill : style.color).slice(0, 3)), y = light(behind(e));
    const contrast = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    seen++;
    if (contrast < 4.5) bad.push(node.data.trim().slice(0, 40) + ' ' + contrast.toFixed(2));
  }
  return seen < 100 ? ['only ' + seen + ' texts'] : bad;
})()`

func TestAllTextCanBeRead(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		b := open(t, hostile(), device{scheme: scheme})
		b.click("#rows tr:nth-child(3) .open-button")
		b.click("#classes .chip:nth-child(1)")
		if bad := eval[[]string](b, contrasts); len(bad) > 0 {
			t.Errorf("in the %s scheme the contrast is too low: %q", scheme, bad)
		}
	}
}

func TestEverythingHasAName(t *testing.T) {
	b := open(t, sample(), device{})
	if bad := eval[[]string](b, `[...document.querySelectorAll('button, select, input, svg[role=img], section, main [role=group]')]
		.filter((e) => e.checkVisibility() && !(e.getAttribute('aria-label') || e.labels?.length || (e.getAttribute('aria-labelledby') ? document.getElementById(e.getAttribute('aria-labelledby')) : e.textContent.trim())))
		.map((e) => e.outerHTML.slice(0, 80))`); len(bad) > 0 {
		t.Errorf("without a name: %q", bad)
	}
	if got := eval[string](b, `document.documentElement.lang + ' ' + ['header', 'main', 'footer', 'h1'].map((e) => document.querySelectorAll('.page > ' + e + ', .page > header > h1').length >= 1).join()`); got != "en true,true,true,true" {
		t.Errorf("language and landmarks are %s", got)
	}
}

func TestAPhoneScrollsOnlyDown(t *testing.T) {
	for _, width := range []int64{320, 390} {
		b := open(t, hostile(), device{width: width, height: 700, phone: true})
		b.do(evaluate(`document.querySelectorAll('#rows .open-button').forEach((e, i) => { if (i < 12) e.click(); })`))
		if got := eval[int64](b, `document.documentElement.scrollWidth`); got != width {
			t.Errorf("the page is %d wide where the window is %d", got, width)
		}
		if bad := eval[[]string](b, `[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && !e.closest('.scroll, svg, .sr') && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className + ' ' + e.textContent.slice(0, 40))`); len(bad) > 0 {
			t.Errorf("beyond the edge: %q", bad[:min(len(bad), 5)])
		}
	}
}
