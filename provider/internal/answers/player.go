// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package answers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Player answers from a file and asks nobody.
type Player struct {
	settings   Settings
	recordedAt time.Time
	verdicts   map[question.Question]verify.Verdict
}

var _ verify.Verifier = (*Player)(nil)

// Load reads a file. Its errors name file and line.
func Load(path string) (*Player, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("recorded answers: %w", err)
	}
	p, line, err := parse(content)
	switch {
	case err == nil:
		return p, nil
	case line == 0:
		return nil, fmt.Errorf("recorded answers: %s: %w", path, err)
	default:
		return nil, fmt.Errorf("recorded answers: %s:%d: %w", path, line, err)
	}
}

// Settings are those of the recording.
func (p *Player) Settings() Settings { return p.settings }

// RecordedAt is when the recording ended.
func (p *Player) RecordedAt() time.Time { return p.recordedAt }

// Len is how many questions the file answers.
func (p *Player) Len() int { return len(p.verdicts) }

// Verify gives the recorded verdict. A question without one is undecided: that
// nobody asked it says nothing about the image.
func (p *Player) Verify(_ context.Context, q question.Question) (verify.Verdict, error) {
	v, ok := p.verdicts[q]
	if !ok {
		return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: verify.CauseNotRecorded}
	}
	v.AskedAt = time.Now() // of the file, which is as good now as it was
	return v, nil
}

// parse gives the line of its error where that is known.
func parse(content []byte) (_ *Player, line int, err error) {
	f, line, err := decode(content)
	if err != nil {
		return nil, line, err
	}
	if f.Schema != Schema {
		return nil, 0, fmt.Errorf("its schema is %q, and this version reads %s; record it again with --record", f.Schema, Schema)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		return nil, 0, err
	}
	p := &Player{settings: f.Settings, recordedAt: f.RecordedAt, verdicts: map[question.Question]verify.Verdict{}}
	entries := member(root.Content[0], "answers")
	for i, a := range f.Answers {
		line := entries.Content[i].Line
		q, v, err := a.verdict()
		if err != nil {
			return nil, line, err
		}
		if _, twice := p.verdicts[q]; twice {
			return nil, line, errors.New("the question stands in the file twice")
		}
		p.verdicts[q] = v
	}
	return p, 0, nil
}

var (
	unknownField = regexp.MustCompile(`line (\d+): field (\S+) not found`)
	anyLine      = regexp.MustCompile(`line (\d+): ([^\n]*)`)
)

func decode(content []byte) (f file, line int, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	dec.KnownFields(true)
	err = dec.Decode(&f)
	switch {
	case errors.Is(err, io.EOF):
		return f, 0, errors.New("it is empty")
	case err == nil:
		if err = dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			return f, 0, errors.New("it holds more than one document")
		}
		return f, 0, nil
	}
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return f, atoi(m[1]), fmt.Errorf("the field %q is not known", m[2])
	}
	if m := anyLine.FindStringSubmatch(err.Error()); m != nil {
		return f, atoi(m[1]), errors.New(m[2])
	}
	return f, 0, err
}

// atoi reads digits; a line that no int holds is none.
func atoi(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// verdict reads an entry back. It has to be exactly what a recorder writes, or
// the question that it answers would never be asked.
func (a answer) verdict() (question.Question, verify.Verdict, error) {
	q, err := question.Parse(a.Question)
	switch {
	case err != nil:
		return q, verify.Verdict{}, fmt.Errorf("question: %w", err)
	case q.Key() != a.Question || q.Namespace == "" || q.Signers.Len() == 0 || q.Image.String() != q.Image.Artifact():
		return q, verify.Verdict{}, errors.New("question: it is not resolved: it needs a namespace and a signer, and its image no tag")
	case !slices.Contains(verify.Codes(), a.Code):
		return q, verify.Verdict{}, fmt.Errorf("code: %q is not known", a.Code)
	case a.Code.Class() != verify.ClassVerified && a.Code.Class() != verify.ClassRejected:
		return q, verify.Verdict{}, fmt.Errorf("code: %s is no verdict, and cannot be recorded", a.Code)
	}
	v := verify.Verdict{Code: a.Code, Result: a.Result}
	for name, value := range a.Signer {
		before := v.Signer
		if v.Signer = v.Signer.With(name, value); v.Signer == before {
			return q, verify.Verdict{}, fmt.Errorf("signer: %q is no claim, or it is empty", name)
		}
	}
	if a.SignedAt != nil {
		v.SignedAt = *a.SignedAt
	}
	return q, v, nil
}
