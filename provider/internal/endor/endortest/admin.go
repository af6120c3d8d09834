// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Switches is the document of GET and PUT /emulator/switches. PUT replaces all of it: what
// is left out has its default again.
//
//	{
//	  "expiryField": "expirationTime",
//	  "tokenLifetime": "4h",
//	  "faults": [
//	    {"kind": "latency", "endpoint": "operations", "delay": "300ms"},
//	    {"kind": "status", "status": 429, "retryAfter": "2", "times": 3},
//	    {"kind": "hang", "artifact": "ghcr.io/acme/api@sha256:…"}
//	  ]
//	}
type Switches struct {
	ExpiryField   ExpiryField `json:"expiryField,omitempty"`   // default expirationTime
	TokenLifetime string      `json:"tokenLifetime,omitempty"` // a duration; default Config.TokenLifetime
	Faults        []Fault     `json:"faults"`                  // default none
}

// Switches returns the switches as they are.
func (e *Emulator) Switches() Switches {
	e.auth.mu.Lock()
	s := Switches{ExpiryField: e.auth.expiryField, TokenLifetime: e.auth.lifetime.String()}
	e.auth.mu.Unlock()
	s.Faults = e.Faults()
	return s
}

// SetSwitches replaces all switches, or none when one is not valid; the error names all problems.
func (e *Emulator) SetSwitches(s Switches) error {
	if s.ExpiryField == "" {
		s.ExpiryField = ExpiryCamelCase
	}
	lifetime := e.defaultLifetime
	var lifetimeErr error
	if s.TokenLifetime != "" {
		d, err := time.ParseDuration(s.TokenLifetime)
		if err != nil {
			lifetimeErr = fmt.Errorf("tokenLifetime %q is not a duration such as 4h", s.TokenLifetime)
		}
		lifetime = d
	}
	list, err := checkFaults(s.Faults)
	if err := errors.Join(s.ExpiryField.validate(), lifetimeErr, err); err != nil {
		return err
	}
	e.auth.mu.Lock()
	e.auth.expiryField, e.auth.lifetime = s.ExpiryField, lifetime
	e.auth.mu.Unlock()
	e.faults.replace(list)
	return nil
}

// adminRoutes serve the Emulator's own methods to whoever asks.
func (e *Emulator) adminRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /emulator/switches", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, e.Switches())
	})
	mux.HandleFunc("PUT /emulator/switches", admin(e.SetSwitches))
	mux.HandleFunc("GET /emulator/counters", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, e.Counters())
	})
	mux.HandleFunc("DELETE /emulator/counters", func(w http.ResponseWriter, _ *http.Request) {
		e.ResetCounters()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /emulator/tokens", func(w http.ResponseWriter, _ *http.Request) {
		e.RevokeTokens()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT /emulator/credentials", admin(func(pair struct {
		Key    string `json:"key"`
		Secret string `json:"secret"`
	}) error {
		if pair.Key == "" || pair.Secret == "" {
			return errors.New("key and secret are required")
		}
		e.SetCredentials(pair.Key, pair.Secret)
		return nil
	}))
	mux.HandleFunc("POST /emulator/damage", admin(func(d struct {
		Namespace string `json:"namespace"`
		Image     string `json:"image"`
		Damage    Damage `json:"damage"`
	}) error {
		return e.Damage(d.Namespace, d.Image, d.Damage)
	}))
}

// admin serves a method that takes a JSON document: 204 when it did, 400 with the reason when not.
func admin[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, refused := readBody(w, r)
		if refused != nil {
			refused.write(w)
			return
		}
		var doc T
		err := decodeStrict(body, &doc)
		if err == nil {
			err = do(doc)
		}
		if err != nil {
			refuse(http.StatusBadRequest, err.Error()).write(w)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
