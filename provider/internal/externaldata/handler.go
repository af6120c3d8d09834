// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package externaldata speaks Gatekeeper's external data protocol: it reads a
// ProviderRequest, has its keys answered, and writes a ProviderResponse.
//
// Every distinct key is accounted for. A verdict becomes an item, with a value
// if the image is verified and with an error if not; Gatekeeper caches both. A
// key without a verdict gets no item, and systemError says why; Gatekeeper
// caches neither, so an outage leaves nothing behind. The HTTP status is always
// 200, since Gatekeeper reads the body whatever the status.
//
// The wire types are those of Gatekeeper's own library, version v1beta1.
package externaldata

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const (
	apiVersion = "externaldata.gatekeeper.sh/v1beta1"

	// DefaultMaxKeys is as many images as a policy may send: fewer would make
	// a Pod with many images refuse the request as a whole.
	DefaultMaxKeys = 256

	// trustedSize is how much memory a request gets for saying that it is so
	// large, before it has sent it.
	trustedSize = 64 << 10

	// maxDecoding bounds the requests that are read at the same time, and with
	// MaxBodyBytes the memory for them.
	maxDecoding = 64

	// maxReading is how long a request may take until it is read, its turn
	// included. Gatekeeper has all of it before it sends, and nobody who stops in
	// the middle must hold up others for longer than they can wait.
	maxReading = time.Second

	// DefaultMaxBodyBytes holds DefaultMaxKeys keys of the greatest length,
	// twice.
	DefaultMaxBodyBytes = 4 << 20
)

// answerer is [*verify.Desk].
type answerer interface {
	Answers(ctx context.Context, keys []string) []verify.Answer
}

// Config configures a [Handler]. Answerer is required.
type Config struct {
	Answerer answerer

	// MaxKeys bounds the distinct keys of a request; default [DefaultMaxKeys].
	MaxKeys int

	// MaxBodyBytes bounds the request's body; default [DefaultMaxBodyBytes].
	MaxBodyBytes int64

	// Log takes one line per request; nil means none.
	Log *slog.Logger

	// Registerer takes the handler's metrics; nil means nobody reads them.
	Registerer prometheus.Registerer
}

// Handler answers POST requests of Gatekeeper.
type Handler struct {
	cfg      Config
	metrics  *metrics
	decoding *semaphore.Weighted
}

var _ http.Handler = (*Handler)(nil)

// NewHandler makes a handler.
func NewHandler(cfg Config) *Handler {
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = DefaultMaxKeys
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{cfg: cfg, metrics: newMetrics(cfg.Registerer), decoding: semaphore.NewWeighted(maxDecoding)}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Gatekeeper sends POST", http.StatusMethodNotAllowed)
		return
	}
	start := time.Now()
	keys, err := h.read(w, r, start)
	if err != nil && r.Context().Err() != nil {
		return // the client hung up while it sent; nobody is there to be told
	}
	worst, unread := errors.AsType[*verify.Undecided](err)
	if err != nil && !unread {
		h.refuse(w, r, err, start)
		return
	}
	var answers []verify.Answer
	if !unread {
		answers = h.cfg.Answerer.Answers(verify.WithBegan(r.Context(), start), keys)
		worst = worstOf(answers)
	}
	h.reply(r.Context(), w, respond(answers, worst))
	took := time.Since(start)
	h.metrics.observe(outcomeOf(worst), len(keys), took)
	describe(trace.SpanFromContext(r.Context()), len(keys), worst)
	h.log(r.Context(), answers, worst, took)
}

// refuse answers a request that is none.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, why error, start time.Time) {
	h.reply(r.Context(), w, wire.Response{SystemError: failure(verify.BadRequest, verify.BadRequest.Sentence())})
	h.metrics.observe(badRequest, 0, time.Since(start))
	refused(trace.SpanFromContext(r.Context()))
	h.cfg.Log.LogAttrs(r.Context(), slog.LevelWarn, "refused a request", slog.String("error", why.Error()))
}

// read waits for its turn and decodes the request, which came at start. The error
// is a [*verify.Undecided] if its turn did not come.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, start time.Time) ([]string, error) {
	deadline := start.Add(maxReading)
	turn, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	if err := h.decoding.Acquire(turn, 1); err != nil {
		return nil, &verify.Undecided{Code: verify.Unavailable, Cause: verify.CauseQueue, Err: fmt.Errorf("wait for other requests to be read: %w", err)}
	}
	defer h.decoding.Release(1)
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(deadline) // the server's connections can
	keys, err := h.decode(http.MaxBytesReader(w, r.Body, h.cfg.MaxBodyBytes), r.ContentLength)
	if err == nil {
		// The server goes on reading, to see whether the client hangs up. What was
		// not sent is not waited for.
		_ = connection.SetReadDeadline(time.Time{})
	}
	return keys, err
}

