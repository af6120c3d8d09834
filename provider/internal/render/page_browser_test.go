// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build browser

package render

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// expected are the images of a report in the order of the page.
func expected(r *report.Report, fits func(report.Image) bool) []string {
	var names []string
	for _, i := range ordered(r).Images {
		if fits == nil || fits(i) {
			names = append(names, printable.Visible(i.Image))
		}
	}
	return names
}

func (b *tab) shows(what string, want []string) {
	b.t.Helper()
	if got := b.names(); !slices.Equal(got, want) {
		b.t.Errorf("%s: the table has\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestThePageSaysWhatTheReportSays(t *testing.T) {
	r := sample()
	b := open(t, r, device{})
	b.shows("the worst first", expected(r, nil))
	if got := b.text("h1"); got != "7 of 29 images would be refused at their next rollout." {
		t.Errorf("the headline is %q", got)
	}
	for selector, want := range map[string]string{
		"main": "K8sEndorSignedImages/sandbox-warn was last audited 26 hours ago", "#readiness": "3 of 6 workloads would fail", "#changes": "Newly revoked",
		"#constraints": "K8sAllowedRepos/known-registries", "footer": "kubectl-endor v0.9.0", ".counts": "verified18", "#status": "29 images",
	} {
		if got := strings.Join(strings.Fields(b.text(selector)), " "); !strings.Contains(strings.ReplaceAll(got, " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("%s says %q, want %q in it", selector, got, want)
		}
	}
	if eval[bool](b, `document.querySelector('.incomplete') !== null`) {
		t.Error("a complete report is called incomplete")
	}
}

func TestAnIncompletePageSaysSoBeforeItsHeadline(t *testing.T) {
	b := open(t, hostile(), device{})
	if !eval[bool](b, `Boolean(document.querySelector('.incomplete').compareDocumentPosition(document.querySelector('h1')) & Node.DOCUMENT_POSITION_FOLLOWING)`) {
		t.Error("it says so after the headline")
	}
}

func TestSearch(t *testing.T) {
	r := sample()
	b := open(t, r, device{})
	b.search("STOREFRONT denied")
	b.shows("two words, in capitals", []string{"docker.io/library/nginx:1.27"})
	if got := b.text("#status"); got != "1 of 29 images" {
		t.Errorf("the status is %q", got)
	}
	b.search("workflows/release.yaml")
	b.shows("a signer", expected(r, func(i report.Image) bool { return i.Class == verify.ClassVerified }))
	b.search("nothing has this name")
	b.shows("nothing", nil)
	if !eval[bool](b, `!document.getElementById('empty').hidden`) {
		t.Error("that nothing fits is not said")
	}
	b.search(kb.Backspace)
	b.shows("all again", expected(r, nil))
}

func TestSortWithMouseAndKeyboard(t *testing.T) {
	r := sample()
	b := open(t, r, device{})
	sorted := func(compare func(a, b report.Image) int) []string {
		o := ordered(r)
		slices.SortStableFunc(o.Images, compare)
		var names []string
		for _, i := range o.Images {
			names = append(names, i.Image)
		}
		return names
	}
	aria := func() string {
		return b.attribute("#head th:nth-child(1)", "aria-sort") + " " + b.attribute("#head th:nth-child(6)", "aria-sort")
	}
	b.click("#head th:nth-child(1) .sort")
	b.shows("by name", sorted(func(a, b report.Image) int { return strings.Compare(a.Image, b.Image) }))
	if got := aria(); got != "ascending none" {
		t.Errorf("aria-sort is %s", got)
	}
	b.press(kb.Enter) // the button has the focus
	b.shows("by name, turned", sorted(func(a, b report.Image) int { return strings.Compare(b.Image, a.Image) }))
	for range 5 {
		b.press(kb.Tab)
	}
	b.press(" ")
	b.shows("by pods", sorted(func(a, b report.Image) int { return b.Pods - a.Pods }))
	if got := aria(); got != "none descending" {
		t.Errorf("aria-sort is %s", got)
	}
	if !eval[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== 'none' && document.activeElement.matches(':focus-visible')`) {
		t.Error("the focus does not show")
	}
	b.choose("#sort", "")
	b.shows("the worst first again", expected(r, nil))
}

func TestFilters(t *testing.T) {
	r := sample()
	b := open(t, r, device{})
	b.click("#classes .chip:nth-child(1)")
	b.shows("rejected", expected(r, func(i report.Image) bool { return i.Class == verify.ClassRejected }))
	b.click("#classes .chip:nth-child(2)")
	b.shows("rejected or unavailable", expected(r, func(i report.Image) bool {
		return i.Class == verify.ClassRejected || i.Class == verify.ClassUnavailable
	}))
	if got := b.attribute("#classes .chip:nth-child(2)", "aria-pressed"); got != "true" {
		t.Errorf("aria-pressed is %q", got)
	}
	b.choose("#namespace", "search")
	b.shows("of these in search", expected(r, func(i report.Image) bool {
		return i.Class != verify.ClassVerified && slices.Contains(namespaces(i), "search")
	}))
	b.choose("#decision", "warned")
	b.shows("none of them is warned about", nil)
	b.choose("#namespace", "")
	b.shows("warned", expected(r, func(i report.Image) bool { return i.NextRollout == report.Warned }))
}

func TestDetails(t *testing.T) {
	b := open(t, sample(), device{})
	b.search("nginx")
	b.shows("one", []string{"docker.io/library/nginx:1.27"})
	b.do(focus(".open-button"))
	b.press(kb.Enter)
	got := b.text("#rows .detail")
	for _, want := range []string{"web/Deployment/storefront", "team=storefront", "4 pods", "[NO_DIGEST]", "K8sEndorSignedImages/production", digestOf(90), "refused since"} {
		if !strings.Contains(got, want) {
			t.Errorf("the details %q do not hold %q", got, want)
		}
	}
	if b.attribute(".open-button", "aria-expanded") != "true" {
		t.Error("aria-expanded is not true")
	}
	b.click("#rows tr.row td:nth-child(5)")
	if eval[int](b, `document.querySelectorAll('#rows .detail').length`) != 0 || b.attribute(".open-button", "aria-expanded") != "false" {
		t.Error("the details do not close")
	}
	b.search("ghcr.io/acme/indexer")
	b.shows("another", expected(sample(), func(i report.Image) bool { return strings.HasPrefix(i.Image, "ghcr.io/acme/indexer@") }))
	b.click(".open-button")
	if got := b.text("#rows .detail"); !strings.Contains(got, "https://github.com/acme/indexer/.github/workflows/release.yaml@refs/heads/main") || !strings.Contains(got, "signed at") {
		t.Errorf("the details %q do not name the signer", got)
	}
}

// many is a report of a large cluster.
func many(n int) *report.Report {
	r := &report.Report{Complete: true, GeneratedAt: made, Generator: "kubectl-endor v0.9.0"}
	for k := range n {
		code, next := verify.Verified, report.Admitted
		if k%40 == 0 {
			code, next = verify.NotSigned, report.Denied
		}
		namespace := fmt.Sprintf("team-%03d", k%300)
		r.Images = append(r.Images, judged(k, fmt.Sprintf("registry.example.com/%s/service-%05d", namespace, k), code, next,
			place(namespace, "Deployment", fmt.Sprintf("service-%05d", k), k%7+1, namespace)))
	}
	sumUp(r)
	return r
}

func TestTenThousandImagesStayUsable(t *testing.T) {
	const n = 10000
	b := open(t, many(n), device{})
	if got := len(b.names()); got != 100 {
		t.Errorf("%d rows are drawn at once", got)
	}
	b.search("service-09999")
	if got := b.names(); len(got) != 1 || !strings.Contains(got[0], "service-09999") {
		t.Errorf("found %q", got)
	}
	b.search(kb.Backspace)
	b.click("#head th:nth-child(1) .sort")
	if got := b.names(); !strings.Contains(got[0], "team-000/service-00000@") || !strings.Contains(got[1], "team-000/service-00300@") {
		t.Errorf("sorted by name it begins with %q", got[:2])
	}
	b.click("#more")
	if got := len(b.names()); got != 200 {
		t.Errorf("with more there are %d rows", got)
	}
	// One keystroke is filtered, sorted and drawn in less time than one notices.
	// The best of several, since the machine has other things to do.
	best := eval[float64](b, `(() => { let best = Infinity; for (let i = 0; i < 9; i++) { const t = performance.now(); document.getElementById('decision').value = i % 2 ? '' : 'admitted'; document.getElementById('decision').dispatchEvent(new Event('change')); best = Math.min(best, performance.now() - t); } return best; })()`)
	t.Logf("filtered and drawn in %.1f ms", best)
	b.click("#all")
	if got := eval[int](b, `document.querySelectorAll('#rows tr').length`); got < n*9/10 {
		t.Errorf("%d rows of all are drawn", got)
	}
}

func TestPaperShowsAllRows(t *testing.T) {
	b := open(t, many(250), device{})
	if got := len(b.names()); got != 100 {
		t.Fatalf("%d rows are drawn at once", got)
	}
	b.media("print")
	if got := len(b.names()); got != 250 {
		t.Errorf("paper has %d rows of 250", got)
	}
	if eval[bool](b, `document.getElementById('tools').checkVisibility() || !document.querySelector('#rows tr').checkVisibility()`) {
		t.Error("paper shows what one can only click on, or not the rows")
	}
	if got := eval[string](b, `getComputedStyle(document.documentElement).colorScheme`); got != "light" {
		t.Errorf("paper is %s", got)
	}
}

func TestWithoutScriptsTheWorstImagesAreThere(t *testing.T) {
	b := openPlain(t, many(250))
	if got := eval[int](b, `document.querySelectorAll('noscript tbody tr').length`); got != maxFallback {
		t.Errorf("%d rows, want %d", got, maxFallback)
	}
	if got := b.text("noscript caption"); !strings.Contains(got, "The worst 200 of 250") {
		t.Errorf("it says %q", got)
	}
}
