// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package doctor

// The areas, in the order of a report.
const (
	areaGatekeeper = "Gatekeeper"
	areaWebhook    = "Webhook"
	areaProvider   = "Provider"
	areaPolicy     = "Policy"
	areaProbe      = "Probe"
	areaEndor      = "Endor Labs"
	areaClocks     = "Clocks"
)

// all are the checks, in the order in which they are made and reported.
var all = []check{
	{"gatekeeper-installed", areaGatekeeper, "Gatekeeper is installed and ready", gatekeeperInstalled},
	{"gatekeeper-version", areaGatekeeper, "Gatekeeper is new enough", gatekeeperVersion},
	{"gatekeeper-external-data", areaGatekeeper, "external data is on", gatekeeperExternalData},
	{"gatekeeper-serving-threads", areaGatekeeper, "reviews that wait for an answer leave room for others", gatekeeperThreads},
	{"gatekeeper-response-cache", areaGatekeeper, "answers are kept for a minute at most", gatekeeperCache},

	{"webhook-installed", areaWebhook, "the validating webhook is there", webhookInstalled},
	{"webhook-failure-policy", areaWebhook, "what the webhook does not answer is refused", webhookFailurePolicy},
	{"webhook-rules", areaWebhook, "the webhook is asked about what constraints deny", webhookRules},
	{"webhook-ephemeral-containers", areaWebhook, "the webhook is asked about ephemeral containers", webhookEphemeral},
	{"webhook-object-selector", areaWebhook, "no label takes an object out of the webhook", webhookObjectSelector},
	{"webhook-match-conditions", areaWebhook, "no condition takes a request out of the webhook", webhookMatchConditions},
	{"webhook-namespaces", areaWebhook, "the webhook is asked about every namespace that constraints deny in", webhookNamespaces},
	{"webhook-exclusions", areaWebhook, "no namespace is excluded from Gatekeeper", webhookExclusions},
	{"webhook-ca", areaWebhook, "Gatekeeper's CA is good", webhookCA},
	{"timeouts", areaWebhook, "an answer comes before each timeout above it", timeouts},

	{"provider-installed", areaProvider, "Gatekeeper knows the provider", providerInstalled},
	{"provider-ingested", areaProvider, "every Pod of Gatekeeper has taken the Provider in", providerIngested},
	{"provider-deployment", areaProvider, "the provider has two Pods that are ready", providerDeployment},
	{"provider-version", areaProvider, "the provider and this program are of one release", providerVersion},
	{"provider-disruption-budget", areaProvider, "draining nodes leaves a Pod of the provider", providerBudget},
	{"provider-ca", areaProvider, "the CA that Gatekeeper trusts is good", providerCA},
	{"provider-certificate", areaProvider, "Gatekeeper accepts the provider's certificate", providerCertificate},
	{"provider-clients", areaProvider, "the provider accepts Gatekeeper's name", providerClients},
	{"provider-client-ca", areaProvider, "the provider accepts Gatekeeper's CA", providerClientCA},

	{"template-installed", areaPolicy, "the ConstraintTemplate is there", templateInstalled},
	{"template-ingested", areaPolicy, "every Pod of Gatekeeper has taken the template in", templateIngested},
	{"template-current", areaPolicy, "the template is this release's", templateCurrent},
	{"constraints-installed", areaPolicy, "a constraint denies", constraintsInstalled},
	{"constraints-ingested", areaPolicy, "every Pod of Gatekeeper enforces every constraint", constraintsIngested},
	{"constraint-enforcement", areaPolicy, "every constraint denies", constraintEnforcement},
	{"constraint-provider", areaPolicy, "constraints ask a Provider that exists", constraintProviders},
	{"constraint-pods", areaPolicy, "constraints that deny match Pods", constraintPods},
	{"constraint-labels", areaPolicy, "no author takes an object out of a constraint", constraintLabels},
	{"constraint-own-pods", areaPolicy, "the provider's own Pods are not judged", constraintOwnPods},

	{"fail-closed", areaProbe, "an image that nobody signed is refused", failClosed},

	{"endor-credentials", areaEndor, "Endor Labs accepts the credentials", endorCredentials},
	{"endor-region", areaEndor, "the tenant lives where it is asked", endorRegion},
	{"endor-namespace", areaEndor, "the credentials may use the namespace", endorNamespaceCheck},
	{"endor-role", areaEndor, "the role of the credentials fits", endorRole},

	{"clock-cluster", areaClocks, "the clock of the API server agrees with the one here", clusterClock},
	{"clock-endor", areaClocks, "the clock of Endor Labs agrees with the one here", endorClock},
}

// Checks are the ids of all checks and what each is satisfied with.
func Checks() [][2]string {
	list := make([][2]string, len(all))
	for i, c := range all {
		list[i] = [2]string{c.id, c.about}
	}
	return list
}
