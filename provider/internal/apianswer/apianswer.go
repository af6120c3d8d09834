// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package apianswer bounds what is taken of an answer of an API server. Decoded
// it takes several times as much memory, and whoever may write objects in a
// cluster says how large they are.
package apianswer

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"k8s.io/client-go/rest"
)

// Max is the largest answer that is taken, in bytes.
const Max = 64 << 20

// ErrTooLarge is the error of a request whose answer is larger than [Max].
var ErrTooLarge = fmt.Errorf("the answer of the API server is larger than %d MiB", Max>>20)

// Bound makes clients of cfg refuse what is larger than [Max] before anybody
// decodes it. They read an answer whole before they give it, so it is not for
// watches.
func Bound(cfg *rest.Config) {
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next} })
}

type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, Max+1))
	if err != nil {
		return nil, err
	}
	if len(body) > Max {
		return nil, ErrTooLarge
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
