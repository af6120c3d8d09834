// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
)

func authority(t testing.TB, name string) *certs.Authority {
	t.Helper()
	ca, err := certs.NewAuthority(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t testing.TB, ca *certs.Authority, names ...string) certs.Pair {
	t.Helper()
	pair, err := ca.Issue(time.Hour, names...)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func write(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAServerPairThatIsTornNeverTakesEffect(t *testing.T) {
	t.Parallel()
	ca := authority(t, "ca")
	first, second := issue(t, ca, "localhost"), issue(t, ca, "localhost")
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write(t, certFile, first.Cert)
	write(t, keyFile, first.Key)
	pair, err := certs.ServerPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	good := pair.Current().Certificate[0]

	for _, tc := range []struct {
		name      string
		cert, key []byte
	}{
		{"a new certificate beside the old key", second.Cert, first.Key},
		{"an empty certificate", nil, first.Key},
		{"an empty key", second.Cert, nil},
		{"half a certificate", second.Cert[:len(second.Cert)/2], second.Key},
		{"no PEM", []byte("hello"), []byte("world")},
	} {
		write(t, certFile, tc.cert)
		write(t, keyFile, tc.key)
		changed, err := pair.Reload()
		if changed || err == nil || !strings.Contains(err.Error(), certFile) {
			t.Errorf("%s: Reload = %v, %v; want an error that names the files", tc.name, changed, err)
		}
		if !bytes.Equal(pair.Current().Certificate[0], good) {
			t.Fatalf("%s: the last good certificate is gone", tc.name)
		}
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if changed, err := pair.Reload(); changed || err == nil {
		t.Errorf("a missing key: Reload = %v, %v", changed, err)
	}

	write(t, certFile, second.Cert)
	write(t, keyFile, second.Key)
	if changed, err := pair.Reload(); !changed || err != nil {
		t.Fatalf("a whole new pair: Reload = %v, %v", changed, err)
	}
	if bytes.Equal(pair.Current().Certificate[0], good) {
		t.Error("the new certificate is not in use")
	}
	if changed, err := pair.Reload(); changed || err != nil {
		t.Errorf("nothing new: Reload = %v, %v", changed, err)
	}
}

func TestClientCAsAreReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	one, two := authority(t, "one").CertPEM(), authority(t, "two").CertPEM()
	both := append(bytes.Clone(one), two...)
	for _, tc := range []struct {
		name    string
		content []byte
		ok      bool
	}{
		{"one", one, true},
		{"two, while a rotation spreads", both, true},
		{"space around", append([]byte("\n\n"), append(one, "\n \n"...)...), true},
		{"empty", nil, false},
		{"space alone", []byte(" \n"), false},
		{"one and a half, which would be half the pool", both[:len(both)-40], false},
		{"a key", issue(t, authority(t, "x"), "x").Key, false},
		{"a certificate and text", append(bytes.Clone(one), "text"...), false},
		{"a block that is no certificate", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), false},
	} {
		file := filepath.Join(t.TempDir(), "ca.crt")
		write(t, file, tc.content)
		_, err := certs.ClientCAs(file)
		if (err == nil) != tc.ok {
			t.Errorf("%s: error = %v", tc.name, err)
		}
		if err != nil && !strings.Contains(err.Error(), file) {
			t.Errorf("%s: the error %q does not name the file", tc.name, err)
		}
	}
}

func TestMissingFilesAreErrors(t *testing.T) {
	t.Parallel()
	if _, err := certs.ServerPair("/no/such.crt", "/no/such.key"); err == nil {
		t.Error("ServerPair of nothing succeeded")
	}
	if _, err := certs.ClientCAs("/no/such.crt"); err == nil {
		t.Error("ClientCAs of nothing succeeded")
	}
}

// scripted fails and changes as told, and says when it was asked.
type scripted struct {
	results []error
	asked   chan struct{}
}

func (*scripted) Name() string { return "scripted" }

func (s *scripted) Reload() (bool, error) {
	defer func() { s.asked <- struct{}{} }()
	if len(s.results) == 0 {
		return false, nil
	}
	err := s.results[0]
	s.results = s.results[1:]
	return err == nil, err
}

func TestWatchTellsAnErrorOnceAndGoesOn(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	source := &scripted{results: []error{os.ErrNotExist, os.ErrNotExist, nil}, asked: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- certs.Watch{Sources: []certs.Reloader{source}, Interval: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: reg}.Run(ctx)
	}()
	for range 4 {
		<-source.asked
	}
	cancel()
	go func() {
		for range source.asked {
		}
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	close(source.asked)
	if n := strings.Count(log.String(), "kept the last good"); n != 1 || strings.Count(log.String(), "msg=reloaded") != 1 {
		t.Errorf("log:\n%s\nwant the error once and one reload", log.String())
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP certificate_reloads_total Times that changed certificate files were read, by source (server certificate, client CA) and result (ok, error). An error repeats until the files are mended.
		# TYPE certificate_reloads_total counter
		certificate_reloads_total{result="error",source="scripted"} 2
		certificate_reloads_total{result="ok",source="scripted"} 1
	`)); err != nil {
		t.Error(err)
	}
}

func TestExpiryIsOfTheServersCertificateAndOfTheLastAuthority(t *testing.T) {
	t.Parallel()
	short, err := certs.NewAuthority("short", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	long, err := certs.NewAuthority("long", 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, append(long.CertPEM(), short.CertPEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	cas, err := certs.ClientCAs(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := long.Certificate().NotAfter; !cas.Expiry().Equal(want) {
		t.Errorf("the authorities expire at %v, want %v, when the last one does", cas.Expiry(), want)
	}
	if got := certs.LastExpiry(nil); !got.IsZero() {
		t.Errorf("no authority expires at %v", got)
	}
}
