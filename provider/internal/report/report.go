// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package report is the model of what is known of the images of a cluster: what
// runs them, or would, what Endor Labs and the constraints say of them, and what
// changed since an earlier report.
//
// [Report] is a file format as well: within a version of its [Schema] fields are
// only added. Package survey makes one of a cluster, package render writes it for
// people and programs. [Judge] is the decision about one object alone, for whoever
// has no cluster.
package report

import (
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// Schema names the JSON form of a [Report]. Within a version fields are added,
// and what a field means is not changed.
const Schema = "endor-gatekeeper-provider/report/v1"

// Report is what is known of the images of a cluster at one time.
type Report struct {
	Schema      string    `json:"schema"`
	GeneratedAt time.Time `json:"generatedAt"`
	Generator   string    `json:"generator"`         // program and version
	Cluster     string    `json:"cluster,omitempty"` // the kubeconfig's context; empty if no cluster was read

	// Complete is false if the report was interrupted, or if something that
	// belongs in it could not be read; Notices then say what.
	Complete bool `json:"complete"`

	Notices     []Notice     `json:"notices,omitempty"`
	Constraints []Constraint `json:"constraints"`
	Images      []Image      `json:"images"`

	// Namespaces sums up the images by the namespaces in which they run.
	Namespaces []Namespace `json:"namespaces"`

	// Judged and NotJudged count objects by kind: those that were looked at, and
	// those that run no images that anybody knows of.
	Judged    []KindCount `json:"judged,omitempty"`
	NotJudged []KindCount `json:"notJudged,omitempty"`

	Readiness *Readiness `json:"readiness,omitempty"` // with --readiness
	Changes   *Changes   `json:"changes,omitempty"`   // with --diff

	// History are earlier reports in short, oldest first, for a plot.
	History []Point `json:"history,omitempty"`
}

// Level says how much a [Notice] takes from what a report is worth.
type Level string

// The levels.
const (
	LevelInfo    Level = "info"
	LevelWarning Level = "warning" // sources disagree or are old
	LevelError   Level = "error"   // something is missing from the report
)

// Notice is something to know about a report itself.
type Notice struct {
	Level Level  `json:"level"`
	Text  string `json:"text"` // one sentence, with what to do about it
}

// KindCount counts objects of a kind.
type KindCount struct {
	Kind  string `json:"kind"` // Pod, or Kind.group for those that are not built in
	Count int    `json:"count"`
}

// Constraint is a constraint with what Gatekeeper's audit said of it.
type Constraint struct {
	Kind              string   `json:"kind"`
	Name              string   `json:"name"`
	EnforcementAction string   `json:"enforcementAction"` // deny, warn, dryrun, scoped
	FailOn            []string `json:"failOn,omitempty"`  // classes of codes; empty for foreign kinds

	// AuditedAt is when Gatekeeper's audit last wrote its status; nil if never.
	AuditedAt *time.Time `json:"auditedAt,omitempty"`

	// AuditViolations is how many the audit counted, and AuditListed how many
	// of them its status holds.
	AuditViolations int `json:"auditViolations"`
	AuditListed     int `json:"auditListed"`

	// Violations is how many this report found; -1 if it did not evaluate.
	Violations int `json:"violations"`

	// Matched is how many objects the constraint selects; -1 if unknown.
	Matched int `json:"matched"`
}

// String is the constraint as people write it: Kind/name.
func (c Constraint) String() string { return c.Kind + "/" + c.Name }

// Unchecked is the class of images that no constraint asks about: exempt, out
// of scope, or in objects that no constraint matches.
const Unchecked verify.Class = "unchecked"

// Image is all that is known of one image reference.
type Image struct {
	Image  string `json:"image"`            // as it is written
	Digest string `json:"digest,omitempty"` // sha256:…

	// Code is the worst that was said of it by any constraint, VERIFIED, or
	// empty with the class [Unchecked]. It tells an outage (class unavailable
	// or misconfigured) from a verdict even where no constraint fails on it.
	Code   string       `json:"code,omitempty"`
	Class  verify.Class `json:"class"`
	Reason string       `json:"reason,omitempty"` // one sentence; empty if verified

	Signer   question.Claims `json:"signer,omitzero"`
	SignedAt *time.Time      `json:"signedAt,omitempty"`

	// NextRollout is what would become of the worst placed object with this
	// image if it were created anew.
	NextRollout Decision `json:"nextRollout"`

	Refusals []Refusal `json:"refusals,omitempty"` // by constraint
	Places   []Place   `json:"places,omitempty"`
	Pods     int       `json:"pods"` // that run it

	// Running are digests that run under this reference and that are not its
	// own, as far as they are of a kind that can be compared.
	Running []RunningDigest `json:"running,omitempty"`

	// FirstSeen is since when the image is known to be refused: from an earlier
	// report or an export of Gatekeeper's.
	FirstSeen *time.Time `json:"firstSeen,omitempty"`

	// Sources are where the row comes from.
	Sources []Source `json:"sources"`
}

// Source is where something in a report comes from.
type Source string

// The sources.
const (
	SourceEvaluation Source = "evaluation" // this program asked Endor Labs and evaluated the policy
	SourceStatus     Source = "status"     // status of constraints, as Gatekeeper's audit left it
	SourceLog        Source = "log"        // audit's log
	SourceExport     Source = "export"     // audit's export to files
)

// Refusal is what one constraint has against an image.
type Refusal struct {
	Constraint        string   `json:"constraint"` // kind/name
	EnforcementAction string   `json:"enforcementAction"`
	Code              string   `json:"code"`
	Message           string   `json:"message"`
	Sources           []Source `json:"sources"`
}

// Place is a workload that runs an image, or would.
type Place struct {
	Namespace string            `json:"namespace,omitempty"`
	Kind      string            `json:"kind"` // of the topmost owner
	Name      string            `json:"name"`
	List      string            `json:"list"` // containers, initContainers, ephemeralContainers or volumes
	Container string            `json:"container"`
	Pods      int               `json:"pods"`
	Owner     map[string]string `json:"owner,omitempty"` // labels that say whose it is
	Next      Decision          `json:"nextRollout"`
}

// Workload is the workload by all its names: namespace/Kind/name, or Kind/name
// of what is in none.
func (p Place) Workload() string {
	name := p.Kind + "/" + p.Name
	if p.Namespace != "" {
		name = p.Namespace + "/" + name
	}
	return name
}

// RunningDigest is a digest that a node reports of a running container.
type RunningDigest struct {
	Digest string `json:"digest"`
	Pods   int    `json:"pods"`
}

// Namespace sums up what runs in one namespace. A number counts distinct
// images.
type Namespace struct {
	Name          string `json:"name"`
	Verified      int    `json:"verified"`
	Rejected      int    `json:"rejected"`
	Unavailable   int    `json:"unavailable"`
	Misconfigured int    `json:"misconfigured"`
	Unchecked     int    `json:"unchecked"`
}

// Readiness answers what would happen if the constraints were set to deny.
type Readiness struct {
	Ready      bool             `json:"ready"`
	Namespaces []NamespaceReady `json:"namespaces"`

	// Blockers are the images that would be refused, those that stop the most
	// workloads first.
	Blockers []Blocker `json:"blockers,omitempty"`
}

// NamespaceReady is the answer for one namespace.
type NamespaceReady struct {
	Name      string `json:"name"`
	Ready     bool   `json:"ready"`
	Workloads int    `json:"workloads"`

	// Failing are the workloads whose Pods would be refused at their next start,
	// as Kind/name; Unknown those of which it could not be found out.
	Failing []string `json:"failing,omitempty"`
	Unknown []string `json:"unknown,omitempty"`
}

// Blocker is an image that would stop workloads.
type Blocker struct {
	Image     string `json:"image"`
	Code      string `json:"code"`
	Workloads int    `json:"workloads"`
}

// Changes are what is different from an earlier report.
type Changes struct {
	Since        time.Time     `json:"since"` // when the earlier report was made
	NewlyRevoked []ImageChange `json:"newlyRevoked,omitempty"`
	NewlyRefused []ImageChange `json:"newlyRefused,omitempty"` // other than revoked; was verified
	NewlySigned  []ImageChange `json:"newlySigned,omitempty"`  // verified now, refused before
	New          []ImageChange `json:"new,omitempty"`
	Gone         []ImageChange `json:"gone,omitempty"`
}

// ImageChange is how one image changed.
type ImageChange struct {
	Image  string `json:"image"`
	Before string `json:"before,omitempty"` // code
	Now    string `json:"now,omitempty"`    // code
}

// Point is an earlier report in short.
type Point struct {
	At     time.Time `json:"at"`
	Totals Totals    `json:"totals"`
}

// Totals counts distinct images by class.
type Totals struct {
	Images        int `json:"images"`
	Verified      int `json:"verified"`
	Rejected      int `json:"rejected"`
	Unavailable   int `json:"unavailable"`
	Misconfigured int `json:"misconfigured"`
	Unchecked     int `json:"unchecked"`
}

// Totals counts the images by class.
func (r *Report) Totals() Totals {
	t := Totals{Images: len(r.Images)}
	for _, i := range r.Images {
		count(i.Class, &t.Verified, &t.Rejected, &t.Unavailable, &t.Misconfigured, &t.Unchecked)
	}
	return t
}

// Count adds an image of a class.
func (n *Namespace) Count(class verify.Class) {
	count(class, &n.Verified, &n.Rejected, &n.Unavailable, &n.Misconfigured, &n.Unchecked)
}

func count(class verify.Class, verified, rejected, unavailable, misconfigured, unchecked *int) {
	switch class {
	case verify.ClassVerified:
		*verified++
	case verify.ClassRejected:
		*rejected++
	case verify.ClassUnavailable:
		*unavailable++
	case verify.ClassMisconfigured:
		*misconfigured++
	case Unchecked:
		*unchecked++
	}
}
