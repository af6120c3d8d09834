// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package decisionlog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// line is one line of the log. Fields are added to it, and never renamed.
type line struct {
	Log     string    `json:"log"` // decision, to be told from the program's own log
	Time    time.Time `json:"time"`
	Decided bool      `json:"decided"`

	Code   verify.Code   `json:"code"`
	Result string        `json:"result,omitempty"`
	Cause  verify.Cause  `json:"cause,omitempty"`
	Source verify.Source `json:"source,omitempty"`

	// Question names the question with all claims: of two lines with the same one
	// the same was asked.
	Question  string `json:"question"`
	Image     string `json:"image,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Key       string `json:"key,omitempty"` // of a key that names no image

	Background bool `json:"background,omitempty"`

	QueueSeconds    float64 `json:"queue_seconds"`
	TokenSeconds    float64 `json:"token_seconds"`
	UpstreamSeconds float64 `json:"upstream_seconds"`
	TotalSeconds    float64 `json:"total_seconds"`

	TraceID string `json:"trace_id,omitempty"`
}

// maxKey bounds the key that names no image.
const maxKey = 512

func newLine(a *verify.Answer, now time.Time) line {
	l := line{
		Log: "decision", Time: now.UTC(), Decided: a.Undecided == nil, Code: a.Code(), Source: a.Source, Background: a.Background,
		QueueSeconds: a.Phases.Queue.Seconds(), TokenSeconds: a.Phases.Token.Seconds(),
		UpstreamSeconds: a.Phases.Upstream.Seconds(), TotalSeconds: a.Phases.Total.Seconds(),
	}
	if a.Undecided != nil {
		// Its error is left out: it may hold words of others.
		l.Cause = a.Undecided.Cause
	} else {
		l.Result = resultName(a.Verdict.Result)
	}
	if a.Question == (question.Question{}) {
		sum := sha256.Sum256([]byte(a.Key))
		l.Question, l.Key = hex.EncodeToString(sum[:]), printable.Cut(a.Key, maxKey)
		return l
	}
	id := verify.Identify(a.Question)
	l.Question = hex.EncodeToString(id[:])
	l.Image, l.Digest, l.Namespace = a.Question.Image.Name(), a.Question.Image.Digest(), a.Question.Namespace
	return l
}

const (
	maxResult  = 64
	noName     = "(not a name)"
	nameLetter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
)

// resultName is how Endor Labs named the result, if that is a name at all. What
// else an answer holds in its place could be anything, even what was sent.
func resultName(result string) string {
	if len(result) > maxResult || strings.Trim(result, nameLetter) != "" {
		return noName
	}
	return result
}

// json is the line with its end.
func (l line) json() []byte {
	b, _ := json.Marshal(l) // nothing in it can fail before the year 10000
	return append(b, '\n')
}
