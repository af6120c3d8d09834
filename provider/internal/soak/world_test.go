// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestAnAnswerIsRightAsLongAsItsLifeSays(t *testing.T) {
	t.Parallel()
	change := time.Now() // of images that change
	const moment = 10 * time.Millisecond
	for _, tc := range []struct {
		name  string
		kind  kind
		says  says
		began time.Duration // after the change; the answer comes a moment later
		right bool
	}{
		{"signed", signed, says{code: "VERIFIED"}, 0, true},
		{"signed, said to be unsigned", signed, says{code: "NOT_SIGNED"}, 0, false},
		{"signed, said to be nothing", signed, says{}, 0, false},
		{"unsigned", unsigned, says{code: "NOT_SIGNED"}, 0, true},
		{"unsigned, said to be verified", unsigned, says{code: "VERIFIED"}, 0, false},
		{"of a stranger", stranger, says{code: "WRONG_SIGNER"}, 0, true},
		{"of a stranger, said to be verified", stranger, says{code: "VERIFIED"}, 0, false},
		{"before it is revoked", revoked, says{code: "VERIFIED"}, -time.Minute, true},
		{"before it is revoked, said to be revoked", revoked, says{code: "REVOKED"}, -time.Minute, false},
		{"just revoked", revoked, says{code: "REVOKED"}, moment, true},
		{"just revoked, and not heard of yet", revoked, says{code: "VERIFIED"}, cacheTTL - moment, true},
		{"revoked for longer than a verdict lives", revoked, says{code: "VERIFIED"}, cacheTTL + moment, false},
		{"revoked, in an outage", revoked, says{code: "VERIFIED", stale: true}, cacheTTL + staleIfError - moment, true},
		{"revoked, in an outage, for too long", revoked, says{code: "VERIFIED", stale: true}, cacheTTL + staleIfError + moment, false},
		{"before it is signed", late, says{code: "NOT_SIGNED"}, -time.Minute, true},
		{"before it is signed, said to be verified", late, says{code: "VERIFIED"}, -time.Minute, false},
		{"just signed, and not heard of yet", late, says{code: "NOT_SIGNED"}, negativeTTL - moment, true},
		{"signed for longer than a refusal lives", late, says{code: "NOT_SIGNED"}, negativeTTL + moment, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := &picture{kind: tc.kind}
			if tc.kind == revoked || tc.kind == late {
				p.begun, p.done = change, change
			}
			began := change.Add(tc.began)
			if wrong := p.judge(tc.says, began, began.Add(moment)); (wrong == "") != tc.right {
				t.Errorf("judge says %q, want right = %t", wrong, tc.right)
			}
		})
	}
}

func TestWhatGrowsIsALeak(t *testing.T) {
	t.Parallel()
	warmed := state{heap: 20 << 20, resident: 50 << 20, goroutines: 60}
	if err := warmed.compare(warmed); err != nil {
		t.Errorf("the same is a leak: %v", err)
	}
	for _, end := range []state{
		{heap: 60 << 20, resident: 50 << 20, goroutines: 60},
		{heap: 20 << 20, resident: 150 << 20, goroutines: 60},
		{heap: 20 << 20, resident: 50 << 20, goroutines: 200},
	} {
		if end.compare(warmed) == nil {
			t.Errorf("%v after %v is no leak", end, warmed)
		}
	}
}
