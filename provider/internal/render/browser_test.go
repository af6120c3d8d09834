// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build browser

package render

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// browser is a Chromium that all tests share, each with a tab of its own. It
// asks nobody for anything on its own account.
var browser = sync.OnceValues(func() (context.Context, error) {
	ctx, _ := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-background-networking", true),
	))
	endBrowser = func() error { return chromedp.Cancel(ctx) } // and waits for the process
	return ctx, chromedp.Do(ctx)
})

var endBrowser = func() error { return nil }

func TestMain(m *testing.M) {
	code := m.Run()
	if err := endBrowser(); err != nil {
		fmt.Fprintln(os.Stderr, "end Chromium:", err)
		code = 1
	}
	os.Exit(code)
}

// device is what somebody looks at a page with. The zero value is a desktop
// with light colors.
type device struct {
	width, height int64
	phone         bool
	scheme        string // light or dark
	media         string // screen or print
}

// tab is one page in the browser, and all that it said and asked for.
type tab struct {
	t      *testing.T
	ctx    context.Context
	scheme string
	plain  bool // scripts do not run

	mu       sync.Mutex
	requests []string
	said     []string // on the console, and exceptions
}

// open shows a report. When the test ends, nothing may have been said on the
// console, no request may have been made but that for the file, and the page's
// policy may have stopped nothing.
func open(t *testing.T, r *report.Report, on device) *tab {
	t.Helper()
	return openWith(t, r, on, "#rows tr", nil)
}

// openPlain shows a report where scripts do not run.
func openPlain(t *testing.T, r *report.Report) *tab {
	t.Helper()
	return openWith(t, r, device{}, "noscript tr", func(b *tab) {
		b.plain = true
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	})
}

func openWith(t *testing.T, r *report.Report, on device, ready string, first func(*tab)) *tab {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(rendered(t, "html", r, Options{})), 0o644); err != nil {
		t.Fatal(err)
	}
	parent, err := browser()
	if err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	ctx, cancel := chromedp.NewContext(parent)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	// What a policy forbids is told to the document that it protects.
	call(b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: `window.violations = []; document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective));`,
	})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: cmp.Or(on.width, 1280), Height: cmp.Or(on.height, 900), DeviceScaleFactor: 1, Mobile: on.phone,
	})
	b.scheme = cmp.Or(on.scheme, "light")
	b.media(on.media)
	if first != nil {
		first(b)
	}
	address := (&url.URL{Scheme: "file", Path: file}).String()
	b.do(chromedp.Navigate(address), chromedp.WaitReady(ready))
	t.Cleanup(func() {
		if v := eval[[]string](b, `window.violations || []`); len(v) > 0 {
			t.Errorf("the policy of the page stopped %q", v)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.Equal(b.requests, []string{address}) {
			t.Errorf("requests were made: %q", b.requests)
		}
		if len(b.said) > 0 {
			t.Errorf("the console says %q", b.said)
		}
	})
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, string(e.Type))
	case *log.EventEntryAdded:
		b.said = append(b.said, e.Entry.Text)
	}
}

// heard takes what the console said so far, which is then as expected.
func (b *tab) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.said
	b.said = nil
	return said
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%v (the console says %q)", err, b.heard())
	}
}

// eval gives what an expression is once what was done before is drawn.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	action := chromedp.Evaluate[T](expression)
	if !b.plain {
		action = chromedp.Evaluate[T](`new Promise((done, fail) => requestAnimationFrame(() => requestAnimationFrame(() => {
			try { done(`+expression+`) } catch (error) { fail(error) }
		})))`, chromedp.EvalAwaitPromise)
	}
	v, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// media shows the page on a screen or on paper.
func (b *tab) media(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: name, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: b.scheme}},
	})
}

// names are the images in the table, in the order of the table.
func (b *tab) names() []string {
	b.t.Helper()
	return eval[[]string](b, `[...document.querySelectorAll('#rows .open-button')].map((e) => e.title)`)
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, "document.querySelector(`"+selector+"`).textContent")
}

func (b *tab) attribute(selector, name string) string {
	b.t.Helper()
	return eval[string](b, "document.querySelector(`"+selector+"`).getAttribute('"+name+"') || ''")
}

// click moves the mouse to the middle of the first such element, and clicks.
func (b *tab) click(selector string) {
	b.t.Helper()
	at := eval[[]float64](b, "((e) => { e.scrollIntoView({ block: 'center' }); const r = e.getBoundingClientRect();"+
		"return [r.x + r.width / 2, r.y + r.height / 2]; })(document.querySelector(`"+selector+"`))")
	b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// press types keys on what has the focus.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// search replaces what is searched for.
func (b *tab) search(text string) {
	b.t.Helper()
	b.do(evaluate(`document.getElementById('search').select()`), chromedp.SendKeys("#search", text))
}

// choose picks an option of a select, which tells the page as a person would.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	b.do(chromedp.SetValue(selector, value),
		evaluate(`document.querySelector('`+selector+`').dispatchEvent(new Event('change'))`))
}

// picture is what the window shows, as a PNG.
func (b *tab) picture() []byte {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

func focus(selector string) chromedp.Action[chromedp.Void] { return chromedp.Focus(selector) }

func evaluate(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](expression)
}
