// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
)

// misbehavior is what a scripted provider does about one image. The words $KEY,
// $VALUE, $IMAGE and $DIGEST in it stand for the JSON of the key that was asked,
// of the value of a provider that vouches, of the image, and of its digest.
type misbehavior struct {
	name string
	code string // what the policy makes of it

	// items are the answer for the image, inside the items of the response;
	// others are answered as they should be.
	items string

	// fields are further fields of the response, beside items.
	fields string

	// body is the whole response instead, and status its status.
	body   string
	status int

	// given are parameters beside those that name the provider.
	given map[string]any

	// admitted says why it is none.
	admitted string
}

const rejected, unavailable = "UNRECOGNIZED_RESULT", "UNAVAILABLE"

func item(fields string) string { return `{"key": $KEY, "value": ` + fields + `}` }

var misbehaviors = []misbehavior{
	// Responses as a whole.
	{name: "empty object", body: `{}`, code: rejected},
	{name: "empty object with status 503", body: `{}`, status: 503, code: rejected},
	{name: "good answer with status 503 and no items", body: `{"response": {"idempotent": true}}`, status: 503, code: rejected},
	{name: "null", body: `null`, code: rejected},
	{name: "null response", body: `{"response": null}`, code: rejected},
	{name: "null items", body: `{"response": {"items": null}}`, code: rejected},
	{name: "no items", body: `{"response": {"items": []}}`, code: rejected},
	{name: "an item that is null", items: `null`, code: rejected},
	{name: "an item that is empty", items: `{}`, code: rejected},
	{name: "items that are an object", body: `{"response": {"items": {"key": $KEY, "value": $VALUE}}}`, code: rejected},
	{name: "items outside the response", body: `{"items": [{"key": $KEY, "value": $VALUE}]}`, code: rejected},
	{name: "a response that is a list", body: `[{"key": $KEY, "value": $VALUE}]`, code: rejected},
	{name: "a response that is true", body: `true`, code: rejected},
	{name: "no body", body: ` `, code: rejected},
	{name: "HTML of a proxy with status 502", body: `<html>Bad Gateway</html>`, status: 502, code: rejected},
	{name: "HTML of a proxy with status 200", body: `<html>OK</html>`, code: rejected},
	{name: "two documents", body: `{"response": {}} {"response": {"items": [{"key": $KEY, "value": $VALUE}]}}`, code: rejected},
	{name: "half a document", body: `{"response": {"items": [{"key": $KEY, "value": $VALUE}`, code: rejected},
	{name: "status 401 without a body", body: ` `, status: 401, code: rejected},

	// System errors.
	{name: "system error UNAVAILABLE", fields: `"systemError": "UNAVAILABLE: Endor Labs did not answer; try again"`, code: unavailable},
	{name: "system error MISCONFIGURED", fields: `"systemError": "MISCONFIGURED: Endor Labs refused the credential"`, code: "MISCONFIGURED"},
	{name: "system error BAD_REQUEST for the whole request", body: `{"response": {"systemError": "BAD_REQUEST: too many keys"}}`, code: "BAD_REQUEST"},
	{name: "system error BAD_REQUEST with status 400", body: `{"response": {"systemError": "BAD_REQUEST: the body is too large"}}`, status: 400, code: "BAD_REQUEST"},
	{name: "system error of unknown words", fields: `"systemError": "something went wrong"`, code: rejected},
	{name: "system error of an unknown code", fields: `"systemError": "OVERLOADED: later"`, code: rejected},
	{name: "system error VERIFIED", fields: `"systemError": "VERIFIED: all is well"`, code: rejected},
	{name: "system error with a code of single images", fields: `"systemError": "NOT_SIGNED: no"`, code: rejected},
	{name: "system error with the code further back", fields: `"systemError": "error: UNAVAILABLE: no"`, code: rejected},
	{name: "system error with a code in lower case", fields: `"systemError": "unavailable: no"`, code: rejected},
	{name: "system error with a code and no sentence", fields: `"systemError": "UNAVAILABLE"`, code: rejected},
	{name: "system error with a longer code", fields: `"systemError": "UNAVAILABLE_ISH: no"`, code: rejected},
	{name: "system error that is an object", body: `{"response": {"systemError": {"code": "UNAVAILABLE"}}}`, code: rejected},
	{name: "system error with control characters", fields: `"systemError": "UNAVAILABLE: a\u0000b\u007f\u2028\n[VERIFIED] c"`, code: unavailable},
	{name: "system error of a megabyte", fields: `"systemError": "UNAVAILABLE: ` + strings.Repeat("x", 1<<20) + `"`, code: unavailable},

	// Keys.
	{name: "missing key", items: ``, code: rejected},
	{name: "value without a key", items: `{"value": $VALUE}`, code: rejected},
	{name: "value for another key", items: `{"key": "image=ghcr.io%2Facme%2Fother", "value": $VALUE}`, code: rejected},
	{name: "value for the bare image", items: `{"key": $IMAGE, "value": $VALUE}`, code: rejected},
	{name: "value for an empty key", items: `{"key": "", "value": $VALUE}`, code: rejected},
	{name: "error for another key", items: `{"key": "image=x", "error": "NOT_SIGNED: no"}`, code: rejected},

	// Values.
	{name: "key without value and error", items: `{"key": $KEY}`, code: rejected},
	{name: "null value", items: item(`null`), code: rejected},
	{name: "value true", items: item(`true`), code: rejected},
	{name: "value VERIFIED", items: item(`"VERIFIED"`), code: rejected},
	{name: "value that is the digest", items: item(`$DIGEST`), code: rejected},
	{name: "empty value", items: item(`{}`), code: rejected},
	{name: "list of a good value", items: item(`[$VALUE]`), code: rejected},
	{name: "good value one level deeper", items: item(`{"value": $VALUE}`), code: rejected},
	{name: "value without verified", items: item(`{"code": "VERIFIED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "verified false", items: item(`{"verified": false, "code": "VERIFIED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "verified null", items: item(`{"verified": null, "code": "VERIFIED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: `verified "true"`, items: item(`{"verified": "true", "code": "VERIFIED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "verified 1", items: item(`{"verified": 1, "code": "VERIFIED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "verified [true]", items: item(`{"verified": [true], "code": "VERIFIED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "Verified with a capital", items: item(`{"Verified": true, "code": "VERIFIED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "no code", items: item(`{"verified": true, "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "another code", items: item(`{"verified": true, "code": "NOT_SIGNED", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "code in lower case", items: item(`{"verified": true, "code": "verified", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "code with a space", items: item(`{"verified": true, "code": "VERIFIED ", "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "list of codes", items: item(`{"verified": true, "code": ["VERIFIED"], "digest": $DIGEST, "stale": false}`), code: rejected},
	{name: "no digest", items: item(`{"verified": true, "code": "VERIFIED", "stale": false}`), code: rejected},
	{name: "null digest", items: item(`{"verified": true, "code": "VERIFIED", "digest": null, "stale": false}`), code: rejected},
	{name: "empty digest", items: item(`{"verified": true, "code": "VERIFIED", "digest": "", "stale": false}`), code: rejected},
	{name: "digest of another image", items: item(`{"verified": true, "code": "VERIFIED", "digest": "` + digest("another") + `", "stale": false}`), code: rejected},
	{name: "digest without its algorithm", items: item(`{"verified": true, "code": "VERIFIED", "digest": "` + strings.Repeat("0", 64) + `", "stale": false}`), code: rejected},
	{name: "list of digests", items: item(`{"verified": true, "code": "VERIFIED", "digest": [$DIGEST], "stale": false}`), code: rejected},
	{name: "value that says VERIFIED of a revoked image", items: item(`{"verified": false, "code": "REVOKED", "digest": $DIGEST}`), code: rejected},

	// Errors of single images.
	{name: "item error NOT_SIGNED", items: `{"key": $KEY, "error": "NOT_SIGNED: no signature"}`, code: "NOT_SIGNED"},
	{name: "item error REVOKED", items: `{"key": $KEY, "error": "REVOKED: revoked"}`, code: "REVOKED"},
	{name: "item error WRONG_SIGNER", items: `{"key": $KEY, "error": "WRONG_SIGNER: signed by mallory/x"}`, code: "WRONG_SIGNER"},
	{name: "item error UNTRUSTED_CERTIFICATE", items: `{"key": $KEY, "error": "UNTRUSTED_CERTIFICATE: no"}`, code: "UNTRUSTED_CERTIFICATE"},
	{name: "item error SIGNED_OUTSIDE_VALIDITY", items: `{"key": $KEY, "error": "SIGNED_OUTSIDE_VALIDITY: no"}`, code: "SIGNED_OUTSIDE_VALIDITY"},
	{name: "item error INVALID_SIGNATURE", items: `{"key": $KEY, "error": "INVALID_SIGNATURE: no"}`, code: "INVALID_SIGNATURE"},
	{name: "item error BAD_KEY", items: `{"key": $KEY, "error": "BAD_KEY: no"}`, code: "BAD_KEY"},
	{name: "item error REFUSED_BY_API", items: `{"key": $KEY, "error": "REFUSED_BY_API: no"}`, code: "REFUSED_BY_API"},
	// An outage is never an item, since Gatekeeper would remember it.
	{name: "item error UNAVAILABLE", items: `{"key": $KEY, "error": "UNAVAILABLE: no"}`, code: rejected},
	{name: "item error MISCONFIGURED", items: `{"key": $KEY, "error": "MISCONFIGURED: no"}`, code: rejected},
	{name: "item error VERIFIED", items: `{"key": $KEY, "error": "VERIFIED: yes"}`, code: rejected},
	{name: "item error of unknown words", items: `{"key": $KEY, "error": "_invalid"}`, code: rejected},
	{name: "item error that is an object", items: `{"key": $KEY, "error": {"code": "NOT_SIGNED"}}`, body: `{"response": {"items": [{"key": $KEY, "error": {"code": "NOT_SIGNED"}}]}}`, code: rejected},
	{name: "value and error in one item", items: `{"key": $KEY, "value": $VALUE, "error": "REVOKED: revoked"}`, code: "REVOKED"},
	{name: "value and an error of unknown words in one item", items: `{"key": $KEY, "value": $VALUE, "error": "x"}`, code: rejected},
	{name: "value in one item, then error in another", items: `{"key": $KEY, "value": $VALUE}, {"key": $KEY, "error": "REVOKED: revoked"}`, code: "REVOKED"},
	{name: "value in one item, then another value", items: `{"key": $KEY, "value": $VALUE}, {"key": $KEY, "value": {"verified": false}}`, code: rejected},
	{name: "value in one item, then null in another", items: `{"key": $KEY, "value": $VALUE}, {"key": $KEY}`, code: rejected},
	{name: "halves of a good value in two items", items: `{"key": $KEY, "value": {"verified": true, "digest": $DIGEST}}, {"key": $KEY, "value": {"code": "VERIFIED"}}`, code: rejected},
	{name: "error twice", items: `{"key": $KEY, "error": "NOT_SIGNED: no"}, {"key": $KEY, "error": "NOT_SIGNED: no"}`, code: "NOT_SIGNED"},
	{name: "the same value twice", items: `{"key": $KEY, "value": $VALUE}, {"key": $KEY, "value": $VALUE}`, admitted: "saying it twice is no contradiction"},
	{name: "good value beside a system error", items: `{"key": $KEY, "value": $VALUE}`, fields: `"systemError": "UNAVAILABLE: about another key"`, admitted: "what is decided is decided"},
	{name: "item error beside a system error UNAVAILABLE", items: `{"key": $KEY, "error": "NOT_SIGNED: no"}`, fields: `"systemError": "UNAVAILABLE: about another key"`, code: "NOT_SIGNED"},
	{name: "bad value beside a system error UNAVAILABLE", items: item(`{"verified": false}`), fields: `"systemError": "UNAVAILABLE: about another key"`, code: rejected},

	// Stale answers.
	{name: "stale answer", items: item(`{"verified": true, "code": "VERIFIED", "digest": $DIGEST, "stale": true}`), given: map[string]any{"acceptStale": false}, code: unavailable},
	{name: "answer that does not say whether it is stale", items: item(`{"verified": true, "code": "VERIFIED", "digest": $DIGEST}`), given: map[string]any{"acceptStale": false}, code: rejected},
	{name: `stale "false"`, items: item(`{"verified": true, "code": "VERIFIED", "digest": $DIGEST, "stale": "false"}`), given: map[string]any{"acceptStale": false}, code: rejected},
	{name: "stale answer about another digest", items: item(`{"verified": true, "code": "VERIFIED", "digest": "sha256:00", "stale": true}`), given: map[string]any{"acceptStale": false}, code: rejected},
	{name: "stale answer where they are accepted", items: item(`{"verified": true, "code": "VERIFIED", "digest": $DIGEST, "stale": true}`), admitted: "acceptStale is true by default"},
}

// signedAt are times of signatures and what maxAge 30d makes of them.
var signedAt = []misbehavior{
	{name: "no time", items: `{}`},
	{name: "null", items: `{"signed_at": null}`},
	{name: "an empty string", items: `{"signed_at": ""}`},
	{name: "a number", items: `{"signed_at": 1767225600}`},
	{name: "a list", items: `{"signed_at": ["` + ago(time.Hour) + `"]}`},
	{name: "no date", items: `{"signed_at": "yesterday"}`},
	{name: "a date without a time", items: `{"signed_at": "2026-01-01"}`},
	{name: "a time without a zone", items: `{"signed_at": "2026-01-01T00:00:00"}`},
	{name: "the thirteenth month", items: `{"signed_at": "2026-13-01T00:00:00Z"}`},
	{name: "31 days ago", items: `{"signed_at": "` + ago(31*24*time.Hour) + `"}`},
	{name: "a minute more than 30 days ago", items: `{"signed_at": "` + ago(30*24*time.Hour+time.Minute) + `"}`},
	{name: "the year 1", items: `{"signed_at": "0001-01-01T00:00:00Z"}`},
	{name: "1969", items: `{"signed_at": "1969-12-31T23:59:59Z"}`},
	{name: "in an hour", items: `{"signed_at": "` + ago(-time.Hour) + `"}`},
	{name: "the year 2200", items: `{"signed_at": "2200-01-01T00:00:00Z"}`},
	{name: "the year 9999", items: `{"signed_at": "9999-12-31T23:59:59Z"}`},
	{name: "29 days ago", items: `{"signed_at": "` + ago(29*24*time.Hour) + `"}`, admitted: "it is young"},
	{name: "in a minute, by another clock", items: `{"signed_at": "` + ago(-time.Minute) + `"}`, admitted: "clocks differ"},
}

// ago is a time as the provider writes it.
func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

// ages are signatures of all ages under maxAge.
func ages() []attempt {
	var all []attempt
	for i := range signedAt {
		m := &signedAt[i]
		image := ref(scriptedRepository("age", i))
		a := attempt{
			name:     "maxAge 30d, signed " + m.name,
			given:    with(strict(), "provider", "scripted", "maxAge", "30d"),
			attack:   create(pod(signed, image)),
			admitted: m.admitted,
			twin:     twin(pod(signed, ref("acme/signed"))),
		}
		if m.admitted == "" {
			a.want = []string{`TOO_OLD container "c1"`}
		}
		all = append(all, a)
	}
	old := "ghcr.io/acme/veteran@sha256:32c3bad747dd3954623c0a6295eaf922cd695f727f8e30328b79644a95a980fc"
	return append(all, each([]string{"1h", "24h", "39d", "959h"}, func(age string) attempt {
		return attempt{
			name:      "maxAge " + age + " against an image signed 40 days ago, through the real provider",
			given:     with(strict(), "maxAge", age),
			attack:    create(pod(signed, old)),
			want:      []string{`TOO_OLD container "c1"`},
			twin:      twin(pod(signed, old)),
			twinGiven: with(strict(), "maxAge", "41d"),
		}
	})...)
}

func scriptedRepository(family string, i int) string {
	return fmt.Sprintf("ghcr.io/acme/scripted/%s-%d", family, i)
}

// misbehavingProviders are answers other than they should be, about an image
// that stands beside a signed one. Each is tried under all classes, and again
// under the one that must count it.
func misbehavingProviders() []attempt {
	var all []attempt
	for i, m := range misbehaviors {
		image := ref(scriptedRepository("answer", i))
		given := with(with(strict(), "provider", "scripted"), flat(m.given)...)
		a := attempt{
			name:     "provider answers: " + m.name,
			given:    given,
			attack:   create(pod(signed, image)),
			admitted: m.admitted,
			twin:     twin(pod(signed, ref("acme/signed"))),
		}
		if m.admitted != "" {
			all = append(all, a)
			continue
		}
		a.want = []string{refusal(m.code, "container", "c1")}
		// With the whole response goes the good answer about the signed image,
		// unless Gatekeeper remembers it. It is asked about alone, then.
		if m.body != "" {
			a.attack = create(pod(image))
			a.want = []string{refusal(m.code, "container", "c0")}
		}
		class := classes[m.code]
		only := a
		only.name += ", under failOn [" + class + "]"
		only.given = with(given, "failOn", []any{class})
		all = append(all, a, only)
	}
	// One bad image spoils no other, and is spoiled by none.
	return append(all,
		attempt{
			name:  "provider answers: good values of two images exchanged",
			given: with(strict(), "provider", "exchanging"),
			attack: create(pod(
				"ghcr.io/acme/exchanged-a@"+digest("a"), "ghcr.io/acme/exchanged-b@"+digest("b"),
			)),
			want:      []string{`UNRECOGNIZED_RESULT container "c0"`, `UNRECOGNIZED_RESULT container "c1"`},
			twin:      twin(pod("ghcr.io/acme/exchanged-a@"+digest("a"), "ghcr.io/acme/exchanged-b@"+digest("b"))),
			twinGiven: with(strict(), "provider", "scripted"),
		},
	)
}

func flat(m map[string]any) []any {
	var pairs []any
	for name, value := range m {
		pairs = append(pairs, name, value)
	}
	return pairs
}

// unreachable are Providers that Gatekeeper cannot ask, by name.
var unreachable = []struct{ name, what, code string }{
	{"nobody", "which is not there", "MISCONFIGURED"},
	{"other-ca", "whose caBundle is of another CA", "MISCONFIGURED"},
	{"other-name", "whose certificate is of another name", "MISCONFIGURED"},
	{"expired", "whose certificate has expired", "MISCONFIGURED"},
	{"old-tls", "which speaks TLS 1.2 only", "MISCONFIGURED"},
	{"other-clients", "which takes the certificates of another CA only", "MISCONFIGURED"},
	{"plain", "which speaks plain HTTP", "MISCONFIGURED"},
	{"closed", "at which nobody listens", "UNAVAILABLE"},
	{"hung", "which accepts and never answers", "UNAVAILABLE"},
	{"dripping", "which begins to answer and never ends", "UNAVAILABLE"},
	{"resetting", "which hangs up", "UNAVAILABLE"},
	{"cut", "which hangs up inside its answer", "UNAVAILABLE"},
	{"redirecting", "which redirects to a page", "UNRECOGNIZED_RESULT"},
}

// unreachableProviders are ways not to get an answer.
func unreachableProviders() []attempt {
	var all []attempt
	for _, u := range unreachable {
		for _, given := range []map[string]any{
			with(strict(), "provider", u.name),
			with(strict(), "provider", u.name, "failOn", []any{classes[u.code]}),
		} {
			name := "provider " + u.what
			if given["failOn"] != nil {
				name += ", under failOn [" + classes[u.code] + "]"
			}
			all = append(all, attempt{
				name:      name,
				given:     given,
				attack:    create(pod(unsigned, ref("ghcr.io/acme/signed"))),
				want:      []string{refusal(u.code, "container", "c0"), refusal(u.code, "container", "c1")},
				twin:      twin(pod(signed, ref("acme/signed"))),
				twinGiven: strict(),
			})
		}
	}
	return append(all, attempt{
		// What the policy can tell by itself needs no provider.
		name:   "provider which is not there, and images that are not worth asking about",
		given:  with(strict(), "provider", "nobody", "failOn", []any{"rejected"}),
		attack: create(pod("ghcr.io/acme/unsigned:v1", "x\u007f", "GHCR.IO/acme/signed@"+digest("x"))),
		want:   []string{`NO_DIGEST container "c0"`, `BAD_REFERENCE container "c1"`, `BAD_REFERENCE container "c2"`},
	})
}

// newProviders starts what the attempts name as their provider.
func newProviders(t testing.TB) []engine.Provider {
	t.Helper()
	ca := stage.Certificates.ServerCA
	otherCA, err := certs.NewAuthority("other-ca", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	trusting := func(name string, server *httptest.Server) engine.Provider {
		return engine.Provider{Name: name, URL: server.URL, CABundle: ca.CertPEM(), Timeout: 5}
	}
	honest := newTLSServer(t, answerer(playScript), nil)
	serving := func(name string, change func(*tls.Config)) engine.Provider {
		return trusting(name, newTLSServer(t, answerer(playScript), change))
	}
	handling := func(name string, handler http.HandlerFunc) engine.Provider {
		return trusting(name, newTLSServer(t, handler, nil))
	}
	impatient := func(p engine.Provider) engine.Provider {
		p.Timeout = 1
		return p
	}
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			err = conn.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	plain := httptest.NewServer(answerer(playScript))
	t.Cleanup(plain.Close)
	return []engine.Provider{
		trusting("scripted", honest),
		handling("exchanging", answerer(exchange).ServeHTTP),
		{Name: "other-ca", URL: honest.URL, CABundle: otherCA.CertPEM()},
		serving("other-name", func(c *tls.Config) {
			c.Certificates = []tls.Certificate{issue(t, ca, time.Hour, "elsewhere.example")}
		}),
		serving("expired", func(c *tls.Config) {
			c.Certificates = []tls.Certificate{issue(t, ca, -time.Minute, "127.0.0.1")}
		}),
		serving("old-tls", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }),
		serving("other-clients", func(c *tls.Config) {
			c.ClientCAs = x509.NewCertPool()
			c.ClientCAs.AddCert(otherCA.Certificate())
		}),
		{Name: "plain", URL: strings.Replace(plain.URL, "http:", "https:", 1), CABundle: ca.CertPEM()},
		{Name: "closed", URL: strings.Replace(closed.URL, "http:", "https:", 1), CABundle: ca.CertPEM()},
		impatient(handling("hung", func(_ http.ResponseWriter, r *http.Request) { wait(r) })),
		impatient(handling("dripping", func(w http.ResponseWriter, r *http.Request) {
			if _, err := w.Write([]byte(`{"response": `)); err == nil {
				err = http.NewResponseController(w).Flush()
				if err != nil {
					t.Error(err)
				}
			}
			wait(r)
			panic(http.ErrAbortHandler) // or the server would end the answer, and the client may see it
		})),
		handling("resetting", func(w http.ResponseWriter, _ *http.Request) { hangUp(w) }),
		handling("cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			if _, err := w.Write([]byte(`{"response": `)); err == nil {
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			}
			hangUp(w)
		}),
		handling("redirecting", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/page" {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte("<html>welcome</html>")) // nobody is there to be told
				return
			}
			http.Redirect(w, r, "/page", http.StatusFound)
		}),
	}
}

// wait reads the request, without which its end is not seen, and waits for the
// client to give up.
func wait(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// playScript answers as misbehaviors and signedAt say of the images that are
// asked about, and vouches for all others.
func playScript(keys []string) (int, string) {
	var items, fields []string
	for _, key := range keys {
		image := imageOf(key)
		m := scriptOf(image)
		fill := strings.NewReplacer(
			"$KEY", mustJSON(key), "$VALUE", mustJSON(vouched(image)), "$IMAGE", mustJSON(image), "$DIGEST", mustJSON(vouched(image)["digest"]),
		)
		switch {
		case m == nil:
			items = append(items, fill.Replace(`{"key": $KEY, "value": $VALUE}`))
			continue
		case m.body != "":
			return max(m.status, http.StatusOK), fill.Replace(m.body)
		case m.items != "":
			items = append(items, fill.Replace(m.items))
		}
		if m.fields != "" {
			fields = append(fields, ", "+m.fields)
		}
	}
	return http.StatusOK, `{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderResponse", "response": {"idempotent": true, "items": [` +
		strings.Join(items, ",") + "]" + strings.Join(fields, "") + "}}"
}

// scriptOf finds what to do about an image; nil means to vouch for it.
func scriptOf(image string) *misbehavior {
	repository, _, _ := strings.Cut(image, "@")
	var n int
	if _, err := fmt.Sscanf(path.Base(repository), "answer-%d", &n); err == nil {
		return &misbehaviors[n]
	}
	if _, err := fmt.Sscanf(path.Base(repository), "age-%d", &n); err == nil {
		m := signedAt[n]
		m.items = item(`{"verified": true, "code": "VERIFIED", "digest": $DIGEST, "stale": false, ` + strings.TrimPrefix(m.items, "{"))
		m.items = strings.Replace(m.items, ", }", "}", 1)
		return &m
	}
	return nil
}

// exchange gives each of two keys the value of the other.
func exchange(keys []string) (int, string) {
	var items []any
	for i, key := range keys {
		items = append(items, map[string]any{"key": key, "value": vouched(imageOf(keys[len(keys)-1-i]))})
	}
	return http.StatusOK, mustJSON(map[string]any{"response": map[string]any{"items": items}})
}
