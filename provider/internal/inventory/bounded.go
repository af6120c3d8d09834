// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer is the largest answer of an API server that is taken. Decoded it
// takes several times as much memory, and whoever may write objects in a cluster
// says how large they are.
const maxAnswer = 64 << 20

var errTooLarge = fmt.Errorf("the answer of the API server is larger than %d MiB", maxAnswer>>20)

// bounded refuses answers that are too large before anybody decodes them.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errTooLarge
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