// decode reads the distinct keys of a request, in order of first appearance.
// size is what the client says of the body, a hint.
func (h *Handler) decode(body io.Reader, size int64) ([]string, error) {
	var raw bytes.Buffer
	raw.Grow(int(min(max(size, 0), trustedSize)) + bytes.MinRead)
	if _, err := raw.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	var req wire.ProviderRequest
	if err := json.Unmarshal(raw.Bytes(), &req); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	if req.Request.Keys == nil {
		return nil, errors.New("decode request: it holds no keys")
	}
	return h.distinct(req.Request.Keys)
}

// distinct drops repeated keys, in place.
func (h *Handler) distinct(keys []string) ([]string, error) {
	seen := make(map[string]struct{}, min(len(keys), h.cfg.MaxKeys))
	kept := keys[:0]
	for _, key := range keys {
		if _, repeated := seen[key]; repeated {
			continue
		}
		if len(kept) == h.cfg.MaxKeys {
			return nil, fmt.Errorf("the request holds more than %d keys", h.cfg.MaxKeys)
		}
		seen[key] = struct{}{}
		kept = append(kept, key)
	}
	return kept, nil
}

// reply writes a response. A peer that hung up is not worth more than that.
func (h *Handler) reply(ctx context.Context, w http.ResponseWriter, response wire.Response) {
	// Mutation demands it; the same keys do get the same answer.
	response.Idempotent = true
	err := json.NewEncoder(whole{w}).Encode(wire.ProviderResponse{APIVersion: apiVersion, Kind: wire.ProviderResponseKind, Response: response})
	if err != nil {
		// Whatever an item held: without it Gatekeeper can still be told.
		h.cfg.Log.LogAttrs(ctx, slog.LevelError, "cannot encode a response", slog.String("error", err.Error()))
		h.reply(ctx, w, wire.Response{SystemError: failure(verify.Unavailable, "the provider could not write its answer; see its log and report it")})
	}
}

// whole takes an encoder's output, which comes in one piece or, if it failed, not
// at all. Having it encoded into a slice first would copy it, which is much of
// what a warm answer costs.
type whole struct{ http.ResponseWriter }

func (w whole) Write(body []byte) (int, error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.ResponseWriter.Write(body)
	return len(body), nil
}

func (h *Handler) log(ctx context.Context, answers []verify.Answer, worst *verify.Undecided, took time.Duration) {
	var verified, rejected, undecided, cached int
	for i := range answers {
		switch answers[i].Code().Class() {
		case verify.ClassVerified:
			verified++
		case verify.ClassRejected:
			rejected++
		case verify.ClassUnavailable, verify.ClassMisconfigured:
			undecided++
		}
		if answers[i].Cached() {
			cached++
		}
	}
	attrs := []slog.Attr{
		slog.Int("keys", len(answers)), slog.Int("verified", verified), slog.Int("rejected", rejected),
		slog.Int("undecided", undecided), slog.Int("cached", cached), slog.Float64("took_seconds", took.Seconds()),
	}
	level := slog.LevelInfo
	if worst != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", worst.Error()))
	}
	h.cfg.Log.LogAttrs(ctx, level, "answered", attrs...)
	h.logKeys(ctx, answers)
}

// logKeys says of each key what became of it: at debug, and at warn where Endor
// Labs gave an answer that only a newer version may know.
func (h *Handler) logKeys(ctx context.Context, answers []verify.Answer) {
	for i := range answers {
		a := &answers[i]
		level := slog.LevelDebug
		if a.Code() == verify.UnrecognizedResult {
			level = slog.LevelWarn
		}
		if !h.cfg.Log.Enabled(ctx, level) {
			continue
		}
		attrs := []slog.Attr{
			slog.String("key", printable.Cut(a.Key, 512)), slog.String("code", string(a.Code())),
			slog.Bool("cached", a.Cached()), slog.Bool("stale", a.Verdict.Stale),
		}
		if a.Verdict.Result != "" {
			attrs = append(attrs, slog.String("result", a.Verdict.Result))
		}
		if a.Undecided != nil {
			attrs = append(attrs, slog.String("error", a.Undecided.Error()))
		}
		h.cfg.Log.LogAttrs(ctx, level, "key", attrs...)
	}
}
