// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build browser

package render

import (
	"slices"
	"testing"
)

func TestHostileNamesStayText(t *testing.T) {
	r := hostile()
	b := open(t, r, device{})
	b.shows("all of them as they are written", expected(r, nil))
	for range 3 {
		b.click("#rows tr.row:not(.open) .open-button")
	}
	b.do(evaluate(`document.querySelectorAll('#rows tr.row:not(.open) .open-button').forEach((e) => e.click())`))
	if got := eval[string](b, `[document.querySelectorAll('img, iframe, object, a:not(.skip), script:not(#data):not(:last-of-type)').length,
		document.querySelectorAll('[onerror], [onmouseover], [onclick], [style]').length, document.title.includes('pwned')].join()`); got != "0,0,false" {
		t.Errorf("elements, attributes and title that the names made: %s", got)
	}
	if eval[bool](b, `/[\u001b\u202e\u2028\u0000]/.test(document.body.innerText)`) {
		t.Error("control characters are in the text")
	}
}

func TestAnInjectedScriptDoesNotRun(t *testing.T) {
	b := open(t, sample(), device{})
	got := eval[string](b, `(() => {
		const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s);
		const e = document.createElement('div'); e.setAttribute('onclick', 'window.pwned = 2'); document.body.append(e); e.click();
		const i = document.createElement('style'); i.textContent = 'body { display: none }'; document.body.append(i);
		return String(window.pwned);
	})()`)
	if got != "undefined" {
		t.Errorf("pwned is %s", got)
	}
	stopped := eval[[]string](b, `violations.splice(0)`)
	slices.Sort(stopped)
	if want := []string{"script-src-attr", "script-src-elem", "style-src-elem"}; !slices.Equal(stopped, want) {
		t.Errorf("the policy stopped %q, want %q", stopped, want)
	}
	if said := b.heard(); len(said) != 3 {
		t.Errorf("the console says %q", said)
	}
}
