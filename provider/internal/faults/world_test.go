// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// world is an Endor Labs and what it knows, which is the truth that every
// answer is compared with.
type world struct {
	endor *endortest.Emulator

	mu     sync.Mutex // protects the fields below
	images int
	truth  map[string][]verify.Code // :: key → what it may be answered with

	// misconfigured says that a question may also be undecided because the
	// provider is misconfigured, and not only because nobody can be asked.
	misconfigured bool
}

func newWorld(e *endortest.Emulator) *world {
	return &world{endor: e, truth: map[string][]verify.Code{}}
}

const name = "ghcr.io/acme/api"

// fresh makes an image that nobody has asked about, of which code is the truth,
// and gives the key that a policy sends. Every second accepts any repository of
// the owner, for which Endor Labs has to be asked twice.
func (w *world) fresh(t testing.TB, code verify.Code) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images++
	image := fmt.Sprintf("%s@sha256:%064x", name, w.images)
	repository := "acme/api"
	if w.images%2 == 0 {
		repository = "acme/*"
	}
	key := url.Values{"image": {image}, "namespace": {endortest.DefaultNamespace}, "source_repository": {repository}}.Encode()
	w.truth[key] = []verify.Code{code}

	owner := "acme"
	switch code {
	case verify.NotSigned:
		return key
	case verify.WrongSigner:
		owner = "mallory"
	default:
	}
	err := w.endor.Sign(endortest.Signing{Image: image, Claims: endortest.GitHubClaims(owner, "api", "refs/heads/main")})
	if err == nil && code == verify.Revoked {
		err = w.endor.Revoke("", image, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// several makes one fresh key for each code.
func (w *world) several(t testing.TB, codes ...verify.Code) []string {
	t.Helper()
	keys := make([]string, len(codes))
	for i, code := range codes {
		keys[i] = w.fresh(t, code)
	}
	return keys
}

// everyKind is a code of each kind that the truth can be.
var everyKind = []verify.Code{verify.Verified, verify.NotSigned, verify.Revoked, verify.WrongSigner}

// becomes changes the truth about key.
func (w *world) becomes(key string, codes ...verify.Code) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.truth[key] = codes
}

// revoke revokes the image of key. That it is VERIFIED stays true until later
// says otherwise.
func (w *world) revoke(t testing.TB, key string) {
	t.Helper()
	if err := w.endor.Revoke("", imageOf(key), ""); err != nil {
		t.Fatal(err)
	}
	w.becomes(key, verify.Verified, verify.Revoked)
}

// mayBeMisconfigured allows answers that say so, or forbids them again.
func (w *world) mayBeMisconfigured(allowed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.misconfigured = allowed
}

func imageOf(key string) string {
	values, err := url.ParseQuery(key)
	if err != nil {
		panic(err)
	}
	return values.Get("image")
}

// answer is what the provider said of some keys.
type answer struct {
	codes map[string]verify.Code // :: key → what was decided
	stale map[string]bool
	open  []string // keys that are undecided
	why   string   // systemError
	took  time.Duration
}

// ask asks the provider and judges its answer.
func (w *world) ask(ctx context.Context, client *http.Client, to string, keys []string) (answer, error) {
	body, err := json.Marshal(wire.NewProviderRequest(keys))
	if err != nil {
		return answer{}, err
	}
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	took := time.Since(start)
	var got wire.ProviderResponse
	if err := json.Unmarshal(raw, &got); err != nil || resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("HTTP %d %q: %w", resp.StatusCode, raw, err)
	}
	a, err := w.judge(keys, got.Response)
	a.took = took
	return a, err
}

