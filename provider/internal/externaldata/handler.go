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
	"slices"
	"strconv"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

const (
	apiVersion = "externaldata.gatekeeper.sh/v1beta1"

	// DefaultMaxKeys is as many images as a policy may send: fewer would make
	// a Pod with many images refuse the request as a whole.
	DefaultMaxKeys = 256

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
	cfg     Config
	metrics *metrics
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
	return &Handler{cfg: cfg, metrics: newMetrics(cfg.Registerer)}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Gatekeeper sends POST", http.StatusMethodNotAllowed)
		return
	}
	start := time.Now()
	keys, err := h.decode(http.MaxBytesReader(w, r.Body, h.cfg.MaxBodyBytes), r.ContentLength)
	if err != nil {
		h.reply(w, wire.Response{SystemError: failure(verify.BadRequest, verify.BadRequest.Sentence())})
		h.metrics.observe(badRequest, 0, time.Since(start))
		h.cfg.Log.LogAttrs(r.Context(), slog.LevelWarn, "refused a request", slog.String("error", err.Error()))
		return
	}
	answers := h.cfg.Answerer.Answers(r.Context(), keys)
	worst := worstOf(answers)
	h.reply(w, respond(answers, worst))
	took := time.Since(start)
	h.metrics.observe(outcomeOf(worst), len(keys), took)
	h.log(r.Context(), answers, worst, took)
}

// decode reads the distinct keys of a request, in order of first appearance.
// size is what the client says of the body, a hint.
func (h *Handler) decode(body io.Reader, size int64) ([]string, error) {
	var raw bytes.Buffer
	raw.Grow(int(min(max(size, 0), h.cfg.MaxBodyBytes)) + bytes.MinRead)
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
	keys := distinct(req.Request.Keys)
	if len(keys) > h.cfg.MaxKeys {
		return nil, fmt.Errorf("the request holds %d keys, at most %d are answered", len(keys), h.cfg.MaxKeys)
	}
	return keys, nil
}

// distinct drops repeated keys, in place.
func distinct(keys []string) []string {
	seen := make(map[string]struct{}, len(keys))
	return slices.DeleteFunc(keys, func(key string) bool {
		_, repeated := seen[key]
		seen[key] = struct{}{}
		return repeated
	})
}

// reply writes a response. A peer that hung up is not worth more than that.
func (h *Handler) reply(w http.ResponseWriter, response wire.Response) {
	// Mutation demands it; the same keys do get the same answer.
	response.Idempotent = true
	body, err := json.Marshal(wire.ProviderResponse{APIVersion: apiVersion, Kind: wire.ProviderResponseKind, Response: response})
	if err != nil {
		// Nothing in a response can fail to encode; a broken one is no answer.
		http.Error(w, "encode response", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
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
		if answers[i].Cached {
			cached++
		}
	}
	attrs := []slog.Attr{
		slog.Int("keys", len(answers)), slog.Int("verified", verified), slog.Int("rejected", rejected),
		slog.Int("undecided", undecided), slog.Int("cached", cached), slog.Duration("took", took),
	}
	level := slog.LevelInfo
	if worst != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", worst.Error()))
	}
	h.cfg.Log.LogAttrs(ctx, level, "answered", attrs...)
}
