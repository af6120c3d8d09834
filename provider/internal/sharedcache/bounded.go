// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"net"
	"strconv"
	"strings"
	"syscall"
)

const (
	// maxReply bounds what is read for one request: 256 questions under two keys
	// need half of it.
	maxReply = 4 << 20

	// maxElements bounds an array. Those questions need 512.
	maxElements = 4 << 10

	// maxArrays bounds how many arrays a reply has, and so how deep it is. The
	// greeting of a server has a few for each of its modules.
	maxArrays = 256

	// maxLine bounds what is no value: numbers, states and errors.
	maxLine = 4 << 10
)

// bounded refuses replies that are too long for memory. go-redis takes the
// memory that the head of a reply announces, up to 512 MiB for each value, and
// whoever can write to the Redis can put such values under the names of ours:
// they would bring the provider down, which Gatekeeper may take for leave to
// admit. bounded reads along and fails before go-redis sees such a head.
type bounded struct {
	net.Conn

	err    error
	budget int    // bytes that may still come
	arrays int    // that may still begin
	skip   int    // bytes of a value that are still to come
	line   []byte // that we are in
}

// visible is a bounded that lets go-redis look whether the other side hung up.
type visible struct {
	*bounded
	syscall.Conn
}

func bound(conn net.Conn) net.Conn {
	b := &bounded{Conn: conn, budget: maxReply, arrays: maxArrays}
	if raw, ok := conn.(syscall.Conn); ok {
		return visible{b, raw}
	}
	return b
}

// Write sends a request, and gives the reply its bounds.
func (b *bounded) Write(p []byte) (int, error) {
	b.budget, b.arrays = maxReply, maxArrays
	return b.Conn.Write(p)
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.Conn.Read(p)
	if b.err = b.follow(p[:n]); b.err != nil {
		return 0, b.err
	}
	return n, err
}

// follow reads RESP as far as it says how much is to come.
func (b *bounded) follow(p []byte) error {
	if len(p) > b.budget {
		return errReply
	}
	for len(p) > 0 {
		if b.skip > 0 {
			n := min(b.skip, len(p))
			b.skip, b.budget, p = b.skip-n, b.budget-n, p[n:]
			continue
		}
		b.line = append(b.line, p[0])
		b.budget, p = b.budget-1, p[1:]
		if b.line[len(b.line)-1] == '\n' {
			if err := b.begin(b.line); err != nil {
				return err
			}
			b.line = b.line[:0]
		} else if len(b.line) >= maxLine {
			return errReply
		}
	}
	return nil
}

// begin looks at a line for what comes after it.
func (b *bounded) begin(line []byte) error {
	kind := line[0]
	value := strings.IndexByte("$=!", kind) >= 0
	if !value && strings.IndexByte("*%~>|", kind) < 0 {
		return nil
	}
	text, ok := strings.CutSuffix(string(line[1:]), "\r\n")
	if ok && text == "-1" {
		return nil // there is none
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if !ok || err != nil {
		return errReply
	}
	if value {
		b.skip = int(n) + len("\r\n")
		if b.skip > b.budget {
			return errReply
		}
		return nil
	}
	if b.arrays--; b.arrays < 0 || n > maxElements {
		return errReply
	}
	return nil
}
