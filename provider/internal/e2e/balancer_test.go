// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
)

// balancer stands in for a Service: new connections go to its endpoints in
// turn, and those that are there stay where they are.
type balancer struct {
	address  string
	listener net.Listener
	wg       sync.WaitGroup

	mu        sync.Mutex // protects what follows
	endpoints []string
	turn      int
	open      map[net.Conn]bool
}

func newBalancer(t *testing.T, endpoints ...string) *balancer {
	t.Helper()
	// A port that the system gives to nobody else while this process is not
	// listening yet or any more.
	address, err := cluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{address: address, listener: listener, endpoints: endpoints, open: map[net.Conn]bool{}}
	b.wg.Go(b.serve)
	t.Cleanup(b.close)
	return b
}

func (b *balancer) serve() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.wg.Go(func() { b.forward(client) })
	}
}

func (b *balancer) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", b.next())
	if err != nil {
		return // as a Service whose endpoint is gone
	}
	defer server.Close()
	if !b.keep(client, server) {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, client)
	delete(b.open, server)
}

func (b *balancer) next() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.endpoints) == 0 {
		return ""
	}
	b.turn++
	return b.endpoints[b.turn%len(b.endpoints)]
}

// keep remembers connections for the end; false if it has come.
func (b *balancer) keep(connections ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		return false
	}
	for _, c := range connections {
		b.open[c] = true
	}
	return true
}

func (b *balancer) add(endpoint string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endpoints = append(b.endpoints, endpoint)
}

func (b *balancer) remove(endpoint string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endpoints = slices.DeleteFunc(b.endpoints, func(e string) bool { return e == endpoint })
}

func (b *balancer) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	for c := range b.open {
		_ = c.Close()
	}
	b.open = nil
	b.mu.Unlock()
	b.wg.Wait()
}
