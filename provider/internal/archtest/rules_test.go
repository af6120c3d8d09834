// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"slices"
	"strings"
)

// rule forbids edges between packages.
type rule struct {
	// says is the rule in a sentence.
	says string

	// from are the packages that the rule is about, and never is what they must
	// not import.
	from, never func(path string) bool

	// linked makes imports of imports count, as they do in a program.
	linked bool

	// broken is a chain of imports that breaks the rule, to prove that it can
	// be broken.
	broken []string
}

const (
	module   = "github.com/endorlabs/endor-gatekeeper-provider/"
	internal = module + "provider/internal/"
	programs = module + "provider/cmd/"

	// policies hold the shipped template, beside internal packages and not below.
	policies = "policies"

	server   = programs + "endor-gatekeeper-provider"
	plugin   = programs + "kubectl-endor"
	emulator = programs + "endor-emulator"
)

// layers are the directions of imports between our packages, from those that
// stand alone up to those that use the others.
var layers = []rule{
	alone("apianswer"),
	alone("imageref"),
	alone("buildinfo"),
	alone("certs"),
	only("cluster", "certs"),
	alone("config"),
	alone("docs"),
	only("docs/generate", "config"),
	alone("engine"),
	alone("linequeue"),
	alone("manifest"),
	alone("podspec"),
	alone("printable"),
	alone("server"),
	alone("wholefile"),
	only("question", "imageref"),
	only("endor", "imageref", "printable", "question"),
	alone("endor/endortest"),
	alone("tracing"),
	only("verify", "endor", "imageref", "printable", "question"),
	only("sharedcache", "question", "verify"),
	only("externaldata", "printable", "question", "verify"),
	only("decisionlog", "linequeue", "printable", "question", "verify"),
	only("upstream", "config", "endor", "imageref", "question", "verify"),
	only("endorctl", "config"),
	only("answers", "question", "verify", "wholefile"),
	only("findings", "printable", "question", "verify"),
	only("localprovider", "certs", "engine", "externaldata", "verify"),
	only("report", "engine", "podspec", "question", "verify"),
	alone("gatekeeper"),
	only("inventory", "apianswer", "podspec"),
	only("survey", "engine", "gatekeeper", "imageref", "inventory", "podspec", policies, "report", "verify"),
	only("render", "findings", "podspec", "printable", "report", "verify"),
	only("doctor", "buildinfo", "certs", "cluster", "config", "endor", "engine", "podspec", policies, "printable", "question"),
	// What follows is for tests, the demo and what asks the real API. Packages that
	// hold only tests may import what they like.
	only("testbed", "certs"),
	only("conformance", "endor", "imageref", "printable", "question"),
	only("demo", "testbed"),
	only("soak", "endor/endortest", "testbed", "wholefile"),
	alone("kubetest"),
	alone("logtest"),
	only("inventory/inventorytest", "kubetest"),
	only("doctor/doctortest", "certs", "engine", "kubetest", "manifest"),
	only("localcluster", "certs", "testbed", "wholefile"),
	only("localcluster/cluster", "localcluster", "testbed"),
	alone("policytest"),
	only("policytest/live", "engine", "testbed"),
}

var rules = append(layers,
	rule{
		says:   "No program that is shipped contains testbed, localcluster or an API server of tests.",
		from:   below(programs),
		never:  below(internal+"testbed", internal+"localcluster", internal+"kubetest"),
		linked: true,
		broken: []string{plugin, internal + "report", internal + "testbed"},
	},
	rule{
		says:   "Only endor-emulator pretends to be Endor Labs.",
		from:   allOf(below(programs), not(below(emulator))),
		never:  below(internal + "endor/endortest"),
		linked: true,
		broken: []string{server, internal + "endor", internal + "endor/endortest"},
	},
	rule{
		says:   "Only kubectl-endor contains Gatekeeper's engine.",
		from:   allOf(below(programs), not(below(plugin))),
		never:  below(internal+"engine", "github.com/open-policy-agent/gatekeeper/v3"),
		linked: true,
		broken: []string{emulator, internal + "engine"},
	},
	rule{
		says: "The provider contains no policy engine, no controller, no typed clients and nothing that keeps the linker from " +
			"leaving out what is not used.",
		from: below(server),
		never: below(
			"github.com/open-policy-agent/opa/v1/rego",
			"github.com/open-policy-agent/opa/v1/topdown",
			"github.com/open-policy-agent/frameworks/constraint/pkg/client",
			"github.com/open-policy-agent/gatekeeper/v3",
			"sigs.k8s.io/controller-runtime",
			"k8s.io/client-go/kubernetes",
			"google.golang.org/grpc",
			"golang.org/x/net/trace",
		),
		linked: true,
		broken: []string{server, "github.com/prometheus/client_golang/prometheus", "golang.org/x/net/trace"},
	},
	rule{
		says:   "Only tests import testing: code that is shipped does not know that it is tested.",
		from:   below(module),
		never:  below("testing", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/rogpeppe/go-internal/testscript"),
		broken: []string{internal + "endor/endortest", "testing/synctest"},
	},
	rule{
		says:   "The provider contains nothing of testing, from nobody.",
		from:   below(server),
		never:  below("testing"),
		linked: true,
		broken: []string{server, "github.com/spf13/cobra", "testing"},
	},
)

func alone(name string) rule {
	r := only(name)
	r.says = name + " imports nothing of ours."
	r.broken = []string{internal + name, server}
	return r
}

// only makes the rule that name, a package of ours, imports no others of ours
// than those.
func only(name string, others ...string) rule {
	paths := make([]string, len(others))
	for i, other := range others {
		paths[i] = internal + other
		if other == policies {
			paths[i] = module + other
		}
	}
	return rule{
		says:   name + " imports nothing of ours but " + strings.Join(others, ", ") + ".",
		from:   func(path string) bool { return path == internal+name },
		never:  func(path string) bool { return strings.HasPrefix(path, module) && !slices.Contains(paths, path) },
		broken: []string{internal + name, internal + "config/deeper"},
	}
}

// below matches the paths and all under them.
func below(paths ...string) func(string) bool {
	return func(path string) bool {
		return slices.ContainsFunc(paths, func(p string) bool {
			p = strings.TrimSuffix(p, "/")
			return path == p || strings.HasPrefix(path, p+"/")
		})
	}
}

func not(match func(string) bool) func(string) bool {
	return func(path string) bool { return !match(path) }
}

func allOf(matches ...func(string) bool) func(string) bool {
	return func(path string) bool {
		return !slices.ContainsFunc(matches, func(match func(string) bool) bool { return !match(path) })
	}
}
