// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// line is the network between the provider and Endor Labs.
type line struct {
	mu  sync.Mutex // protects now
	now weather

	harm atomic.Int64 // times that the weather did any
}

// weather is what the network does. The zero value does no harm.
type weather struct {
	lookup  time.Duration // until the name is found and a connection is there
	refuses bool          // nobody listens: no new connection, and reset are those that are there

	// Of each response the first arrive bytes arrive, and then comes the
	// ending. On a new connection with TLS its handshake comes before.
	arrive int
	ending ending

	// At most chunk bytes arrive at once, each time after a pause; 0 means all.
	chunk int
	pause time.Duration
}

// ending is how a connection breaks.
type ending int

const (
	whole     ending = iota // it does not
	truncated               // it is closed, as if that was all
	reset
	silent // nothing arrives on it any more, and nobody says so
)

func (e ending) String() string { return [...]string{"whole", "truncated", "reset", "silent"}[e] }

// turns changes the weather, also for connections that are there.
func (l *line) turns(w weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = w
}

func (l *line) weather() weather {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// dialTimeout is that of http.DefaultTransport. Its dialer is the program's,
// which the line is in the place of: a request that left does not end a dial.
const dialTimeout = 30 * time.Second

type dial func(ctx context.Context, network, address string) (net.Conn, error)

// over gives next with the weather upon it.
func (l *line) over(next dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if w := l.weather(); w.lookup > 0 {
			select {
			case <-time.After(min(w.lookup, dialTimeout)):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if w.lookup > dialTimeout {
				return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
			}
		}
		if l.weather().refuses {
			l.harm.Add(1)
			return nil, errRefused
		}
		c, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		closed := make(chan struct{})
		return &exposed{Conn: c, line: l, closed: closed, close: sync.OnceFunc(func() { close(closed) })}, nil
	}
}

// exposed is a connection upon which the weather is.
type exposed struct {
	net.Conn
	line   *line
	closed chan struct{}
	close  func()

	arrived atomic.Int64 // bytes since the last request
	unread  []byte       // bytes that are here and have not arrived
	broken  error        // after an ending
}

func (c *exposed) Write(p []byte) (int, error) {
	c.arrived.Store(0)
	return c.Conn.Write(p)
}

func (c *exposed) Close() error {
	c.close()
	return c.Conn.Close()
}

func (c *exposed) Read(p []byte) (int, error) {
	if c.broken != nil {
		return 0, c.broken
	}
	if len(c.unread) == 0 {
		buf := make([]byte, 16<<10)
		n, err := c.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		c.unread = buf[:n]
	}
	// Only now, since the reader may have waited since long before.
	w := c.line.weather()
	n := min(len(p), len(c.unread))
	if w.refuses {
		w.ending, w.arrive = reset, 0
	}
	if w.ending != whole {
		left := w.arrive - int(c.arrived.Load())
		if left <= 0 {
			c.broken = c.breaks(w.ending)
			return 0, c.broken
		}
		n = min(n, left)
	}
	if w.chunk > 0 {
		n = min(n, w.chunk)
		c.line.harm.Add(1)
		select {
		case <-time.After(w.pause):
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	copy(p, c.unread[:n])
	c.unread = c.unread[n:]
	c.arrived.Add(int64(n))
	return n, nil
}

func (c *exposed) breaks(how ending) error {
	c.line.harm.Add(1)
	switch how {
	case reset:
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	case silent:
		<-c.closed
		return net.ErrClosed
	default:
		return io.EOF
	}
}

// proxy passes what it hears on loopback on to target, through the line, until
// the test ends, and gives its address. It is for programs, which have no dial
// of ours.
func (l *line) proxy(t *testing.T, target string) string {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { l.pass(ctx, c, target) })
		}
	})
	t.Cleanup(func() {
		_ = front.Close()
		cancel()
		serving.Wait()
	})
	return front.Addr().String()
}

// pass carries one connection until either side ends it.
func (l *line) pass(ctx context.Context, near net.Conn, target string) {
	defer near.Close()
	far, err := l.over((&net.Dialer{}).DialContext)(ctx, "tcp", target)
	if err != nil {
		abort(near)
		return
	}
	defer far.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})()
	var there sync.WaitGroup
	there.Go(func() {
		defer cancel()
		_, _ = io.Copy(far, near)
	})
	// Only the type with Read and Write: io.Copy would otherwise let the kernel
	// splice the sockets, past the weather.
	if _, err := io.Copy(near, struct{ io.Reader }{far}); errors.Is(err, syscall.ECONNRESET) {
		abort(near)
	}
	cancel()
	_ = near.Close()
	_ = far.Close()
	there.Wait()
}

// abort closes with RST instead of FIN.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