// judge compares a response with the truth. Every key has exactly one item, and
// that a true one, or none, and then there is a reason.
func (w *world) judge(keys []string, got wire.Response) (answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := answer{codes: map[string]verify.Code{}, stale: map[string]bool{}, why: got.SystemError}
	var wrong []error
	for _, item := range got.Items {
		code, stale, err := read(item)
		_, again := a.codes[item.Key]
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case again || !slices.Contains(keys, item.Key):
			wrong = append(wrong, fmt.Errorf("%s is answered twice or was not asked", item.Key))
		case !slices.Contains(w.truth[item.Key], code):
			wrong = append(wrong, fmt.Errorf("WRONG VERDICT: %s is %s; the truth is %s", item.Key, code, w.truth[item.Key]))
		}
		a.codes[item.Key], a.stale[item.Key] = code, stale
	}
	for _, key := range keys {
		if _, decided := a.codes[key]; !decided {
			a.open = append(a.open, key)
		}
	}
	code, _, _ := strings.Cut(got.SystemError, ": ")
	allowed := map[verify.Code]bool{verify.Unavailable: true, verify.Misconfigured: w.misconfigured}
	switch {
	case len(a.open) == 0 && got.SystemError != "":
		wrong = append(wrong, fmt.Errorf("all is decided, and still: %s", got.SystemError))
	case len(a.open) > 0 && !allowed[verify.Code(code)]:
		wrong = append(wrong, fmt.Errorf("%d keys have no item, for a reason that is none here: %q", len(a.open), got.SystemError))
	}
	return a, errors.Join(wrong...)
}

// read gives the code of an item, if it says the same throughout.
func read(item wire.Item) (code verify.Code, stale bool, err error) {
	if item.Error != "" {
		text, _, _ := strings.Cut(item.Error, ": ")
		if code = verify.Code(text); item.Value != nil || code.Class() != verify.ClassRejected {
			return code, false, fmt.Errorf("%s is answered with %q and the value %v", item.Key, item.Error, item.Value)
		}
		return code, false, nil
	}
	raw, err := json.Marshal(item.Value)
	if err != nil {
		return "", false, err
	}
	var value struct {
		Verified, Stale     bool
		Code, Image, Digest string
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", false, err
	}
	if !value.Verified || value.Code != string(verify.Verified) || value.Image+"@"+value.Digest != imageOf(item.Key) {
		return "", false, fmt.Errorf("%s is answered with the value %s", item.Key, raw)
	}
	return verify.Verified, value.Stale, nil
}

// tally is what became of many asks.
type tally struct {
	mu      sync.Mutex // protects the fields below
	asks    int
	decided int            // keys
	open    int            // keys
	why     map[string]int // :: systemError → asks
	slowest time.Duration
	wrong   []error
}

func (y *tally) add(a answer, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asks++
	y.decided += len(a.codes)
	y.open += len(a.open)
	if a.why != "" {
		if y.why == nil {
			y.why = map[string]int{}
		}
		y.why[a.why]++
	}
	y.slowest = max(y.slowest, a.took)
	if err != nil {
		y.wrong = append(y.wrong, err)
	}
}

func (y *tally) count() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.asks
}

// sound fails the test if an answer was wrong or took longer than within.
func (y *tally) sound(t *testing.T, what string, within time.Duration) {
	t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	t.Logf("%s: %d asks, %d keys decided, %d not, slowest %v; %v", what, y.asks, y.decided, y.open, y.slowest, slices.Sorted(maps.Keys(y.why)))
	if y.asks == 0 {
		t.Errorf("%s: nobody asked", what)
	}
	for i, err := range y.wrong {
		if i == 5 {
			t.Errorf("%s: and %d more", what, len(y.wrong)-i)
			break
		}
		t.Errorf("%s: %v", what, err)
	}
	if y.slowest > within {
		t.Errorf("%s: an answer took %v, want %v at most", what, y.slowest, within)
	}
}

// allDecided fails the test if a key was left undecided.
func (y *tally) allDecided(t *testing.T, what string) {
	t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.open > 0 {
		t.Errorf("%s: %d of %d keys were undecided: %v; want none", what, y.open, y.open+y.decided, y.why)
	}
}
