// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// ports gives free ports of loopback, each once. They lie below those that
// systems give to outgoing connections, so that a program finds its port free
// again after a restart.
type ports map[int]bool

func (p ports) address() (string, error) {
	const from, to = 20000, 32000
	for range to - from {
		port := from + rand.IntN(to-from) //nolint:gosec // it has to be free, not secret
		if p[port] {
			continue
		}
		p[port] = true
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", address); err == nil { //nolint:noctx // it does not wait
			return address, l.Close()
		}
	}
	return "", errors.New("no port of 127.0.0.1 between 20000 and 32000 is free")
}

// addresses fills each with the address of a free port.
func (p ports) addresses(each ...*string) error {
	for _, address := range each {
		var err error
		if *address, err = p.address(); err != nil {
			return err
		}
	}
	return nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
