// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// image is a row in the making.
type image struct {
	places    map[placeKey]*report.Place
	refusals  map[refusalKey]*report.Refusal
	running   map[string]int // :: digest -> Pods
	pods      int
	next      report.Decision
	firstSeen time.Time

	// said is the worst that constraints of the policy said of it.
	said said

	evaluated bool // it stands in an object that was judged
	sources   []report.Source
}

// said is what somebody said of an image.
type said struct {
	code, class, reason string
}

type placeKey struct {
	workloadKey
	list, container string
}

type refusalKey struct{ constraint, code string }

func (s *survey) image(reference string) *image {
	row := s.images[reference]
	if row == nil {
		row = &image{
			places: map[placeKey]*report.Place{}, refusals: map[refusalKey]*report.Refusal{}, running: map[string]int{}, next: report.Admitted,
		}
		s.images[reference] = row
	}
	return row
}

// place notes what became of an object at the images that it has.
func (s *survey) place(key workloadKey, kind podspec.Kind, object *unstructured.Unstructured, j *judgment) {
	runs := kind == podspec.Pods && !ended(object)
	w := s.workload(key, object)
	w.note(s, kind, object, j)
	if j.failure != nil {
		s.failed(object, j.failure)
	}
	counted := map[string]bool{}
	for i, use := range j.uses {
		row := s.image(use.Reference)
		row.evaluated = true
		row.next = report.Worst(row.next, j.decision)
		row.tell(report.SourceEvaluation)
		pk := placeKey{key, use.List, use.Name}
		p := row.places[pk]
		if p == nil {
			p = &report.Place{
				Namespace: key.namespace, Kind: key.kind, Name: key.name, List: use.List, Container: use.Name, Next: report.Admitted,
			}
			row.places[pk] = p
		}
		p.Next = report.Worst(p.Next, j.decision)
		if runs {
			p.Pods++
			if !counted[use.Reference] {
				counted[use.Reference] = true
				row.pods++
			}
			row.runs(object, use)
		}
		if j.failure != nil {
			row.hear(said{string(verify.Unavailable), string(verify.ClassUnavailable), "the policy could not be evaluated"})
		}
		for _, f := range j.findings {
			if f.use < 0 || f.use == i || j.uses[f.use] == (podspec.Image{List: j.uses[f.use].List, Name: use.Name, Reference: use.Reference}) {
				s.refuse(row, f)
			}
		}
	}
}

// refuse notes a finding of the evaluation.
func (s *survey) refuse(row *image, f finding) {
	name := evaluated
	if f.constraint >= 0 {
		name = s.constraints[f.constraint].name()
	}
	row.refuse(report.Refusal{
		Constraint: name, EnforcementAction: f.action, Code: f.code, Message: f.message, Sources: []report.Source{report.SourceEvaluation},
	})
	row.hear(said{f.code, f.class, reason(f.message)})
}

// refuse adds a refusal, or joins it with one of the same constraint and code.
// Of their messages, which name containers, the first in order stays.
func (row *image) refuse(r report.Refusal) {
	for _, source := range r.Sources {
		row.tell(source)
	}
	key := refusalKey{r.Constraint, r.Code}
	known := row.refusals[key]
	if known == nil {
		row.refusals[key] = &r
		return
	}
	for _, source := range r.Sources {
		if !slices.Contains(known.Sources, source) {
			known.Sources = append(known.Sources, source)
		}
	}
	// What was evaluated here is whole; audits cut messages off.
	if slices.Contains(r.Sources, report.SourceEvaluation) && r.Message < known.Message {
		known.Message = r.Message
	}
}

// tell notes where something of the row is from.
func (row *image) tell(source report.Source) {
	if !slices.Contains(row.sources, source) {
		row.sources = append(row.sources, source)
	}
}

// seen notes since when a refusal is known.
func (row *image) seen(since time.Time) {
	if !since.IsZero() && (row.firstSeen.IsZero() || since.Before(row.firstSeen)) {
		row.firstSeen = since
	}
}

// hear keeps the worst that was said.
func (row *image) hear(what said) {
	if worse(what, row.said) {
		row.said = what
	}
}

// classes are in order, the best first.
var classes = []string{"", string(report.Unchecked), string(verify.ClassVerified), string(verify.ClassUnavailable), string(verify.ClassMisconfigured), string(verify.ClassRejected)}

// worse compares by class, then puts a revocation first, then keeps the order
// of the codes, so that it does not matter what was heard first.
func worse(a, b said) bool {
	if x, y := rank(a.class), rank(b.class); x != y {
		return x > y
	}
	if x, y := precedence(a.code), precedence(b.code); x != y {
		return x < y
	}
	return a.code < b.code || a.code == b.code && a.reason < b.reason
}

// rank takes a class that is not known for a rejection, as the policy does.
func rank(class string) int {
	if i := slices.Index(classes, class); i >= 0 {
		return i
	}
	return len(classes) - 1
}

func precedence(code string) int {
	if code == string(verify.Revoked) {
		return -1
	}
	if i := slices.Index(verify.Codes(), verify.Code(code)); i >= 0 {
		return i
	}
	return len(verify.Codes())
}

// reason is a message without its code and the place that it is about.
func reason(message string) string {
	text := message
	if _, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(text, "[") {
		text = rest
	}
	if _, rest, ok := strings.Cut(text, `": `); ok {
		// What follows is the image, then what is the matter with it.
		if _, what, ok := strings.Cut(rest, " "); ok {
			text = what
		}
	}
	return text
}

// ended says whether a Pod has run to its end and will not run again.
func ended(pod *unstructured.Unstructured) bool {
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	return phase == "Succeeded" || phase == "Failed"
}
