// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package findings writes what was found about images, for people and for
// programs: as a table, as JSON and YAML, as JUnit's XML for CI systems and as
// SARIF for those that show results beside code.
//
// Whatever the form, a verdict against an image and the lack of one stay apart:
// the first is a failure, the second an error.
package findings
