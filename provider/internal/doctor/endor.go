// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
)

// Endor is what is asked of Endor Labs: who the credential is, and the time.
type Endor interface {
	BaseURL() string
	WhoAmI(ctx context.Context) (endor.Identity, error)
	Permissions(ctx context.Context, namespace string) (endor.Identity, error)
	Clock(ctx context.Context) (time.Time, error)
}

// credential is who the caller is for Endor Labs.
func (s *scene) credential() (endor.Identity, error) {
	if s.cfg.Endor == nil {
		return endor.Identity{}, needs("endor-credentials")
	}
	who, err := s.identity()
	if err != nil {
		return who, needs("endor-credentials")
	}
	return who, nil
}

func endorCredentials(_ context.Context, s *scene) ([]result, error) {
	if s.cfg.EndorError != nil {
		return nil, cannot{why: visible(s.cfg.EndorError.Error()), fix: "Correct the ENDOR_* variables, the flags or ~/.endorctl/config.yaml."}
	}
	if s.cfg.Endor == nil {
		return []result{{Severity: Skipped, Found: "there are no credentials of Endor Labs here, so nobody asked whether the provider's work",
			Fix: "Set ENDOR_API_CREDENTIALS_KEY and ENDOR_API_CREDENTIALS_SECRET to the provider's key, or log in with endorctl."}}, nil
	}
	_, err := s.identity()
	if err == nil {
		return []result{fine("", "%s accepts the credentials that are set here", visible(s.cfg.Endor.BaseURL()))}, nil
	}
	e, ok := errors.AsType[*endor.Error](err)
	switch {
	case ok && e.Reason == endor.ReasonCredentials:
		return []result{bad("", "Make a new API key in Endor Labs (role Code Scanner), and check that ENDOR_API is your tenant's region.",
			"Endor Labs refuses the credentials that are set here: %s", visible(err.Error()))}, nil
	case ok && e.Reason == endor.ReasonNotFound:
		return nil, cannot{why: visible(s.cfg.Endor.BaseURL()) + " does not answer as the API of Endor Labs does", fix: "Check ENDOR_API."}
	}
	return nil, cannot{why: "Endor Labs cannot be asked from here: " + visible(err.Error()), fix: "Check the network, HTTPS_PROXY and ENDOR_API."}
}

func endorRegion(_ context.Context, s *scene) ([]result, error) {
	who, err := s.credential()
	if err != nil {
		return nil, err
	}
	here := s.cfg.Endor.BaseURL()
	var results []result
	if nowhere(who) {
		results = append(results, bad("", "Set ENDOR_API (value endorAPI of this chart) to the region of your tenant: "+endor.DefaultBaseURL+" or https://api.eu.endorlabs.com.",
			"%s accepts the credentials, but knows no namespace of theirs: the tenant lives in another region", visible(here)))
	}
	running, err := s.running()
	if err != nil {
		// Without the provider's settings there is nothing to compare with.
		return results, nil //nolint:nilerr // provider-deployment reports it
	}
	if theirs, err := endor.ParseBaseURL(running.EndorAPI); err == nil && theirs != here {
		results = append(results, warn("", "Set ENDOR_API to the provider's, and run it again.",
			"the provider asks %s, and from here %s was asked", visible(theirs), visible(here)))
	}
	return results, nil
}

// nowhere says that Endor Labs knows a credential and nothing that it is for.
func nowhere(who endor.Identity) bool { return len(who.Namespaces)+len(who.Tenants) == 0 }

