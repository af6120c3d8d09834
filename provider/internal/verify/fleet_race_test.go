// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package verify_test

// smaller is by how much the cluster of the fleet is: the race detector makes it
// ten times slower, and finds its races in a small one.
const smaller = 20
