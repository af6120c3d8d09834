// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor/doctortest"
)

// disease is something that is wrong with an installation.
type disease struct {
	name   string
	infect func(*doctortest.API)
	config func(*doctor.Config)

	want  []string // severity and id of each finding, in order
	found string   // what one of them has to say
}

func TestEachDiseaseIsFoundByItsCheck(t *testing.T) {
	t.Parallel()
	notSigned := "error fail-closed"
	for _, d := range []disease{
		// Gatekeeper
		{name: "no Pod of Gatekeeper is ready", infect: func(a *doctortest.API) {
			a.Change("Deployment", doctortest.Gatekeeper, doctortest.Controller, func(o map[string]any) { set(o, int64(0), "status", "readyReplicas") })
		}, want: []string{"error gatekeeper-installed"}, found: "no Pod of it is ready"},
		{name: "Gatekeeper runs in a namespace that was not named", config: func(cfg *doctor.Config) { cfg.GatekeeperNamespace = "policy" },
			want: []string{
				"error provider-clients", "unknown gatekeeper-installed", "skipped gatekeeper-version", "skipped gatekeeper-external-data",
				"skipped gatekeeper-serving-threads", "skipped gatekeeper-response-cache",
			}, found: "no Deployment in namespace policy"},
		{name: "an old Gatekeeper", infect: gatekeeperImage("openpolicyagent/gatekeeper:v3.19.2"), want: []string{"error gatekeeper-version"}},
		{name: "a Gatekeeper that leaks connections", infect: gatekeeperImage("openpolicyagent/gatekeeper:v3.21.0"), want: []string{"warning gatekeeper-version"}, found: "leaks"},
		{name: "a Gatekeeper of no version", infect: gatekeeperImage("registry:5000/gatekeeper@sha256:1a"), want: []string{"unknown gatekeeper-version"}},
		{name: "external data is off", infect: gatekeeperArgs("--enable-external-data=false"), want: []string{"error gatekeeper-external-data"}},
		{name: "the builtin is disabled", infect: gatekeeperArgs("--disable-opa-builtin={external_data}"), want: []string{"error gatekeeper-external-data"}},
		{name: "as many threads as cores", infect: gatekeeperArgs("--max-serving-threads=-1"), want: []string{"warning gatekeeper-serving-threads"}, found: "cores"},
		{name: "few threads", infect: gatekeeperArgs("--max-serving-threads=8"), want: []string{"warning gatekeeper-serving-threads"}, found: "8 requests"},
		{name: "answers are kept for long", infect: gatekeeperArgs("--external-data-provider-response-cache-ttl=3m"), want: []string{"warning gatekeeper-response-cache"}, found: "for 3m"},
		{name: "answers are kept for something else", infect: gatekeeperArgs("--external-data-provider-response-cache-ttl=long"), want: []string{"unknown gatekeeper-response-cache"}},

		// Webhook
		{name: "no webhook", infect: func(a *doctortest.API) { a.Remove("ValidatingWebhookConfiguration", "", doctortest.Webhook) }, want: []string{
			"error webhook-installed", "skipped webhook-failure-policy", "skipped webhook-rules", "skipped webhook-ephemeral-containers",
			"skipped webhook-object-selector", "skipped webhook-match-conditions", "skipped webhook-namespaces", "skipped webhook-ca",
			"skipped timeouts", "skipped provider-client-ca", "skipped constraint-own-pods", "skipped fail-closed",
		}},
		{name: "failurePolicy Ignore", infect: hook("failurePolicy", "Ignore"), want: []string{"error webhook-failure-policy"}, found: "only advice"},
		{name: "a rule without Pods", infect: rules([]any{"podtemplates", "replicationcontrollers", "pods/ephemeralcontainers"}, []any{"CREATE", "UPDATE"}),
			want: []string{"error webhook-rules", notSigned}, found: "CREATE of pods, UPDATE of pods"},
		{name: "a rule without updates", infect: rules([]any{"*", "pods/ephemeralcontainers"}, []any{"CREATE"}),
			want: []string{"error webhook-rules", "error webhook-ephemeral-containers", "warning webhook-rules"}},
		{name: "a rule without a workload", infect: rules([]any{"pods", "pods/ephemeralcontainers", "replicationcontrollers"}, []any{"*"}), want: []string{"warning webhook-rules"}, found: "podtemplates"},
		{name: "a rule without ephemeral containers", infect: rules([]any{"*"}, []any{"CREATE", "UPDATE"}), want: []string{"error webhook-ephemeral-containers"}},
		{name: "an objectSelector", infect: hook("objectSelector", map[string]any{"matchLabels": map[string]any{"judge": "me"}}), want: []string{"error webhook-object-selector", notSigned}},
		{name: "a match condition", infect: hook("matchConditions", []any{map[string]any{"name": "not-ci", "expression": "request.userInfo.username != 'ci'"}}),
			want: []string{"warning webhook-match-conditions"}, found: "'ci'"},
		{name: "a namespace that the webhook leaves out", infect: hook("namespaceSelector", map[string]any{"matchExpressions": []any{
			map[string]any{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": []any{"production", "gatekeeper-system", "endor-gatekeeper-provider"}},
		}}), want: []string{"unknown fail-closed", "warning webhook-namespaces"}, found: "production"},
		{name: "a namespace with the label that Gatekeeper heeds", infect: label("production", "admission.gatekeeper.sh/ignore", ""),
			want: []string{"unknown fail-closed", "warning webhook-namespaces"}, found: "labeled admission.gatekeeper.sh/ignore: production"},
		{name: "a CA of Gatekeeper's that cannot be read", infect: func(a *doctortest.API) {
			a.ChangeWebhook(func(h map[string]any) { set(h, "AAAA", "clientConfig", "caBundle") })
		}, want: []string{"error webhook-ca"}},

		// Timeouts
		{name: "no timeout", infect: theProvider(int64(0), "spec", "timeout"), want: []string{"error timeouts"}, found: "timeout is 0"},
		{name: "a timeout below the budget", infect: theProvider(int64(1), "spec", "timeout"), want: []string{"error timeouts"}, found: "Gatekeeper leaves"},
		{name: "a timeout that outlasts the webhook", infect: theProvider(int64(3), "spec", "timeout"), want: []string{"error timeouts"}, found: "outlasts"},
		{name: "a budget that outlasts the Provider", infect: providerArgs("--response-budget=1.9s"), want: []string{"error timeouts"}, found: "1.9s"},
		{name: "a webhook that is too short", infect: hook("timeoutSeconds", int64(2)), want: []string{"error timeouts"}},
		{name: "many lists of signers", infect: signers(8), want: []string{"error timeouts"}, found: "9 calls in a row for a Pod"},
		{name: "many lists of signers, with a longer webhook", infect: all(signers(8), hook("timeoutSeconds", int64(4)))},
		{name: "constraints with the same signers share a call", infect: func(a *doctortest.API) {
			for i := range 9 {
				another(fmt.Sprintf("again-%d", i), []any{"rejected"}, "spec", "parameters", "failOn")(a)
			}
		}},
		{name: "expansion multiplies calls", infect: all(signers(3), put(
			fmt.Sprintf(expandTo, "cronjobs", "batch", "CronJob", "batch", "Job"), fmt.Sprintf(expandTo, "jobs", "batch", "Job", "", "Pod"),
		)), want: []string{"error timeouts"}, found: "12 calls in a row for a CronJob"},
		{name: "a kind of somebody else asks another provider", infect: put(
			`{apiVersion: templates.gatekeeper.sh/v1, kind: ConstraintTemplate, metadata: {name: theirs}, spec: {crd: {spec: {names: {kind: Theirs}}}, targets: [{rego: "external_data({})"}]}}`,
			`{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: Theirs, metadata: {name: c}, spec: {match: {`+podsOnly+`}}}`,
			`{apiVersion: externaldata.gatekeeper.sh/v1beta1, kind: Provider, metadata: {name: theirs}, spec: {url: "https://x", timeout: 1}}`,
		), want: []string{"error timeouts"}, found: "and 1 of other providers"},

		// Provider
		{name: "no Provider", infect: func(a *doctortest.API) { a.Remove("Provider", "", doctortest.Release) }, want: []string{
			"error provider-installed", "error constraint-provider",
			"skipped provider-ingested", "skipped provider-ca", "skipped provider-certificate",
		}},
		{name: "a Provider that Gatekeeper refuses", infect: theProvider([]any{map[string]any{"id": "audit-1", "errors": []any{map[string]any{"message": "bad \x1b[31m"}}}}, "status", "byPod"),
			want: []string{"error provider-ingested"}, found: "bad ?[31m"},
		{name: "a Provider that one Pod has not taken in", infect: theProvider([]any{map[string]any{"id": "audit-1"}}, "status", "byPod"), want: []string{"error provider-ingested"}},
		{name: "a Provider of which one Pod has an older state", infect: theProvider(int64(2), "metadata", "generation"),
			want: slices.Repeat([]string{"warning provider-ingested"}, 4)},
		{name: "a Provider of which no Pod tells", infect: theProvider(nil, "status"), want: []string{"unknown provider-ingested"}},
		{name: "no Pod is ready", infect: theDeployment(int64(0), "status", "readyReplicas"), want: []string{"error provider-deployment"}},
		{name: "one Pod is not ready", infect: theDeployment(int64(1), "status", "readyReplicas"), want: []string{"warning provider-deployment"}},
		{name: "a provider that is no Service", infect: all(theDeployment(int64(0), "status", "readyReplicas"), theProvider("https://provider.example/validate", "spec", "url")),
			want: []string{"error provider-certificate", "unknown provider-deployment"}, found: "names no Service"},
		{name: "one replica", infect: all(theDeployment(int64(1), "status", "readyReplicas"), theDeployment(int64(1), "spec", "replicas")),
			want: []string{"warning provider-deployment"}, found: "one replica"},
		{name: "no Deployment", infect: func(a *doctortest.API) { a.Remove("Deployment", doctortest.Release, doctortest.Release) }, want: []string{
			"unknown provider-deployment", "skipped timeouts", "skipped provider-version", "skipped provider-disruption-budget",
			"skipped provider-certificate", "skipped provider-clients", "skipped provider-client-ca", "skipped constraint-own-pods",
		}},
		{name: "no disruption budget", infect: func(a *doctortest.API) { a.Remove("PodDisruptionBudget", doctortest.Release, doctortest.Release) },
			want: []string{"warning provider-disruption-budget"}},
		{name: "a caBundle that cannot be read", infect: theProvider("AAAA", "spec", "caBundle"), want: []string{"error provider-ca", "skipped provider-certificate"}},
		{name: "a caBundle of another CA", infect: theProvider(strangerBundle(), "spec", "caBundle"), want: []string{"error provider-certificate"}, found: "unknown authority"},
		{name: "a URL of another name", infect: theProvider("https://endor-gatekeeper-provider.endor-gatekeeper-provider.svc.cluster.local/validate", "spec", "url"), want: []string{"error provider-certificate"}},
		{name: "no certificate", infect: func(a *doctortest.API) { a.SetSecret(nil) }, want: []string{"error provider-certificate"}, found: "holds no certificate"},
		{name: "certificates that end in three weeks", config: later(doctortest.Lifetime - 21*24*time.Hour), want: []string{
			"unknown clock-cluster", "warning webhook-ca", "warning provider-ca", "warning provider-certificate",
		}, found: "in 20 days"},
		{name: "certificates that end in days", config: later(doctortest.Lifetime - 3*24*time.Hour), want: []string{
			"error webhook-ca", "error provider-ca", "error provider-certificate", "unknown clock-cluster",
		}},
		{name: "certificates that have ended", config: later(doctortest.Lifetime + time.Hour), want: []string{
			"error webhook-ca", "error provider-ca", "error provider-certificate", "unknown clock-cluster",
		}, found: "has expired"},
		{name: "anybody may ask", infect: func(a *doctortest.API) { a.AddProviderArgs("--insecure-no-client-auth") }, want: []string{"warning provider-clients", "skipped provider-client-ca"}},
		{name: "another name of Gatekeeper's", infect: clientNames("other.policy.svc"), want: []string{"error provider-clients"}},
		{name: "another webhook's CA", infect: providerArgs("--client-ca-from-webhook=other"), want: []string{"error provider-client-ca"}},
		{name: "a copy of a CA that is Gatekeeper's no more", infect: all(mountClientCA, put(
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: gatekeeper-ca, namespace: endor-gatekeeper-provider}, data: {ca.crt: "`+strings.ReplaceAll(string(stranger.CertPEM()), "\n", `\n`)+`"}}`)),
			want: []string{"error provider-client-ca"}, found: "another CA"},
		{name: "a copy of the CA that is not there", infect: mountClientCA, want: []string{"unknown provider-client-ca"}},

		// Policy
		{name: "no template", infect: func(a *doctortest.API) { a.Remove("ConstraintTemplate", "", doctortest.Template) }, want: []string{
			"error template-installed", "unknown fail-closed", "warning constraints-installed", "skipped template-ingested", "skipped template-current",
		}},
		{name: "a template that Gatekeeper cannot use", infect: theTemplate([]any{map[string]any{"id": "audit-1", "observedGeneration": int64(1), "errors": []any{map[string]any{"message": "undefined function external_data"}}}}, "status", "byPod"),
			want: []string{"error template-ingested"}, found: "undefined function"},
		{name: "a template that nobody took in", infect: theTemplate(nil, "status"), want: []string{"error template-ingested"}},
		{name: "a template of which Pods have an older state", infect: theTemplate(int64(2), "metadata", "generation"), want: slices.Repeat([]string{"warning template-ingested"}, 4)},
		{name: "a template of another version", infect: theTemplate("0.9.0", "metadata", "annotations", "metadata.gatekeeper.sh/version"), want: []string{"warning template-current"}},
		{name: "a template that somebody changed", infect: theTemplate([]any{map[string]any{"target": "admission.k8s.gatekeeper.sh", "rego": "package x"}}, "spec", "targets"), want: []string{"error template-current"}},
		{name: "no constraint", infect: func(a *doctortest.API) { a.Remove(doctortest.Kind, "", doctortest.Constraint) }, want: []string{"unknown fail-closed", "warning constraints-installed"}},
		{name: "a constraint that only warns", infect: theConstraint("warn", "spec", "enforcementAction"), want: []string{"unknown fail-closed", "warning constraints-installed"}, found: "none of 1"},
		{name: "a constraint whose action is empty, which Gatekeeper passes over", infect: theConstraint("", "spec", "enforcementAction"), want: []string{"unknown fail-closed", "warning constraints-installed"}, found: "none of 1"},
		{name: "a constraint that denies to audit alone", infect: all(theConstraint("scoped", "spec", "enforcementAction"), theConstraint([]any{
			map[string]any{"action": "deny", "enforcementPoints": []any{map[string]any{"name": "audit.gatekeeper.sh"}}},
		}, "spec", "scopedEnforcementActions")), want: []string{"unknown fail-closed", "warning constraints-installed"}},
		{name: "a constraint that Gatekeeper cannot use", infect: theConstraint([]any{map[string]any{"id": "c-1", "observedGeneration": int64(1), "errors": []any{map[string]any{"code": "x", "message": "bad match"}}}}, "status", "byPod"),
			want: []string{"error constraints-ingested"}, found: "bad match"},
		{name: "a constraint that is not enforced", infect: theConstraint([]any{map[string]any{"id": "c-1", "observedGeneration": int64(1)}}, "status", "byPod"), want: []string{"error constraints-ingested"}},
		{name: "a constraint that nobody took in", infect: theConstraint(nil, "status"), want: []string{"error constraints-ingested"}},
		{name: "a constraint that asks nobody", infect: theConstraint("elsewhere", "spec", "parameters", "provider"), want: []string{"error constraint-provider"}},
		{name: "a constraint of Deployments alone", infect: theConstraint([]any{map[string]any{"apiGroups": []any{"apps"}, "kinds": []any{"Deployment"}}}, "spec", "match", "kinds"),
			want: []string{"error constraint-pods", "unknown fail-closed"}},
		{name: "a constraint of generated Pods alone", infect: theConstraint("Generated", "spec", "match", "source"), want: []string{"unknown fail-closed", "warning constraint-pods"}},
		{name: "a constraint of a namespace that is not there", infect: theConstraint([]any{"nowhere"}, "spec", "match", "namespaces"), want: []string{"unknown fail-closed", "warning constraint-pods"}},
		{name: "a constraint that asks for a label", infect: theConstraint(map[string]any{"matchLabels": map[string]any{"judge": "me"}}, "spec", "match", "labelSelector"),
			want: []string{"error constraint-labels", "unknown fail-closed"}},
		{name: "a constraint that goes by name", infect: theConstraint("web-*", "spec", "match", "name"), want: []string{"error constraint-labels", "unknown fail-closed"}},
		{name: "a constraint of the provider's own Pods", infect: all(
			theConstraint(nil, "spec", "match", "namespaces"), theConstraint(nil, "spec", "match", "excludedNamespaces"),
			hook("namespaceSelector", map[string]any{}),
		), want: []string{"error constraint-own-pods"}, found: "none can come back"},

		// Probe
		{name: "Gatekeeper is down", infect: func(a *doctortest.API) { a.GatekeeperDown = true }, want: []string{notSigned}, found: "refuses every Pod"},
		{name: "Gatekeeper is down and nobody minds", infect: all(hook("failurePolicy", "Ignore"), func(a *doctortest.API) { a.GatekeeperDown = true }),
			want: []string{"error webhook-failure-policy", notSigned}, found: "was admitted"},
		{name: "Endor Labs is away", infect: func(a *doctortest.API) { a.Verdict = "UNAVAILABLE" }, want: []string{"warning fail-closed"}},
		{name: "the provider is misconfigured", infect: func(a *doctortest.API) { a.Verdict = "MISCONFIGURED" }, want: []string{notSigned}, found: "misconfigured"},
		{name: "the constraint is misconfigured", infect: func(a *doctortest.API) { a.Verdict = "BAD_PARAMETERS" }, want: []string{notSigned}},
		{name: "Pod Security comes first", infect: refusePods(`pods "endor-doctor" is forbidden: violates PodSecurity "restricted:latest"`), want: []string{"unknown fail-closed"}, found: "violates PodSecurity"},
		{name: "a quota comes first", infect: refusePods(`pods "endor-doctor" is forbidden: exceeded quota: pods`), want: []string{"unknown fail-closed"}, found: "exceeded quota"},
		{name: "another policy comes first", infect: refusePods(`admission webhook "validation.gatekeeper.sh" denied the request: [no-pods] [NOPE] none`), want: []string{"unknown fail-closed"}},
		{name: "nobody is to probe", config: func(cfg *doctor.Config) { cfg.NoProbe = true }, want: []string{"skipped fail-closed"}},

		// Clocks
		{name: "the clock is a little off", config: clockOff(2 * time.Minute), want: []string{"warning clock-cluster"}, found: "2m apart"},
		{name: "the clock is off", config: clockOff(-time.Hour), want: []string{"error clock-cluster"}, found: "1h apart"},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			a := healthy(t)
			if d.infect != nil {
				d.infect(a)
			}
			if d.config == nil {
				d.config = func(*doctor.Config) {}
			}
			var got []string
			said := false
			for _, f := range told(examine(t, a, d.config)) {
				got = append(got, string(f.Severity)+" "+f.Check)
				said = said || strings.Contains(f.Found, d.found)
				if f.Severity != doctor.Skipped && f.Fix == "" {
					t.Errorf("%s: %s says nothing of how to mend it", f.Check, f.Found)
				}
				t.Logf("%s %s: %s: %s", f.Severity, f.Check, f.Object, f.Found)
			}
			if diff := cmp.Diff(d.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if !said && len(d.want) > 0 {
				t.Errorf("no finding says %q", d.found)
			}
		})
	}
}
