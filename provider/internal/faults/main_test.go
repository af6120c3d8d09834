// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package faults holds the provider to its promises while everything around it
// fails: Endor Labs, the network between, clocks, credentials and certificates.
//
// Each scenario plays the whole provider (server, handler, cache, breaker,
// limit and API client, put together as the program does) before an emulator
// that really signs and verifies, over connections that break in every way. In
// each of them, whatever else it is about:
//
//   - No answer is wrong. A key is answered with what the emulator knows of its
//     image, or not at all; see [world.judge].
//   - No answer is late. It comes within the response budget, to the nanosecond.
//   - Nothing of the fault stays. Afterwards every key is decided within few
//     asks, and the provider has as many goroutines as before.
//
// A [stage] is in a bubble of testing/synctest, where a minute of outage takes
// none and every bound is exact. What a bubble cannot show, real sockets and
// the program itself, is in program_test.go; nothing there depends on how fast
// the machine is.
package faults

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
