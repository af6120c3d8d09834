// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"net"
	"net/http"
	"strings"
	"time"
)

// disturb does to a request what the faults before authentication say. It reports
// whether that was all: the request has had its answer, or nobody waits for one.
func (e *Emulator) disturb(w http.ResponseWriter, r *http.Request, t faultTarget) (done bool) {
	p := e.faults.take(t, false)
	for _, f := range p.latencies {
		if !e.hold(r, f.Delay, p.released) {
			return true
		}
	}
	if p.fault == nil {
		return false
	}
	switch f := *p.fault; f.Kind {
	case FaultHang:
		return !e.hold(r, forever, p.released)
	case FaultReset:
		reset(w)
	case FaultHTML:
		page := f.Body
		if page == "" {
			page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to continue.</body></html>"
		}
		writeText(w, statusOr(f.Status, http.StatusOK), "text/html; charset=utf-8", page)
	case FaultEmpty:
		writeText(w, statusOr(f.Status, http.StatusOK), "application/json", "{}")
	case FaultRedirect:
		location := f.Location
		if location == "" {
			location = RedirectTarget
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case FaultOversized:
		writeOversized(w, f.Size)
	default: // FaultStatus: validate lets no other kind in
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		if f.Body != "" {
			writeText(w, f.Status, "application/json", f.Body)
			break
		}
		statusFault(f.Status).write(w)
	}
	return true
}

// forever is longer than any client waits.
const forever = 1<<63 - 1

// hold waits for d, or less when the faults are released, and reports whether there is
// still a client to answer.
func (e *Emulator) hold(r *http.Request, d time.Duration, released <-chan struct{}) bool {
	e.counters.held(1)
	defer e.counters.held(-1)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-released:
		return true
	case <-r.Context().Done():
		return false
	}
}

// statusFault is the answer of a status: the documented one where there is one.
func statusFault(status int) *refusal {
	switch status {
	case http.StatusUnauthorized:
		return unauthenticated()
	case http.StatusForbidden:
		return forbidden()
	case http.StatusGatewayTimeout:
		return refuse(status, "context deadline exceeded")
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return refuse(status, "Method Not Allowed")
	default:
		return refuse(status, http.StatusText(status))
	}
}

func statusOr(status, fallback int) int {
	if status == 0 {
		return fallback
	}
	return status
}

func writeText(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	if status != http.StatusNoContent && status != http.StatusNotModified {
		_, _ = w.Write([]byte(body)) // a client that left does not read an error either
	}
}

// writeOversized streams one JSON object of size bytes, so that nobody holds it in memory
// but a client without a bound.
func writeOversized(w http.ResponseWriter, size int) {
	const before, after = `{"uuid":"`, `"}`
	if size == 0 {
		size = defaultOversize
	}
	w.Header().Set("Content-Type", "application/json")
	left := max(size-len(before)-len(after), 0)
	chunk := strings.Repeat("a", 32<<10)
	if _, err := w.Write([]byte(before)); err != nil {
		return
	}
	for left > 0 {
		n := min(left, len(chunk))
		if _, err := w.Write([]byte(chunk[:n])); err != nil {
			return
		}
		left -= n
	}
	_, _ = w.Write([]byte(after))
}

// reset promises a body, sends its beginning, and resets the connection.
func reset(w http.ResponseWriter) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 has no connection to take; aborting resets the stream.
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n" + `{"uuid":"`)
	_ = buf.Flush()
	raw := conn
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = secured.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // closing sends RST instead of FIN
	}
}
