// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package doctor looks at an installation of the provider in a cluster and says
// what is wrong with it, and how to mend it.
//
// It reads only. What it sends otherwise is a server-side dry run of a Pod that
// must be refused, unless [Config.NoProbe] is set, and questions about the
// caller's own credential to Endor Labs.
//
// A check that lacks what it would have to see says so: [Unknown] where it could
// not be read, [Skipped] where there is nothing to look at. Neither is ever
// shown as [OK].
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/dynamic"
)

// Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	// Error: images run that nobody vouched for, or may, or images that should
	// run do not.
	Error Severity = "error"
	// Unknown: it could not be checked, and may be an error.
	Unknown Severity = "unknown"
	// Warning: it works, and will not under load, in an outage or in a month.
	Warning Severity = "warning"
	// Skipped: there is nothing to look at, or nobody asked to look.
	Skipped Severity = "skipped"
	// Info: as somebody wants it, and worth to be known.
	Info Severity = "info"
	// OK: looked at and in order.
	OK Severity = "ok"
)

var severities = []Severity{Error, Unknown, Warning, Skipped, Info, OK}

// Finding is what one check says of one thing.
type Finding struct {
	Check    string   `json:"check"` // its id, of those that [Checks] lists
	Area     string   `json:"area"`
	Severity Severity `json:"severity"`
	Object   string   `json:"object,omitempty"` // such as Deployment NAMESPACE/NAME
	Found    string   `json:"found"`
	Fix      string   `json:"fix,omitempty"` // how to mend it, in a line
}

// Schema names the JSON form of a [Report]. Within a version fields are added, and
// what a field means is not changed.
const Schema = "endor-gatekeeper-provider/doctor/v1"

// Report is all that was found.
type Report struct {
	Schema     string           `json:"schema"`
	Cluster    string           `json:"cluster"`
	Gatekeeper string           `json:"gatekeeper,omitempty"` // its version, if it could be read
	Provider   string           `json:"provider,omitempty"`   // the image of the provider
	Summary    map[Severity]int `json:"summary"`
	Findings   []Finding        `json:"findings"` // the worst first, then by area

	// Interrupted says that not every check was made.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Config says where to look. Client is required.
type Config struct {
	Client dynamic.Interface

	// Server is the API server's address, for the report.
	Server string

	// Clock gives the time of the API server; nil means that it cannot be asked.
	Clock func(context.Context) (time.Time, error)

	GatekeeperNamespace string // default gatekeeper-system
	ProviderName        string // default endor-gatekeeper-provider

	// ReleaseNamespace is that of the provider; default: the one in the URL of
	// the Provider object.
	ReleaseNamespace string

	// NoProbe leaves the dry run out.
	NoProbe bool

	// Endor asks Endor Labs. Nil means that there are no credentials here or,
	// with EndorError, none that can be used.
	Endor      Endor
	EndorError error
	// EndorNamespace is asked about where the provider's own is not known.
	EndorNamespace string

	// Now is the clock; default [time.Now].
	Now func() time.Time
}

// Run makes every check. When ctx ends, the report holds what was found by
// then.
func Run(ctx context.Context, cfg Config) Report {
	cfg.GatekeeperNamespace = cmp.Or(cfg.GatekeeperNamespace, "gatekeeper-system")
	cfg.ProviderName = cmp.Or(cfg.ProviderName, "endor-gatekeeper-provider")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := newScene(ctx, cfg)
	report := Report{Schema: Schema, Cluster: cfg.Server, Summary: map[Severity]int{}}
	for _, c := range all {
		if ctx.Err() != nil {
			report.Interrupted = true
			break
		}
		findings := c.findings(ctx, s)
		if ctx.Err() != nil {
			// What a check says that was cut off is not about the cluster.
			report.Interrupted = true
			break
		}
		report.Findings = append(report.Findings, findings...)
	}
	report.Gatekeeper, report.Provider = s.versions()
	for _, f := range report.Findings {
		report.Summary[f.Severity]++
	}
	slices.SortStableFunc(report.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity))
	})
	return report
}

// check is one thing to look at. What it gives is what it has to say; nothing
// means that all is well. An error means that it could not look.
type check struct {
	id    string
	area  string
	about string
	run   func(context.Context, *scene) ([]result, error)
}

// result is a finding before it is known whose it is.
type result struct {
	Severity           Severity
	Object, Found, Fix string
}

func (c check) findings(ctx context.Context, s *scene) []Finding {
	results, err := c.run(ctx, s)
	if err != nil {
		results = append(results, unable(err))
	}
	if len(results) == 0 {
		results = []result{{Severity: OK, Found: c.about}}
	}
	list := make([]Finding, len(results))
	for i, r := range results {
		list[i] = Finding{Check: c.id, Area: c.area, Severity: r.Severity, Object: r.Object, Found: r.Found, Fix: r.Fix}
	}
	return list
}

// needs is the error of a check that has nothing to look at because of what
// another check reports.
type needs string

func (n needs) Error() string { return "see " + string(n) }

// cannot is the error of a check that could not look, with how to let it.
type cannot struct{ why, fix string }

func (c cannot) Error() string { return c.why }

func unable(err error) result {
	if n, ok := errors.AsType[needs](err); ok {
		return result{Severity: Skipped, Found: "nothing to look at; " + n.Error()}
	}
	if c, ok := errors.AsType[cannot](err); ok {
		return result{Severity: Unknown, Found: c.why, Fix: c.fix}
	}
	return result{Severity: Unknown, Found: err.Error(), Fix: "Run it again; if it stays so, look at the API server."}
}

func bad(object, fix, format string, args ...any) result {
	return result{Severity: Error, Object: object, Found: fmt.Sprintf(format, args...), Fix: fix}
}

func warn(object, fix, format string, args ...any) result {
	return result{Severity: Warning, Object: object, Found: fmt.Sprintf(format, args...), Fix: fix}
}

func note(object, format string, args ...any) result {
	return result{Severity: Info, Object: object, Found: fmt.Sprintf(format, args...)}
}

func fine(object, format string, args ...any) result {
	return result{Severity: OK, Object: object, Found: fmt.Sprintf(format, args...)}
}
