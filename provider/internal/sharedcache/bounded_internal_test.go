// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// replies is a connection on which reply comes.
type replies struct {
	net.Conn
	io.Reader
}

func (r replies) Read(p []byte) (int, error) { return r.Reader.Read(p) }
func (replies) Write(p []byte) (int, error)  { return len(p), nil }

func reply(s string) *bounded {
	return bound(replies{Reader: strings.NewReader(s)}).(*bounded)
}

func TestARepliesHeadIsRefusedBeforeItTakesMemory(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, reply string
		refused     bool
	}{
		{"values and none", "*3\r\n$3\r\nabc\r\n$-1\r\n$0\r\n\r\n", false},
		{"what looks like a head within a value", "$23\r\n\r\n$99999999999999999\r\n\r\n\r\n:1\r\n", false},
		{"no array", "*-1\r\n", false},
		{"states, numbers and errors", "+OK\r\n:-5\r\n-ERR no\r\n_\r\n#t\r\n", false},
		{"a value as long as a reply may be", "$4000000\r\n", false},
		{"a longer value", "$4194304\r\n", true},
		{"the longest value of a Redis", "*1\r\n$536870912\r\n", true},
		{"a value longer than memory", "$9223372036854775807\r\n", true},
		{"more digits than a number has", "$" + strings.Repeat("9", 100) + "\r\n", true},
		{"a long error", "!536870912\r\n", true},
		{"a long verbatim text", "=536870912\r\n", true},
		{"a long array", "*4097\r\n", true},
		{"a long set", "~4097\r\n", true},
		{"a long map", "%4097\r\n", true},
		{"a long push", ">4097\r\n", true},
		{"arrays within arrays", strings.Repeat("*1\r\n", maxArrays+1), true},
		{"a long line", "+" + strings.Repeat("x", maxLine), true},
		{"minus zero, which go-redis takes for zero", "$-0\r\n:2\r\n", true},
		{"a sign, which go-redis takes", "$+4\r\n", true},
		{"a line that ends early", "$4\nabcd\r\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for name, read := range map[string]io.Reader{"whole": reply(tc.reply), "by bytes": iotest.OneByteReader(reply(tc.reply))} {
				_, err := io.Copy(io.Discard, read)
				if errors.Is(err, errReply) != tc.refused || (err != nil && !errors.Is(err, errReply)) {
					t.Errorf("%s: error = %v, want refused: %t", name, err, tc.refused)
				}
			}
		})
	}
}

func TestWhatIsRefusedStaysRefused(t *testing.T) {
	t.Parallel()
	b := reply("$536870912\r\nx")
	for range 2 {
		if n, err := b.Read(make([]byte, 12)); n != 0 || !errors.Is(err, errReply) {
			t.Errorf("Read = %d, %v, want %v", n, err, errReply)
		}
	}
}

func TestManyShortValuesAreALongReply(t *testing.T) {
	t.Parallel()
	value := "$1000000\r\n" + strings.Repeat("x", 1000000) + "\r\n"
	n, err := io.Copy(io.Discard, reply(strings.Repeat(value, 5)))
	if !errors.Is(err, errReply) || n > maxReply {
		t.Errorf("%d bytes were read, error = %v", n, err)
	}
}

func TestEachRequestHasAReplyOfItsOwn(t *testing.T) {
	t.Parallel()
	value := "$3000000\r\n" + strings.Repeat("x", 3000000) + "\r\n"
	b := reply(strings.Repeat(value, 3))
	for range 3 {
		if _, err := b.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(b, make([]byte, len(value))); err != nil {
			t.Fatal(err)
		}
	}
}

// A reader that takes what heads announce, as go-redis does, never takes more
// than a reply may have.
func FuzzBounded(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nabc\r\n$-1\r\n"))
	f.Add([]byte("$4\r\n$9\r\n\r\n$536870912\r\n"))
	f.Add([]byte("*1\r\n*1\r\n+OK\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		b := bound(replies{Reader: bytes.NewReader(stream)})
		rd := bufio.NewReaderSize(b, 16)
		for {
			line, err := rd.ReadString('\n')
			if err != nil {
				return
			}
			n, err := strconv.Atoi(strings.TrimSuffix(line[1:], "\r\n"))
			if err != nil {
				continue
			}
			switch line[0] {
			case '$', '=', '!':
				if n > maxReply {
					t.Fatalf("a value of %d bytes gets through: %q", n, line)
				}
				if n >= 0 {
					if _, err := io.ReadFull(rd, make([]byte, n+2)); err != nil {
						return
					}
				}
			case '*', '%', '~', '>', '|':
				if n > maxElements {
					t.Fatalf("an array of %d gets through: %q", n, line)
				}
			}
		}
	})
}