// endorNamespaces are those that questions are about: the provider's own, and
// those that constraints name.
func (s *scene) endorNamespaces() []string {
	var list []string
	if running, err := s.running(); err == nil {
		list = append(list, running.EndorNamespace)
	}
	if constraints, err := s.constraints(); err == nil {
		for i := range constraints {
			name, _, _ := unstructured.NestedString(constraints[i].Object, "spec", "parameters", "namespace")
			list = append(list, name)
		}
	}
	list = slices.DeleteFunc(list, func(n string) bool { return !question.ValidNamespace(n) })
	if len(list) == 0 && question.ValidNamespace(s.cfg.EndorNamespace) {
		list = []string{s.cfg.EndorNamespace}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func endorNamespaceCheck(ctx context.Context, s *scene) ([]result, error) {
	who, err := s.credential()
	if err != nil {
		return nil, err
	}
	if nowhere(who) {
		return nil, needs("endor-region")
	}
	list := s.endorNamespaces()
	if len(list) == 0 {
		return nil, cannot{why: "neither the provider nor a constraint names an Endor namespace", fix: "Set the value endorNamespace of this chart, or ENDOR_NAMESPACE here."}
	}
	var results []result
	for _, name := range list {
		_, err := s.cfg.Endor.Permissions(ctx, name)
		e, _ := errors.AsType[*endor.Error](err)
		switch {
		case err == nil:
			results = append(results, fine("", "the credentials set here may use the Endor namespace %s%s", visible(name), child(name, who.Namespaces)))
		case e != nil && (e.Reason == endor.ReasonForbidden || e.Reason == endor.ReasonNotFound):
			results = append(results, bad("", "Correct the namespace (dotted name, not its UUID), or give the key a role in it (Code Scanner).",
				"the credentials set here may not use the Endor namespace %s, or there is none of that name; theirs: %s", visible(name), theirs(who.Namespaces)))
		default:
			return results, cannot{why: "Endor Labs does not say whether the namespace " + visible(name) + " may be used: " + visible(err.Error()), fix: "Run it again."}
		}
	}
	return results, nil
}

// child says that a namespace is one below those of the credential.
func child(name string, of []string) string {
	for _, parent := range of {
		if strings.HasPrefix(name, parent+".") {
			return fmt.Sprintf(", a child of %s: signatures of the parent do not count there", visible(parent))
		}
	}
	return ""
}

func theirs(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return some(list)
}

func endorRole(ctx context.Context, s *scene) ([]result, error) {
	if _, err := s.credential(); err != nil {
		return nil, err
	}
	list := s.endorNamespaces()
	if len(list) == 0 {
		return nil, needs("endor-namespace")
	}
	var results []result
	for _, name := range list {
		who, err := s.cfg.Endor.Permissions(ctx, name)
		if err != nil {
			return results, needs("endor-namespace")
		}
		where := visible(name)
		switch who.MayCreate(operations) {
		case endor.Unsaid:
			return results, cannot{why: "the credentials set here have " + roles(who) + " in " + where + ", of which it is not known whether it may ask about signatures", fix: "The role Code Scanner may; look at the key in Endor Labs."}
		case endor.Denied:
			results = append(results, bad("", "Give the key the role Code Scanner.", "the credentials set here have %s in %s, which may not ask whether an image is signed", roles(who), where))
		case endor.Granted:
			results = append(results, warn("", "Use a key of its own for the provider, read from a file, in an Endor namespace whose authorization policies leave signing to keyless CI.",
				"the credentials set here have %s in %s and may sign there too: asking and signing are one permission, so whoever has the key can vouch for any image", roles(who), where))
		}
	}
	return results, nil
}

// operations is the kind of resource that signs and verifies.
const operations = "ArtifactOperation"

func roles(who endor.Identity) string {
	switch {
	case len(who.Roles) > 0:
		return "the role " + some(who.Roles)
	case len(who.Rules) > 0:
		return "rules of their own"
	}
	return "no role that is told"
}

// Skews of a clock.
const (
	slightSkew = time.Minute
	greatSkew  = 5 * time.Minute
)

func endorClock(ctx context.Context, s *scene) ([]result, error) {
	if s.cfg.Endor == nil {
		return nil, needs("endor-credentials")
	}
	return s.skew(ctx, "Endor Labs", s.cfg.Endor.Clock)
}

func clusterClock(ctx context.Context, s *scene) ([]result, error) {
	if s.cfg.Clock == nil {
		return nil, cannot{why: "the API server cannot be asked for its time", fix: "Run it as kubectl endor doctor."}
	}
	return s.skew(ctx, "the API server", s.cfg.Clock)
}

// skew compares a clock with the one here, which is taken in the middle of the
// call.
func (s *scene) skew(ctx context.Context, whose string, ask func(context.Context) (time.Time, error)) ([]result, error) {
	before := s.cfg.Now()
	theirs, err := ask(ctx)
	if err != nil {
		return nil, cannot{why: whose + " does not tell its time: " + visible(err.Error()), fix: "Run it again."}
	}
	here := before.Add(s.cfg.Now().Sub(before) / 2)
	off := theirs.Sub(here).Abs()
	// A date of HTTP has no parts of a second.
	about := short(off.Round(10 * time.Second))
	const fix = "Set the clocks by NTP, here and on the nodes: certificates, tokens and the age of verdicts go by them."
	switch {
	case off > greatSkew:
		return []result{bad("", fix, "the clock of %s and the one here are %s apart", whose, about)}, nil
	case off > slightSkew:
		return []result{warn("", fix, "the clock of %s and the one here are %s apart", whose, about)}, nil
	}
	return nil, nil
}
