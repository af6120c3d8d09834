// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Connections are asked to close after a random time between the two, so that
// a new replica gets its share of clients that would otherwise stay for ever,
// and not of all of them at once.
const (
	minConnectionAge = 5 * time.Minute
	maxConnectionAge = 10 * time.Minute
)

// retireKey is of the time at which a connection is to be closed.
type retireKey struct{}

// withAge is an [http.Server]'s ConnContext.
func withAge(ctx context.Context, _ net.Conn) context.Context {
	age := minConnectionAge + rand.N(maxConnectionAge-minConnectionAge)
	return context.WithValue(ctx, retireKey{}, time.Now().Add(age))
}

// recycle asks clients to close connections that are old, and all of them
// while leave says so.
type recycle struct {
	next  http.Handler
	leave func() bool
}

func (h recycle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	retire, ok := r.Context().Value(retireKey{}).(time.Time)
	if h.leave() || ok && time.Now().After(retire) {
		w.Header().Set("Connection", "close")
	}
	h.next.ServeHTTP(w, r)
}
