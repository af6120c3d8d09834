// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// mostOfFile is the most that a file of certificates or a key may hold. All that
// a system trusts take a fourth of it.
const mostOfFile = 1 << 20

// readFile reads the file whose path a variable has. A pipe or a device is none:
// it may have no end, or nobody who writes to it. Its error begins with the
// variable, and names the file.
func readFile(variable, path string) ([]byte, error) {
	// Without O_NONBLOCK a pipe would be waited for until it has a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %s is not a regular file", variable, path)
	}
	content, err := io.ReadAll(io.LimitReader(file, mostOfFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	if len(content) > mostOfFile {
		return nil, fmt.Errorf("%s: %s is larger than %d MiB", variable, path, mostOfFile>>20)
	}
	return content, nil
}
