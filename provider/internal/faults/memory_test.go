// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// listener accepts connections in memory: those of sockets do not sit in a
// bubble. It is a net.Listener.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func listen() *listener {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.close()
	return nil
}

func (*listener) Addr() net.Addr { return address{} }

// dial has the signature of a DialContext.
func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	there, back := newStream(), newStream()
	select {
	case l.conns <- &conn{in: there, out: back}:
		return &conn{in: back, out: there}, nil
	case <-l.closed:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Addr: address{}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }

// conn is one end of a connection in memory. net.Pipe has no buffer, and two
// ends of TLS or HTTP/2 that both begin by writing would wait for each other.
type conn struct{ in, out *stream }

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *conn) Close() error {
	c.in.abandon()
	c.out.end()
	return nil
}

func (*conn) LocalAddr() net.Addr  { return address{} }
func (*conn) RemoteAddr() net.Addr { return address{} }

func (c *conn) SetDeadline(t time.Time) error     { return c.SetReadDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error { c.in.until(t); return nil }
func (*conn) SetWriteDeadline(time.Time) error    { return nil } // nobody waits to write

// stream is one direction of a connection: what was written and not yet read,
// without a bound.
type stream struct {
	mu        sync.Mutex // protects the fields below
	changed   *sync.Cond
	unread    []byte
	ended     bool // by who writes
	abandoned bool // by who reads
	deadline  time.Time
	timer     *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.abandoned:
			return 0, net.ErrClosed
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.unread) > 0:
			n := copy(p, s.unread)
			s.unread = s.unread[n:]
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return 0, net.ErrClosed
	case s.abandoned:
		return 0, syscall.EPIPE
	}
	s.unread = append(s.unread, p...)
	s.changed.Broadcast()
	return len(p), nil
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.changed.Broadcast()
}

func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandoned, s.unread = true, nil
	s.changed.Broadcast()
}

func (s *stream) until(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.deadline = t
	if !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), s.changed.Broadcast)
	}
	s.changed.Broadcast()
}
