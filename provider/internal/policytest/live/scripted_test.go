// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// newTLSServer serves with a certificate of the stage's provider CA and, like
// the provider, to nobody without a certificate of Gatekeeper's CA. Change may
// be nil.
func newTLSServer(t testing.TB, handler http.Handler, change func(*tls.Config)) *httptest.Server {
	t.Helper()
	clients := x509.NewCertPool()
	clients.AddCert(stage.Certificates.ClientCA.Certificate())
	config := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{issue(t, stage.Certificates.ServerCA, time.Hour, "127.0.0.1")},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
	}
	if change != nil {
		change(config)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func issue(t testing.TB, ca *certs.Authority, lifetime time.Duration, names ...string) tls.Certificate {
	t.Helper()
	pair, err := ca.Issue(lifetime, names...)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// answerer answers a request of Gatekeeper for keys: a status and a body.
type answerer func(keys []string) (status int, body string)

func (a answerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked wire.ProviderRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, body := a(asked.Request.Keys)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // nobody is there to be told
}

// imageOf is the image that a key asks about.
func imageOf(key string) string {
	query, err := url.ParseQuery(key)
	if err != nil {
		return ""
	}
	return query.Get("image")
}

// vouched is the value for an image that the provider vouches for.
func vouched(image string) map[string]any {
	_, sum, _ := strings.Cut(image, "@")
	return map[string]any{
		"verified": true, "code": "VERIFIED", "image": image, "digest": sum, "namespace": testbed.Namespace,
		"signer":    map[string]any{"source_repository": "acme/signed"},
		"signed_at": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "stale": false,
	}
}

func mustJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}
