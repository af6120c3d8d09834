// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package gatekeeper

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine is the longest line that is read; a violation has a few KiB.
const maxLine = 1 << 20

// lines hands each line of r to visit, which must not keep it, and counts those
// that are too long to be read. A last line without an end is one too.
func lines(r io.Reader, visit func([]byte)) (tooLong int, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		switch line = bytes.TrimSpace(line); {
		case long:
			tooLong++
		case len(line) > 0:
			visit(line)
		}
		if errors.Is(err, io.EOF) {
			return tooLong, nil
		}
		if err != nil {
			return tooLong, err
		}
	}
}
