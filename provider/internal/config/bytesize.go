// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes. It is written as "4MiB", "512KiB" or "4096".
type ByteSize int64

var byteUnits = []struct {
	suffix string
	bytes  int64
}{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// String writes the size with the greatest unit that divides it.
func (b *ByteSize) String() string {
	for _, u := range byteUnits {
		if n := int64(*b); n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return "0"
}

// Set reads what [ByteSize.String] writes.
func (b *ByteSize) Set(s string) error {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*b = ByteSize(n * u.bytes)
		return nil
	}
	return errors.New("want bytes, KiB or MiB, such as 4MiB")
}

// Type names the value in help texts.
func (b *ByteSize) Type() string { return "size" }
