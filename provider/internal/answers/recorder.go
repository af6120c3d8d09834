// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package answers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/wholefile"
)

// Recorder remembers every verdict that passes through it. It is safe for
// concurrent use.
type Recorder struct {
	next verify.Verifier

	mu       sync.Mutex // protects verdicts
	verdicts map[question.Question]verify.Verdict
}

var _ verify.Verifier = (*Recorder)(nil)

// NewRecorder makes a Recorder of the verdicts of next.
func NewRecorder(next verify.Verifier) *Recorder {
	return &Recorder{next: next, verdicts: map[question.Question]verify.Verdict{}}
}

// Verify asks next. An error is passed on and leaves nothing behind.
func (r *Recorder) Verify(ctx context.Context, q question.Question) (verify.Verdict, error) {
	v, err := r.next.Verify(ctx, q)
	if err != nil {
		return v, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if kept, ok := r.verdicts[q]; !ok || !v.AskedAt.Before(kept.AskedAt) {
		r.verdicts[q] = v
	}
	return v, nil
}

// Len is how many verdicts are remembered.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.verdicts)
}

// Write replaces the file at path with what is remembered: all of it, or, if
// that fails, not at all. settings are those that questions were resolved with.
func (r *Recorder) Write(path string, settings Settings, now time.Time) error {
	content, err := r.encode(settings, now)
	if err == nil {
		err = wholefile.Write(path, content, 0o644)
	}
	if err != nil {
		return fmt.Errorf("record answers: %w", err)
	}
	return nil
}

const heading = `# What Endor Labs answered, recorded by kubectl endor --record and read by --answers.
# A fixture for tests of policies; it proves nothing about an image.
`

func (r *Recorder) encode(settings Settings, now time.Time) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := file{Schema: Schema, RecordedAt: now.UTC().Truncate(time.Second), Settings: settings, Answers: []answer{}}
	images := map[string]string{}
	questions := slices.SortedFunc(maps.Keys(r.verdicts), func(a, b question.Question) int {
		return cmp.Or(cmp.Compare(a.Image.String(), b.Image.String()), cmp.Compare(a.Key(), b.Key()))
	})
	for _, q := range questions {
		a := toAnswer(q, r.verdicts[q])
		images[a.Question] = q.Image.String()
		f.Answers = append(f.Answers, a)
	}
	var root yaml.Node
	if err := root.Encode(f); err != nil {
		return nil, err
	}
	// A key is no pleasure to read, so each comes with its image.
	for i, a := range f.Answers {
		member(&root, "answers").Content[i].HeadComment = images[a.Question]
	}
	out := bytes.NewBufferString(heading)
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	err := errors.Join(enc.Encode(&root), enc.Close())
	return out.Bytes(), err
}

// member gives the value of a name in a mapping; nil if it is not there.
func member(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}
