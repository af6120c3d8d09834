// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Vouch is an API for benchmarks: after latency it vouches for whatever it is
// asked about, as signed by claims, without the work of an emulator that
// verifies. All other requests, for tokens above all, are next's.
func Vouch(next http.Handler, claims Claims, latency time.Duration) http.Handler {
	type signature struct {
		Name       string    `json:"artifact_name"`
		Digest     string    `json:"artifact_digest"`
		Timestamp  time.Time `json:"timestamp"`
		Provenance Claims    `json:"provenance"`
	}
	type answer struct {
		Response struct {
			Result    string `json:"result"`
			Signature struct {
				Spec signature `json:"spec"`
			} `json:"artifact_signature"`
		} `json:"response"`
	}
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("POST /v1/namespaces/{namespace}/artifact-operations", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Spec struct {
				Name string `json:"artifact_name"`
			} `json:"spec"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(latency)
		var a answer
		a.Response.Result = "ARTIFACT_OPERATION_RESULT_SUCCESS"
		s := &a.Response.Signature.Spec
		s.Name, s.Digest, _ = strings.Cut(asked.Spec.Name, "@")
		s.Timestamp, s.Provenance = time.Now().UTC(), claims
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a)
	})
	return mux
}
