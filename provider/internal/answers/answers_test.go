// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package answers_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/answers"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// known is Endor Labs as far as these tests need it.
type known map[question.Question]verify.Verdict

func (k known) Verify(_ context.Context, q question.Question) (verify.Verdict, error) {
	if v, ok := k[q]; ok {
		return v, nil
	}
	return verify.Verdict{}, &verify.Undecided{Code: verify.Unavailable, Cause: verify.CauseBudget}
}

func ask(t *testing.T, image, rest string) question.Question {
	t.Helper()
	q, err := question.Parse("image=" + image + "%40sha256%3A" + strings.Repeat("0a", 32) + "&namespace=acme" + rest)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

var (
	signer   = question.Claims{CertificateOIDCIssuer: "https://issuer", SourceRepository: "acme/api: \"#x\""}
	signedAt = time.Date(2026, 11, 20, 10, 0, 0, 123, time.UTC)
)

const bySource = "&source_repository=acme%2Fapi"

func record(t *testing.T) (file string, asked known) {
	t.Helper()
	asked = known{
		ask(t, "b", bySource): {Code: verify.Verified, Result: "ARTIFACT_OPERATION_RESULT_SUCCESS", Signer: signer, SignedAt: signedAt},
		ask(t, "a", bySource): {Code: verify.NotSigned, Result: "ARTIFACT_OPERATION_RESULT_NO_ARTIFACT"},
		ask(t, "a", "&signer=source_repository%3Dacme%252Fapi&signer=source_repository%3Dacme%252Fweb"): {Code: verify.WrongSigner, Signer: signer},
	}
	r := answers.NewRecorder(asked)
	for q := range asked {
		if _, err := r.Verify(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Verify(t.Context(), ask(t, "outage", bySource)); err == nil {
		t.Fatal("an outage passed through a recorder without an error")
	}
	file = filepath.Join(t.TempDir(), "answers.yaml")
	settings := answers.Settings{EndorNamespace: "acme", ImageNameRewrite: []string{"mirror/=ghcr.io/"}}
	if err := r.Write(file, settings, time.Date(2026, 11, 27, 1, 2, 3, 4, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return file, asked
}

func TestAReplayGivesTheVerdictsOfTheRecording(t *testing.T) {
	t.Parallel()
	file, asked := record(t)
	p, err := answers.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if p.Len() != len(asked) || p.Settings().EndorNamespace != "acme" || p.Settings().ImageNameRewrite[0] != "mirror/=ghcr.io/" ||
		!p.RecordedAt().Equal(time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)) {
		t.Errorf("%d answers, settings %+v, recorded at %s", p.Len(), p.Settings(), p.RecordedAt())
	}
	for q, want := range asked {
		got, err := p.Verify(t.Context(), q)
		got.AskedAt = time.Time{}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, verdict (-want +got):\n%s", q.Image, err, diff)
		}
	}
}

func TestWhatWasNotRecordedIsUndecidedAndSaysSo(t *testing.T) {
	t.Parallel()
	file, _ := record(t)
	p, err := answers.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []question.Question{ask(t, "outage", bySource), ask(t, "new", bySource), ask(t, "a", "")} {
		_, err := p.Verify(t.Context(), q)
		u, ok := errors.AsType[*verify.Undecided](err)
		if !ok || u.Code != verify.Unavailable || !strings.Contains(u.Sentence(), "--record") {
			t.Errorf("%s: error = %v", q.Image, err)
		}
	}
}

func TestTheFileIsSortedAndTellsImages(t *testing.T) {
	t.Parallel()
	first, _ := record(t)
	second, _ := record(t)
	a, errA := os.ReadFile(first)
	b, errB := os.ReadFile(second)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a), string(b)); diff != "" {
		t.Errorf("two recordings of the same differ:\n%s", diff)
	}
	var images []string
	for line := range strings.Lines(string(a)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok && strings.Contains(text, "@sha256:") {
			images = append(images, text[:1])
		}
	}
	if diff := cmp.Diff([]string{"a", "a", "b"}, images); diff != "" {
		t.Errorf("images in comments (-want +got):\n%s\n%s", diff, a)
	}
}

func TestARecordingReplacesTheFileOrLeavesItAlone(t *testing.T) {
	t.Parallel()
	file, _ := record(t)
	if err := answers.NewRecorder(known{}).Write(file, answers.Settings{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if p, err := answers.Load(file); err != nil || p.Len() != 0 {
		t.Errorf("after an empty recording: %v, error %v", p, err)
	}
	err := answers.NewRecorder(known{}).Write(filepath.Join(t.TempDir(), "missing", "file"), answers.Settings{}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "record answers: ") {
		t.Errorf("error = %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if len(entries) != 1 || err != nil {
		t.Errorf("beside the file lie %v, error %v", entries, err)
	}
}

func TestAFileThatIsNotARecordingIsRefusedByLine(t *testing.T) {
	t.Parallel()
	const head = "schema: " + answers.Schema + "\nrecordedAt: 2026-11-27T00:00:00Z\nsettings: {}\nanswers:\n"
	good := "- question: " + "certificate_oidc_issuer=i&image=a%40sha256%3A" + strings.Repeat("0a", 32) + "&namespace=acme\n  code: NOT_SIGNED\n"
	for name, tc := range map[string]struct{ content, want string }{
		"nothing":                   {"", ": it is empty"},
		"no YAML":                   {head + "- {", ":5: "},
		"another schema":            {"schema: endor-gatekeeper-provider/answers/v2\n", "answers/v2"},
		"an unknown field":          {head + good + "  verified: true\n", `:7: the field "verified" is not known`},
		"an unknown code":           {head + strings.ReplaceAll(good, "NOT_SIGNED", "FINE"), `:5: code: "FINE" is not known`},
		"an outage":                 {head + strings.ReplaceAll(good, "NOT_SIGNED", "UNAVAILABLE"), ":5: code: UNAVAILABLE is no verdict"},
		"a question twice":          {head + good + good, ":7: the question stands in the file twice"},
		"a question without signer": {head + strings.ReplaceAll(good, "certificate_oidc_issuer=i&", ""), ":5: question: it is not resolved"},
		"no question":               {head + "- code: NOT_SIGNED\n", ":5: question: not a usable key"},
		"an unknown claim":          {head + good + "  signer: {source: x}\n", `:5: signer: "source" is no claim`},
		"a second document":         {head + good + "---\n" + head, "more than one document"},
		"a list":                    {"- a\n", ":1: "},
	} {
		file := filepath.Join(t.TempDir(), "answers.yaml")
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := answers.Load(file)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error = %v, want %q and the file", name, err, tc.want)
		}
	}
}
