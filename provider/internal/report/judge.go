// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// Decision is what becomes of an object on account of one image.
type Decision string

// The decisions, the worst last.
const (
	Admitted Decision = "admitted"
	DryRun   Decision = "dryrun" // refused by a constraint that only counts
	Warned   Decision = "warned" // admitted, with a warning
	Denied   Decision = "denied"
)

// ExpectAnnotation on an object holds what is expected of it: "admitted", or
// codes, such as "NOT_SIGNED" or "NOT_SIGNED,NO_DIGEST", one for each refused
// image in order.
const ExpectAnnotation = "endorlabs.com/expect"

// Row is the decision about one image of one object.
type Row struct {
	Namespace string
	Kind      string
	Object    string

	List      string
	Container string
	Image     string

	Decision   Decision
	Code       string
	Class      string // of the code: rejected, unavailable or misconfigured
	Reason     string // the constraint's whole message
	Constraint string // kind/name
}

// Outcome is what became of one object.
type Outcome struct {
	Rows []Row

	// Expected is the object's [ExpectAnnotation], and Got the same said of
	// what happened; Expected is empty if the object expects nothing or may not
	// say so.
	Expected string
	Got      string
}

// Expect takes over what the object says is expected of it.
func (o *Outcome) Expect(object *unstructured.Unstructured) {
	o.Expected = object.GetAnnotations()[ExpectAnnotation]
}

// Judge has the engine review the creation of an object and tells what becomes
// of it image by image. namespace may be nil. The outcome expects nothing: who
// wrote the object has no say in whether its refusal is fine, unless
// [Outcome.Expect] is called.
func Judge(ctx context.Context, e *engine.Engine, object *unstructured.Unstructured, namespace *corev1.Namespace) (Outcome, error) {
	violations, err := e.Review(ctx, engine.Request{Object: object, Namespace: namespace})
	if err != nil {
		return Outcome{}, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	outcome := Outcome{Rows: rows(object, violations)}
	outcome.Got = string(Admitted)
	for _, r := range outcome.Rows {
		switch {
		case r.Code == "":
		case outcome.Got == string(Admitted):
			outcome.Got = r.Code
		default:
			outcome.Got += "," + r.Code
		}
	}
	return outcome, nil
}

// rows has one row for each image, with the worst that was said of it, and one
// for each violation that is about no image.
func rows(object *unstructured.Unstructured, violations []engine.Violation) []Row {
	base := Row{Namespace: object.GetNamespace(), Kind: object.GetKind(), Object: object.GetName(), Decision: Admitted}
	var list []Row
	told := make([]bool, len(violations))
	for _, image := range podspec.Images(object) {
		row := base
		row.List, row.Container, row.Image = image.List, image.Name, image.Reference
		for i, v := range violations {
			if IsAbout(v, image) {
				told[i] = true
				row = worse(row, v)
			}
		}
		list = append(list, row)
	}
	for i, v := range violations {
		if told[i] {
			continue
		}
		// Which image it is about is not known, so none is known to be fine.
		for j := range list {
			list[j].Decision = Worst(list[j].Decision, DecisionOf(v.EnforcementAction))
		}
		list = append(list, worse(base, v))
	}
	if len(list) == 0 {
		list = append(list, base)
	}
	return list
}

// IsAbout says whether a violation of the shipped policy is about an image. It
// compares name and image: details do not say in which list an image stands, and
// two containers of one name and image share one verdict.
func IsAbout(v engine.Violation, image podspec.Image) bool {
	return v.Details["container"] == cut(image.Name, 253) && v.Details["image"] == cut(image.Reference, 512) &&
		image != (podspec.Image{List: image.List})
}

// cut is how details of the shipped policy keep long names: so many characters.
func cut(s string, characters int) string {
	n := 0
	for i := range s {
		if n == characters {
			return s[:i]
		}
		n++
	}
	return s
}

// severity orders the decisions.
var severity = []Decision{Admitted, DryRun, Warned, Denied}

// Worst is the worse of two decisions.
func Worst(a, b Decision) Decision {
	return severity[max(slices.Index(severity, a), slices.Index(severity, b))]
}

func worse(row Row, v engine.Violation) Row {
	decision := DecisionOf(v.EnforcementAction)
	if Worst(row.Decision, decision) != decision {
		return row
	}
	row.Decision = decision
	row.Code, _ = v.Details["code"].(string)
	row.Code = cmp.Or(row.Code, "VIOLATION") // of a foreign template
	row.Class, _ = v.Details["class"].(string)
	row.Reason = v.Message
	row.Constraint = v.Constraint.GetKind() + "/" + v.Constraint.GetName()
	return row
}

// DecisionOf reads Gatekeeper's enforcement action; what is not known denies.
func DecisionOf(action string) Decision {
	switch action {
	case "dryrun":
		return DryRun
	case "warn":
		return Warned
	default:
		return Denied
	}
}
