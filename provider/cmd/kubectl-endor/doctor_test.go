// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor/doctortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/policytest/live"
)

// TestDoctor drives doctor as an operator would, before API servers with
// installations that are well and ill.
func TestDoctor(t *testing.T) {
	root, err := live.Root()
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := doctortest.Load(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]string{}
	for name, infect := range map[string]func(*doctortest.API){
		"healthy": func(*doctortest.API) {},
		"ill": func(a *doctortest.API) {
			a.ChangeWebhook(func(hook map[string]any) { hook["failurePolicy"] = "Ignore" })
			a.AddArgs(doctortest.Controller, "--max-serving-threads=-1")
		},
		"slow":   func(a *doctortest.API) { a.AddArgs(doctortest.Controller, "--max-serving-threads=-1") },
		"closed": func(a *doctortest.API) { a.Forbid = func(_, resource string) bool { return resource == "secrets" } },
	} {
		api, err := manifests.New()
		if err != nil {
			t.Fatal(err)
		}
		infect(api)
		server := httptest.NewServer(api)
		t.Cleanup(server.Close)
		servers[name] = server.URL
	}
	huge, err := manifests.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(endlessSecrets(huge))
	t.Cleanup(server.Close)
	servers["huge"] = server.URL
	emulator := endortest.Start(t, endortest.Config{})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/doctor",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("ENDOR", emulator.URL)
			env.Setenv("KEY", emulator.APIKey)
			env.Setenv("SECRET", emulator.APISecret)
			servers["nobody"] = "http://127.0.0.1:1"
			for name, url := range servers {
				if err := writeKubeconfig(filepath.Join(env.WorkDir, name), url); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// endlessSecrets answers questions for a Secret with one that does not end.
func endlessSecrets(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/secrets/") {
			api.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		piece := []byte(strings.Repeat("A", 1<<20))
		_, err := w.Write([]byte(`{"apiVersion":"v1","kind":"Secret","data":{"tls.crt":"`))
		for err == nil {
			_, err = w.Write(piece)
		}
	})
}
