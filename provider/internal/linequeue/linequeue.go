// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package linequeue has lines of a log wait for their writer, so that nobody who
// makes one does: a pipe that nobody reads, or a disk that is slow, must cost
// lines and never an answer.
//
// What waits is bounded, in lines and in bytes. What does not fit is dropped. Each
// line is counted by what became of it.
package linequeue

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	// maxLines are some seconds of a busy cluster's.
	maxLines = 4096

	// maxBytes hold as many lines of some size. A few huge ones must not fill the
	// memory.
	maxBytes = 4 << 20

	// closing is how long the writer has for what waits at the end. A pipe that
	// nobody reads would hold it for ever.
	closing = time.Second
)

// Config configures a [Queue]. Out is required.
type Config struct {
	// Out takes lines, each in one Write. It is closed by [Queue.Close] if it can be.
	Out io.Writer

	// Results counts lines, see [NewResults]; nil means that nobody reads it.
	Results *prometheus.CounterVec

	// Failed hears why Out did not take a line; nil means nobody. It must not wait.
	Failed func(error)

	// LeftOut hears how many lines were lost, once Out takes lines again and none
	// waits; nil means nobody. It may write to Out itself.
	LeftOut func(lines int64)
}

// Queue is an [io.Writer] of lines that never waits and never fails.
type Queue struct {
	cfg   Config
	lines chan []byte
	bytes atomic.Int64  // of lines, and of the one that is being written
	lost  atomic.Int64  // lines, since LeftOut was last told
	done  chan struct{} // closed once the writer ended

	written, dropped, failed prometheus.Counter

	closing struct {
		sync.RWMutex // protects closed, and lines from being closed while somebody sends
		closed       bool
	}
}

// NewResults makes the counter of a queue's lines. log says of which log they are.
func NewResults(reg prometheus.Registerer, name, log string) *prometheus.CounterVec {
	return promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: name,
		Help: "Lines of the " + log + ", by result (written; dropped because the writer does not keep up; or error).",
	}, []string{"result"})
}

// New makes a queue and starts its writer. Close must be called.
func New(cfg Config) *Queue {
	if cfg.Results == nil {
		cfg.Results = NewResults(nil, "lines_total", "log")
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	if cfg.LeftOut == nil {
		cfg.LeftOut = func(int64) {}
	}
	q := &Queue{
		cfg: cfg, lines: make(chan []byte, maxLines), done: make(chan struct{}),
		written: cfg.Results.WithLabelValues("written"), dropped: cfg.Results.WithLabelValues("dropped"), failed: cfg.Results.WithLabelValues("error"),
	}
	go q.write()
	return q
}

// Write queues a copy of a line.
func (q *Queue) Write(line []byte) (int, error) {
	q.closing.RLock()
	defer q.closing.RUnlock()
	if q.closing.closed || !q.push(line) {
		q.dropped.Inc()
		q.lost.Add(1)
	}
	return len(line), nil
}

// push says whether there was room.
func (q *Queue) push(line []byte) bool {
	size := int64(len(line))
	if q.bytes.Add(size) <= maxBytes {
		select {
		case q.lines <- bytes.Clone(line):
			return true
		default:
		}
	}
	q.bytes.Add(-size)
	return false
}

// write is the writer.
func (q *Queue) write() {
	defer close(q.done)
	for line := range q.lines {
		_, err := q.cfg.Out.Write(line)
		q.bytes.Add(int64(-len(line)))
		if err != nil {
			q.failed.Inc()
			q.lost.Add(1)
			q.cfg.Failed(err)
			continue
		}
		q.written.Inc()
		if len(q.lines) > 0 {
			continue
		}
		if lost := q.lost.Swap(0); lost > 0 {
			q.cfg.LeftOut(lost)
		}
	}
}

// errStuck says that lines are lost at the end.
var errStuck = errors.New("nobody takes its lines, so the last ones are lost")

// Close writes what waits, for a second at most, and closes Out. What is written
// after that is dropped.
func (q *Queue) Close() error {
	q.closing.Lock()
	closed := q.closing.closed
	q.closing.closed = true
	q.closing.Unlock()
	if !closed {
		close(q.lines)
	}
	select {
	case <-q.done:
	case <-time.After(closing):
		return errStuck
	}
	if c, ok := q.cfg.Out.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
