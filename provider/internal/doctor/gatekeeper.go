// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// What the recommended values of Gatekeeper's chart say.
const (
	minThreads  = 64
	maxCacheTTL = time.Minute
	values      = "deploy/gatekeeper/values.yaml"
)

var (
	oldest  = version.MustParseGeneric("3.20")
	pooling = version.MustParseGeneric("3.22")
)

func gatekeeperInstalled(_ context.Context, s *scene) ([]result, error) {
	list, err := s.gatekeeper()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, d := range serving(list) {
		if d.Status.ReadyReplicas == 0 {
			results = append(results, bad(named("Deployment", d.Namespace, d.Name), "Look at its Pods: kubectl -n "+d.Namespace+" get pods",
				"no Pod of it is ready, so nothing is judged: with failurePolicy Ignore all is admitted, with Fail nothing"))
		}
	}
	if len(serving(list)) > 0 {
		return results, nil
	}
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	if hooks == nil {
		return []result{bad("", "Install Gatekeeper 3.20 or newer with "+values+", or name its namespace with --gatekeeper-namespace.",
			"there is neither its webhook nor a Deployment of its in namespace %s", visible(s.cfg.GatekeeperNamespace))}, nil
	}
	return nil, cannot{
		why: "its webhook is there, but no Deployment in namespace " + visible(s.cfg.GatekeeperNamespace),
		fix: "Name its namespace with --gatekeeper-namespace.",
	}
}

// gatekeepers are its Deployments, or why there is none to look at.
func (s *scene) gatekeepers() ([]*appsv1.Deployment, error) {
	list, err := s.gatekeeper()
	if err == nil && len(list) == 0 {
		err = needs("gatekeeper-installed")
	}
	return list, err
}

func gatekeeperVersion(_ context.Context, s *scene) ([]result, error) {
	list, err := s.gatekeepers()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, d := range list {
		object, image := named("Deployment", d.Namespace, d.Name), container(d).Image
		v := versionOf(image)
		switch {
		case v == nil:
			return results, cannot{why: "the image " + visible(image) + " of " + object + " names no version", fix: "Find out which version it is; 3.20 is the oldest that works, 3.22 the oldest recommended."}
		case v.LessThan(oldest):
			results = append(results, bad(object, "Upgrade Gatekeeper to 3.23 or newer.",
				"%s does not keep to the operations of a template and is not tested; 3.20 is the oldest that works", v))
		case v.LessThan(pooling):
			results = append(results, warn(object, "Upgrade Gatekeeper to 3.23 or newer.",
				"%s makes a connection for each question to a provider and leaks it; 3.22 keeps them", v))
		}
	}
	if len(results) == 0 {
		results = append(results, fine("", "%s", versionOf(container(list[0]).Image)))
	}
	return results, nil
}

// versionOf reads the tag of an image; nil if it is no version.
func versionOf(image string) *version.Version {
	image, _, _ = strings.Cut(image, "@")
	colon := strings.LastIndex(image, ":")
	if colon < strings.LastIndex(image, "/") {
		return nil
	}
	v, err := version.ParseSemantic(image[colon+1:])
	if err != nil {
		return nil
	}
	return v
}

func gatekeeperExternalData(_ context.Context, s *scene) ([]result, error) {
	list, err := s.gatekeepers()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, d := range list {
		object := named("Deployment", d.Namespace, d.Name)
		if given, ok := argument(d, "enable-external-data"); ok {
			if on, err := strconv.ParseBool(given); err != nil || !on {
				results = append(results, bad(object, "Set the value enableExternalData: true of Gatekeeper's chart.",
					"external data is off (--enable-external-data=%s), so the policy cannot be compiled", visible(given)))
			}
		}
		if disabled(d, "external_data") {
			results = append(results, bad(object, "Take external_data out of the value disabledBuiltins of Gatekeeper's chart.",
				"the builtin external_data is disabled, so the policy cannot be compiled"))
		}
	}
	return results, nil
}

// disabled says whether a builtin of OPA is: a flag that may be repeated, whose
// chart writes braces around its value.
func disabled(d *appsv1.Deployment, builtin string) bool {
	return slices.ContainsFunc(container(d).Args, func(arg string) bool {
		flag, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return flag == "disable-opa-builtin" && strings.Trim(value, "{}") == builtin
	})
}

func gatekeeperThreads(_ context.Context, s *scene) ([]result, error) {
	list, err := s.gatekeepers()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, d := range serving(list) {
		given, _ := argument(d, "max-serving-threads")
		if n, err := strconv.Atoi(given); err == nil && n >= minThreads {
			continue
		}
		how := "as many requests at a time as it has cores"
		if given != "" && given != "-1" {
			how = visible(given) + " requests at a time"
		}
		results = append(results, warn(named("Deployment", d.Namespace, d.Name), fmt.Sprintf("Set the value maxServingThreads: %d of Gatekeeper's chart.", minThreads),
			"it judges %s, and one that waits for Endor Labs holds its place: all admission of the cluster waits behind it", how))
	}
	return results, nil
}

func gatekeeperCache(_ context.Context, s *scene) ([]result, error) {
	list, err := s.gatekeepers()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, d := range list {
		ttl, how := 3*time.Minute, "by default "
		if given, ok := argument(d, "external-data-provider-response-cache-ttl"); ok {
			if ttl, err = time.ParseDuration(given); err != nil {
				return results, cannot{why: "its --external-data-provider-response-cache-ttl is " + visible(given), fix: "Set the value externaldataProviderResponseCacheTTL: 15s of Gatekeeper's chart."}
			}
			how = ""
		}
		if ttl > maxCacheTTL {
			results = append(results, warn(named("Deployment", d.Namespace, d.Name), "Set the value externaldataProviderResponseCacheTTL: 15s of Gatekeeper's chart.",
				"it keeps answers %sfor %s: an image that was signed after it was refused stays refused that long, and one that was revoked stays admitted", how, short(ttl)))
		}
	}
	return results, nil
}

// short writes a duration without what is zero.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// versions are for the head of a report.
func (s *scene) versions() (gatekeeper, provider string) {
	if list, err := s.gatekeepers(); err == nil {
		if v := versionOf(container(list[0]).Image); v != nil {
			gatekeeper = v.String()
		}
	}
	if d, err := s.deployment(); err == nil {
		provider = visible(container(d).Image)
	}
	return gatekeeper, provider
}
