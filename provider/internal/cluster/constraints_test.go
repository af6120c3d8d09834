// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
)

// says is an API server that has one answer.
type says struct {
	code int
	body string
}

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: s.code, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(s.body)), Request: r,
	}, nil
}

func denying(t *testing.T, s says, provider string) ([]string, error) {
	t.Helper()
	client, err := dynamic.NewForConfig(&rest.Config{Host: "http://api", Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	return cluster.DenyingConstraints(t.Context(), client, provider)
}

func TestConstraintsThatDenyWithThisProviderAreFound(t *testing.T) {
	t.Parallel()
	items := map[string]string{
		"deny":        `{"enforcementAction": "deny"}`,
		"default":     `{}`,
		"empty":       `{"enforcementAction": ""}`,
		"scoped-deny": `{"enforcementAction": "scoped", "scopedEnforcementActions": [{"action": "warn"}, {"action": "deny"}]}`,
		"unreadable":  `{"enforcementAction": ["deny"]}`,
		// These deny nothing at admission. Whoever uninstalls is told all the same.
		"scoped-audit":     `{"enforcementAction": "scoped", "scopedEnforcementActions": [{"action": "deny", "enforcementPoints": [{"name": "audit.gatekeeper.sh"}]}]}`,
		"scoped-gator":     `{"enforcementAction": "scoped", "scopedEnforcementActions": [{"action": "deny", "enforcementPoints": [{"name": "gator.gatekeeper.sh"}]}]}`,
		"scoped-no-points": `{"enforcementAction": "scoped", "scopedEnforcementActions": [{"action": "deny", "enforcementPoints": []}]}`,
		"scoped-warn":      `{"enforcementAction": "scoped", "scopedEnforcementActions": [{"action": "warn"}]}`,
		"warn":             `{"enforcementAction": "warn"}`,
		"dryrun":           `{"enforcementAction": "dryrun"}`,
		"other":            `{"parameters": {"provider": "other"}}`,
		"other-warning":    `{"enforcementAction": "warn", "parameters": {"provider": "other"}}`,
	}
	var list []string
	for name, spec := range items {
		list = append(list, `{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sEndorSignedImages", "metadata": {"name": "`+name+`"}, "spec": `+spec+`}`)
	}
	body := `{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sEndorSignedImagesList", "items": [` + strings.Join(list, ",") + `]}`
	for provider, want := range map[string][]string{
		cluster.DefaultProvider: {"default", "deny", "empty", "scoped-audit", "scoped-deny", "scoped-gator", "scoped-no-points", "unreadable"},
		"other":                 {"other"},
		"third":                 nil,
	} {
		got, err := denying(t, says{http.StatusOK, body}, provider)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", provider, got, err, want)
		}
	}
}

func TestAClusterWithoutTheirKindHasNoConstraints(t *testing.T) {
	t.Parallel()
	if got, err := denying(t, says{http.StatusNotFound, "404 page not found"}, cluster.DefaultProvider); len(got) > 0 || err != nil {
		t.Errorf("%v, %v; want none", got, err)
	}
}

func TestNotBeingAllowedToLookIsNotFindingNone(t *testing.T) {
	t.Parallel()
	body := `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"}`
	if got, err := denying(t, says{http.StatusForbidden, body}, cluster.DefaultProvider); err == nil {
		t.Errorf("%v without an error", got)
	}
}
