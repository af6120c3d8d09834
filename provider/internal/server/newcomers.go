// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// MaxNewcomers bounds the connections of a listener that have not sent a
// request yet. They cost some 30 KiB each.
const MaxNewcomers = 1000

// newcomers are the connections that have not sent a request yet. With client
// certificates nobody knows who is there, so whoever reaches the port could
// fill the memory with them. When there are too many the oldest is closed: a
// client in earnest is through within milliseconds, and has its turn however
// many others only hold a place.
type newcomers struct {
	mu     sync.Mutex // protects what follows
	queue  list.List  // of net.Conn, the oldest first
	places map[net.Conn]*list.Element

	crowdedOut prometheus.Counter // those that were the oldest of too many
}

// The listeners, as a label.
const (
	listenerHTTPS = "https"
	listenerOps   = "ops"
)

func newCrowdedOut(reg prometheus.Registerer) *prometheus.CounterVec {
	return promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "connections_crowded_out_total",
		Help: "Connections that were closed before their first request because too many had sent none, by listener (https for Gatekeeper, ops for probes and metrics).",
	}, []string{"listener"})
}

func newNewcomers(crowdedOut prometheus.Counter) *newcomers {
	return &newcomers{places: map[net.Conn]*list.Element{}, crowdedOut: crowdedOut}
}

// connState is an [http.Server]'s ConnState.
func (n *newcomers) connState(c net.Conn, state http.ConnState) {
	if state != http.StateNew {
		n.forget(c)
		return
	}
	if oldest := n.add(c); oldest != nil {
		n.crowdedOut.Inc()
		cut(oldest)
	}
}

// add gives the connection to close, if any.
func (n *newcomers) add(c net.Conn) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.places[c] = n.queue.PushBack(c)
	if n.queue.Len() <= MaxNewcomers {
		return nil
	}
	oldest, _ := n.queue.Remove(n.queue.Front()).(net.Conn)
	delete(n.places, oldest)
	return oldest
}

func (n *newcomers) forget(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if place, is := n.places[c]; is {
		n.queue.Remove(place)
		delete(n.places, c)
	}
}

// cut closes a connection without a word: TLS would wait until its last one is
// sent, and nothing else is accepted meanwhile.
func cut(c net.Conn) {
	if secured, is := c.(*tls.Conn); is {
		c = secured.NetConn()
	}
	_ = c.Close()
}
