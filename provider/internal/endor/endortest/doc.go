// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package endortest is a stand-in for the Endor Labs API that really signs and
// verifies container images.
//
// An [Emulator] holds a private certificate authority, issues a 5-minute
// certificate per signing with the provenance in it, signs an "atomic container
// signature" payload with a fresh ECDSA P-256 key, stores the result, and on
// VERIFY checks what is stored, step by step. Every result code is answered
// because the check it names failed: tests do not choose an answer, they
// [Emulator.Damage] a stored record, or ask about something that was never signed.
//
// What goes wrong between client and API is arranged with [Fault] values: latency,
// HTTP statuses, hangs, resets, redirects, answers of the wrong shape. What was
// asked is read from [Emulator.Counters] and [Emulator.Operations], and awaited
// with [Emulator.Await], so that tests need no sleeping.
//
// The package imports nothing else of this project and has wire types of its own:
// a misunderstanding in the client must not be mirrored here.
//
// # Where it is stricter than what is known of the API
//
//   - Unknown fields in the body of an operation are HTTP 400. A misspelled
//     "extensions" that was quietly ignored would verify anything.
//   - meta.name longer than 63 characters is HTTP 400, as the API's text says.
//   - A key may use exactly the namespaces it was given, not their children.
//
// # What is invented, since Endor Labs does not publish it
//
// The object identifiers of the certificate extensions, the encoding of
// certificate (PEM) and signature (base64 of ASN.1 DER), whether artifact_name in
// an answer has the digest behind it (here it has not; see [DamageAnswerFullName])
// and artifact_digest its algorithm before it (here it has; see
// [DamageAnswerBareDigest]), and the messages of errors other than 401 and 403.
//
// # What it leaves out
//
// Keyless authentication, users, what roles forbid (they are told, and a token may do
// everything in its namespaces), artifact-signatures and all other resources, TLS client
// certificates, compression, and persistence.
package endortest
