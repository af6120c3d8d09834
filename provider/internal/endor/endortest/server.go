// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import "net/http/httptest"

// TB is what [Start] needs of a testing.TB. The package does not import testing, so that
// the emulator program does not either.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Server is an Emulator that listens on loopback.
type Server struct {
	*Emulator

	URL  string           // without a slash at its end
	HTTP *httptest.Server // Client and Certificate, for StartTLS

	APIKey    string
	APISecret string
	Namespace string // the first of Config.Namespaces
}

// Start serves an Emulator over plain HTTP until the test ends.
func Start(t TB, cfg Config) *Server {
	t.Helper()
	return start(t, cfg, (*httptest.Server).Start)
}

// StartTLS serves an Emulator over HTTPS until the test ends. The Server's
// HTTP.Certificate is the one to trust.
func StartTLS(t TB, cfg Config) *Server {
	t.Helper()
	return start(t, cfg, (*httptest.Server).StartTLS)
}

func start(t TB, cfg Config, listen func(*httptest.Server)) *Server {
	t.Helper()
	cfg = cfg.withDefaults()
	e, err := New(cfg)
	if err != nil {
		t.Fatalf("start the emulator: %v", err)
	}
	s := &Server{
		Emulator:  e,
		HTTP:      httptest.NewUnstartedServer(e.Handler()),
		APIKey:    cfg.APIKey,
		APISecret: cfg.APISecret,
		Namespace: cfg.Namespaces[0],
	}
	listen(s.HTTP)
	s.URL = s.HTTP.URL
	t.Cleanup(s.Close)
	return s
}

// Close lets what hangs go on and stops listening. Start arranges for it; a test calls
// it to have an API that is gone.
func (s *Server) Close() {
	s.Emulator.Close()
	s.HTTP.Close()
}
