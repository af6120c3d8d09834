// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

const (
	minKeyBytes = 32
	maxKeys     = 2
)

// ParseKeys reads HMAC keys from the content of a file: one a line in base64, of
// at least 32 bytes, two at most. The first signs. Its errors name the line and
// never what is on it.
func ParseKeys(content []byte) ([][]byte, error) {
	var keys [][]byte
	number := 0
	for line := range bytes.Lines(content) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		key, err := base64.StdEncoding.Strict().AppendDecode(nil, line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: not base64; make a key with openssl rand -base64 32", number)
		case len(key) < minKeyBytes:
			return nil, fmt.Errorf("line %d: a key of %d bytes, want %d at least; make one with openssl rand -base64 32", number, len(key), minKeyBytes)
		case len(keys) == maxKeys:
			return nil, fmt.Errorf("line %d: a third key, and there are two at most: the one that signs and the one before or after it", number)
		case slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }):
			return nil, fmt.Errorf("line %d: the key of the line before", number)
		}
		keys = append(keys, key)
	}
	if keys == nil {
		return nil, errors.New("no key; make one with openssl rand -base64 32")
	}
	return keys, nil
}
