// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// An entry is stored under
//
//	endor:v1:BASE64URL(HMAC(key, "name", "v1", origin, ID))
//
// as its body followed by HMAC(key, "verdict", "v1", origin, ID, body), each part
// of what goes into an HMAC after its length. The body is
//
//	1 byte    format, 1
//	8 bytes   asked at, nanoseconds since 1970, big-endian; not zero
//	8 bytes   expires, the same
//	string    code, which is a decided one
//	string    result
//	strings   the claims of claimNames, in that order
//	0, or 1 and 8 bytes seconds since 1970 and 4 bytes nanoseconds: signed at
//
// where a string is its length as a varint and its bytes. What is changed here
// needs another format and version, so that providers of both can share a Redis.
const (
	version = "v1"
	format  = 1

	prefix = "endor:" + version + ":"

	// maxEntry bounds a stored value. Nobody needs signers so long that they do
	// not fit; a verdict that has one is not shared.
	maxEntry = 4 << 10

	// prefixBytes are the format and when it was asked, which the script that
	// writes reads as well.
	prefixBytes = 1 + 8
)

// claimNames are the claims of an entry, in the order of the format.
var claimNames = [...]string{
	"certificate_oidc_issuer",
	"certificate_identity",
	"source_repository",
	"source_repository_owner",
	"source_repository_ref",
	"source_repository_digest",
	"build_config_name",
	"build_config_digest",
	"runner_environment",
}

// entry is what is kept about a question.
type entry struct {
	verdict verify.Verdict
	expires time.Time
}

// rejection says why an entry is not believed. It is a label of few values.
type rejection string

const (
	tooLong       rejection = "too_long"
	malformed     rejection = "malformed"
	otherFormat   rejection = "other_format"
	forged        rejection = "forged" // changed, or of another question, API or key
	unknownCode   rejection = "unknown_code"
	expired       rejection = "expired"
	askedInFuture rejection = "asked_in_future"
)

var rejections = []rejection{tooLong, malformed, otherFormat, forged, unknownCode, expired, askedInFuture}

// ring names, seals and opens the entries of one API.
type ring struct {
	keys   [][]byte
	origin string
}

func newRing(keys [][]byte, origin string) ring {
	r := ring{origin: origin}
	for _, key := range keys {
		r.keys = append(r.keys, slices.Clone(key))
	}
	return r
}

// names gives the names of ids: that of each key for the first, and so on.
func (r ring) names(ids []verify.ID) []string {
	names := make([]string, 0, len(ids)*len(r.keys))
	for _, id := range ids {
		for i := range r.keys {
			names = append(names, r.name(i, id))
		}
	}
	return names
}

func (r ring) name(key int, id verify.ID) string {
	return prefix + base64.RawURLEncoding.EncodeToString(r.mac(key, "name", id))
}

// mac is an HMAC over parts, each after its length, so that no part can lend
// bytes to its neighbor. purpose keeps names and verdicts apart.
func (r ring) mac(key int, purpose string, id verify.ID, body ...byte) []byte {
	h := hmac.New(sha256.New, r.keys[key])
	for _, part := range [...][]byte{[]byte(purpose), []byte(version), []byte(r.origin), id[:], body} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return h.Sum(nil)
}

// seal gives what is stored about id under the first name, or false if it is
// not to be shared.
func (r ring) seal(id verify.ID, e entry) ([]byte, bool) {
	body, ok := encode(e)
	if !ok || len(body)+sha256.Size > maxEntry {
		return nil, false
	}
	return append(body, r.mac(0, "verdict", id, body...)...), true
}

// open gives the entry about id that is stored as raw under the name of key, or
// why it is not to be believed.
func (r ring) open(key int, id verify.ID, raw string, now time.Time) (entry, rejection) {
	switch {
	case len(raw) > maxEntry:
		return entry{}, tooLong
	case len(raw) < prefixBytes+sha256.Size:
		return entry{}, malformed
	case raw[0] != format:
		return entry{}, otherFormat
	}
	body, mac := []byte(raw[:len(raw)-sha256.Size]), []byte(raw[len(raw)-sha256.Size:])
	if !hmac.Equal(mac, r.mac(key, "verdict", id, body...)) {
		return entry{}, forged
	}
	e, ok := decode(body)
	switch {
	case !ok:
		return entry{}, malformed
	case !decided(e.verdict.Code):
		return entry{}, unknownCode
	case !now.Before(e.expires):
		return entry{}, expired
	case e.verdict.AskedAt.After(now.Add(believable)):
		return entry{}, askedInFuture
	}
	return e, ""
}

// decided says whether c is the code of a verdict, and one that we know.
func decided(c verify.Code) bool {
	class := c.Class()
	return slices.Contains(verify.Codes(), c) && (class == verify.ClassVerified || class == verify.ClassRejected)
}

// encode gives the body of e, or false if e is no decided verdict of our time.
func encode(e entry) ([]byte, bool) {
	v := e.verdict
	if !decided(v.Code) || !inRange(v.AskedAt) || !inRange(e.expires) {
		return nil, false
	}
	b := askedPrefix(v.AskedAt)
	b = appendTime(b, e.expires)
	b = appendString(b, string(v.Code))
	b = appendString(b, v.Result)
	for _, name := range claimNames {
		b = appendString(b, v.Signer.Get(name))
	}
	if v.SignedAt.IsZero() {
		return append(b, 0), true
	}
	b = append(b, 1)
	b = binary.BigEndian.AppendUint64(b, uint64(v.SignedAt.Unix()))                //nolint:gosec // read back as what it was
	return binary.BigEndian.AppendUint32(b, uint32(v.SignedAt.Nanosecond())), true //nolint:gosec // less than 10^9
}

// askedPrefix begins an entry that was asked at t.
func askedPrefix(t time.Time) []byte { return appendTime([]byte{format}, t) }

// inRange says whether nanoseconds can tell t.
func inRange(t time.Time) bool {
	return t.After(time.Unix(0, 0)) && !t.After(time.Unix(0, math.MaxInt64))
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixNano()))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decode reads what encode made, to its last byte. It checks neither the code
// nor the clock.
func decode(body []byte) (entry, bool) {
	d := decoder{rest: body}
	d.ok = d.byte() == format
	var e entry
	e.verdict.AskedAt = d.time()
	e.expires = d.time()
	e.verdict.Code = verify.Code(d.string())
	e.verdict.Result = d.string()
	e.verdict.Signer = d.claims()
	switch d.byte() {
	case 0:
	case 1:
		e.verdict.SignedAt = d.signedAt()
	default:
		d.ok = false
	}
	return e, d.ok && len(d.rest) == 0
}

// decoder takes values from the front of rest until one of them is not there.
type decoder struct {
	rest []byte
	ok   bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.rest, d.ok = nil, false
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) time() time.Time {
	n := d.uint64()
	if n == 0 || n > math.MaxInt64 {
		d.ok = false
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC()
}

func (d *decoder) signedAt() time.Time {
	seconds, nanos := int64(d.uint64()), d.uint32() //nolint:gosec // written as what it is
	t := time.Unix(seconds, int64(nanos)).UTC()
	if nanos >= uint32(time.Second) || t.IsZero() {
		d.ok = false
	}
	return t
}

func (d *decoder) string() string {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.rest, d.ok = nil, false
		return ""
	}
	d.take(uint64(size))
	return string(d.take(n))
}

func (d *decoder) claims() question.Claims {
	var c question.Claims
	for _, name := range claimNames {
		c = c.With(name, d.string())
	}
	return c
}
